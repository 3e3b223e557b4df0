"""A directory of image files, on disk or in a bucket, as a data source."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from etils import epath

from stylegan_jax import config
from stylegan_jax.data import decoding, images, label_file
from stylegan_jax.data.formats.folder import Folder, find_label_file, list_images
from stylegan_jax.data.interface import Source
from stylegan_jax.data.sources.image_files import (
    check_headers,
    evenly_spaced,
    image_file_source,
)
from stylegan_jax.runtime import storage
from stylegan_jax.runtime.tensorflow import tensorflow

MAX_HEADERS = 5000  # headers read at opening; an even sample of larger folders
MAX_HEADERS_IN_BUCKET = 200
MAX_CONTENTS = 1000  # files whose content is part of the fingerprint
END_BYTES = 16_384  # of the beginning and the end of a long file that it covers


def open_folder(data: config.Data) -> Source:
    """Open all images below `data.path` in the order of their relative paths.

    The labels are those of a dataset.json as NVIDIA's tools write it. Without such a
    file, subfolders are classes; see `labels.from_folders`.

    Raises:
      ValueError: there are no images, some are damaged or have an unusable size, or the
        labels are wrong and `data.conditional` needs them.
    """
    root: Folder = Path(data.path).expanduser()
    in_bucket = storage.scheme_of(data.path) is not None
    if in_bucket:
        root = storage.open_path(data.path)
    found = list_images(root)
    names = found.names

    def header_of(name: str) -> images.Size | str:
        path = root / name
        file = path.read_bytes() if in_bucket else path
        return decoding.size_or_problem(file)

    most = MAX_HEADERS_IN_BUCKET if in_bucket else MAX_HEADERS
    check_headers(names, header_of, data, most)
    file = find_label_file(root, found)
    labels, notes = label_file.find(names, file, needed=data.conditional)

    tf = tensorflow()
    path_table = tf.constant([os.fsencode(root / name) for name in names])

    def read_from_bucket(path: bytes) -> bytes:
        return epath.Path(path.decode()).read_bytes()

    def read_key(path: Any) -> Any:
        if in_bucket:
            encoded = tf.numpy_function(read_from_bucket, [path], tf.string)
            return tf.ensure_shape(encoded, [])
        return tf.io.read_file(path)

    return image_file_source(
        data,
        labels,
        name=f"folder {root}",
        fingerprint=_fingerprint(root, names, file.content() if file else b""),
        describe=lambda index: str(root / names[index]),
        read=lambda index: (root / names[index]).read_bytes(),
        keys=lambda indices: tf.gather(path_table, indices),
        read_key=read_key,
        notes=(*found.notes, *notes),
    )


def _fingerprint(root: Folder, names: tuple[str, ...], label_content: bytes) -> str:
    """Return the digest of relative paths, labels, file sizes and content.

    It covers the content of at most `MAX_CONTENTS` evenly spaced files, and of files
    longer than twice `END_BYTES` only the beginning and the end. So a different set of
    images with the same names and sizes is detected, but a single changed image among
    very many may not be.
    """

    def size_of(name: str) -> int:
        status = (root / name).stat()
        return status.st_size if isinstance(root, Path) else status.length

    def ends_of(index: int) -> bytes:
        with (root / names[index]).open("rb") as file:
            if sizes[index] <= 2 * END_BYTES:
                return file.read()
            begin = file.read(END_BYTES)
            file.seek(sizes[index] - END_BYTES)
            return begin + file.read(END_BYTES)

    sample = evenly_spaced(len(names), MAX_CONTENTS)
    with ThreadPoolExecutor(16) as pool:  # in a bucket, each file is a request
        sizes = list(pool.map(size_of, names))
        digest = hashlib.sha256(label_content)
        for name, size in zip(names, sizes, strict=True):
            digest.update(os.fsencode(f"{name}\0{size}\n"))
        for ends in pool.map(ends_of, sample):
            digest.update(hashlib.sha256(ends).digest())
    return digest.hexdigest()
