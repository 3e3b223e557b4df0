"""A directory of image files, on disk or in a bucket, as a data source."""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from etils import epath

from stylegan_jax import config, paths
from stylegan_jax.data import images, labels
from stylegan_jax.data.header_check import check_headers
from stylegan_jax.data.interface import Load, Source

Folder = Path | epath.Path  # on disk, in a bucket
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
MAX_HEADERS = 5000  # read at opening; of larger folders an even sample
MAX_HEADERS_IN_BUCKET = 200


def open_folder(data: config.Data) -> Source:
    """All images below `data.path`, in the order of their relative paths.

    Their classes are those of a dataset.json, as NVIDIA's; without such a file, and
    when every image lies in a sub-folder, the first-level sub-folders.

    Raises:
      ValueError: no images, or images that are damaged or have an unusable size.
    """
    root: Folder = Path(data.path).expanduser()
    in_bucket = paths.scheme_of(data.path) is not None
    if in_bucket:
        root = paths.open_path(data.path)
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
        except OSError as error:
            return f"can't be read: {error.strerror or error}"
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


def image_names(
    root: Folder, setting: str = "data.path", suffixes: tuple[str, ...] = SUFFIXES
) -> list[str]:
    """Sorted posix paths, relative to `root`, of all image files below it.

    Raises:
      ValueError: no folder, or none in it; calls it by the name of its `setting`.
    """
    if not root.is_dir():
        raise ValueError(
            f"`{setting}` (={str(root)!r}) is not a directory; it must be one with "
            f"images ({', '.join(suffixes)}), searched recursively"
        )
    names = [
        name
        for name in (_on_disk(root) if isinstance(root, Path) else _in_bucket(root))
        if name.lower().endswith(suffixes)
        and not any(part.startswith(".") for part in name.split("/"))
    ]
    if not names:
        raise ValueError(
            f"`{setting}` (={str(root)!r}) holds no images; files with the endings "
            f"{', '.join(suffixes)} are looked for, in sub-folders too"
        )
    return sorted(names)


def _on_disk(root: Path) -> Iterator[str]:
    for folder, subfolders, files in os.walk(root, followlinks=True):
        subfolders[:] = [
            name
            for name in subfolders
            if not name.startswith(".") and not _links_back(folder, name)
        ]
        relative = Path(folder).relative_to(root)
        yield from ((relative / name).as_posix() for name in files)


def _in_bucket(root: epath.Path) -> Iterator[str]:
    for folder, _, files in root.walk():
        relative = folder.relative_to(root)
        yield from ((relative / name).as_posix() for name in files)


def _links_back(folder: str, name: str) -> bool:
    """Whether a sub-folder is a link to a folder that it lies in."""
    target = os.path.realpath(os.path.join(folder, name))
    return Path(os.path.realpath(folder)).is_relative_to(target)


def _fingerprint(root: Folder, names: list[str], label_file: bytes | None) -> str:
    """Digest of relative paths, labels and file sizes."""

    def size_of(name: str) -> int:
        status = (root / name).stat()
        return status.st_size if isinstance(root, Path) else status.length

    with ThreadPoolExecutor(16) as pool:  # in a bucket each is a request
        sizes = list(pool.map(size_of, names))
    digest = hashlib.sha256(label_file or b"")
    for name, size in zip(names, sizes, strict=True):
        digest.update(os.fsencode(f"{name}\0{size}\n"))
    return digest.hexdigest()
