"""A directory of image files, on disk or in a bucket, as a data source."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from etils import epath

from stylegan_jax import config
from stylegan_jax.data import images, labels
from stylegan_jax.data.image_names import Folder, image_names
from stylegan_jax.data.interface import Load, Source
from stylegan_jax.data.sources.header_check import check_headers, even_sample
from stylegan_jax.runtime import storage

MAX_HEADERS = 5000  # read at opening; of larger folders an even sample
MAX_HEADERS_IN_BUCKET = 200
MAX_CONTENTS = 1000  # files whose content is in the fingerprint
END_BYTES = 16_384


def open_folder(data: config.Data) -> Source:
    """All images below `data.path`, in the order of their relative paths.

    Their classes are those of a dataset.json, as NVIDIA's; without such a file, and
    when every image lies in a sub-folder, the first-level sub-folders.

    Raises:
      ValueError: no images, or images that are damaged or have an unusable size.
    """
    root: Folder = Path(data.path).expanduser()
    in_bucket = storage.scheme_of(data.path) is not None
    if in_bucket:
        root = storage.open_path(data.path)
    names = image_names(root)

    def header_of(name: str) -> images.Size | str:
        path = root / name
        return images.header(path.read_bytes() if in_bucket else path, plain=True)

    most = MAX_HEADERS_IN_BUCKET if in_bucket else MAX_HEADERS
    check_headers(names, header_of, data, most)
    label_path = root / "dataset.json"
    label_file = label_path.read_bytes() if label_path.exists() else None
    found = labels.of_files(names, label_file, str(label_path))
    size = config.image_size(data.base_size, data.resolution)
    how = (size, data.channels, data.fit)

    tf = images.tensorflow()
    path_table = tf.constant([os.fsencode(root / name) for name in names])
    label_of = found.lookup()

    def read(path: Any) -> bytes:
        return epath.Path(path.decode()).read_bytes()

    def decode(path: Any, label: Any) -> tuple[Any, Any]:
        if in_bucket:
            encoded = tf.ensure_shape(tf.numpy_function(read, [path], tf.string), [])
        else:
            encoded = tf.io.read_file(path)
        return images.load_encoded(encoded, *how), label

    def check(index: int) -> str | None:
        try:
            encoded = (root / names[index]).read_bytes()
        except (FileNotFoundError, NotADirectoryError) as error:
            return f"can't be read: {error.strerror}"
        return images.encoded_problem(encoded, *how)

    return Source(
        name=f"folder {root}",
        num_images=len(names),
        classes=found.names,
        label_vectors=found.are_vectors,
        label_totals=found.totals(),
        base_size=data.base_size,
        resolution=data.resolution,
        channels=data.channels,
        fingerprint=_fingerprint(root, names, label_file),
        load=Load(
            decode, lambda indices: (tf.gather(path_table, indices), label_of(indices))
        ),
        describe=lambda index: str(root / names[index]),
        check=check,
    )


def _fingerprint(root: Folder, names: list[str], label_file: bytes | None) -> str:
    """Digest of relative paths, labels, file sizes and content.

    The content is that of all files, of more than `MAX_CONTENTS` of an even sample; of
    files longer than twice `END_BYTES` it is how they begin and end. So the same names
    and sizes with other images are told apart; one image among very many may not be.
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

    sample = even_sample(len(names), MAX_CONTENTS)
    with ThreadPoolExecutor(16) as pool:  # in a bucket each is a request
        sizes = list(pool.map(size_of, names))
        digest = hashlib.sha256(label_file or b"")
        for name, size in zip(names, sizes, strict=True):
            digest.update(os.fsencode(f"{name}\0{size}\n"))
        for ends in pool.map(ends_of, sample):
            digest.update(hashlib.sha256(ends).digest())
    return digest.hexdigest()
