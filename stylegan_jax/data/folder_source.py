"""A directory of image files, on disk or in a bucket, as a data source."""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from etils import epath

from stylegan_jax import config, paths
from stylegan_jax.data import images
from stylegan_jax.data.interface import Source

Folder = Path | epath.Path  # on disk, in a bucket
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
MAX_HEADERS = 5000  # read at opening; of larger folders an even sample
MAX_HEADERS_IN_BUCKET = 200
MAX_LISTED = 5  # files named in one message


def open_folder(data: config.Data) -> Source:
    """All images below `data.path`, in the order of their relative paths.

    When every image lies in a sub-folder, the first-level sub-folders are the classes.

    Raises:
      ValueError: no images, or images that are damaged or have an unusable size.
    """
    root: Folder = Path(data.path).expanduser()
    in_bucket = paths.scheme_of(data.path) is not None
    if in_bucket:
        root = paths.open_path(data.path)
    names = image_names(root)
    _check_headers(root, names, data)
    tops = [name.split("/", 1)[0] for name in names]
    in_folders = all("/" in name for name in names)
    classes = tuple(sorted(set(tops))) if in_folders else ()
    number = {name: label for label, name in enumerate(classes)}
    labels = [number.get(top, 0) for top in tops]
    size = config.image_size(data.base_size, data.resolution)
    how = (size, data.channels, data.fit)

    tf = images.tensorflow()
    path_table = tf.constant([os.fsencode(root / name) for name in names])
    label_table = tf.constant(labels, tf.int32)

    def read(index: Any) -> bytes:
        return (root / names[index]).read_bytes()

    def load(index: Any) -> tuple[Any, Any]:
        if in_bucket:
            encoded = tf.ensure_shape(tf.numpy_function(read, [index], tf.string), [])
        else:
            encoded = tf.io.read_file(path_table[index])
        return images.load_encoded(encoded, *how), label_table[index]

    def check(index: int) -> str | None:
        try:
            encoded = (root / names[index]).read_bytes()
        except OSError as error:
            return f"can't be read: {error.strerror or error}"
        return images.encoded_problem(encoded, *how)

    return Source(
        name=f"folder {root}",
        num_images=len(names),
        classes=classes,
        base_size=data.base_size,
        resolution=data.resolution,
        channels=data.channels,
        fingerprint=_fingerprint(root, names),
        load=load,
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


def _check_headers(root: Folder, names: list[str], data: config.Data) -> None:
    on_disk = isinstance(root, Path)
    count = min(len(names), MAX_HEADERS if on_disk else MAX_HEADERS_IN_BUCKET)

    def header_of(name: str) -> images.Size | str:
        path = root / name
        return images.header(path if on_disk else path.read_bytes())

    sample = [names[i * len(names) // count] for i in range(count)]
    with ThreadPoolExecutor(16) as pool:
        headers = list(pool.map(header_of, sample))
    size = config.image_size(data.base_size, data.resolution)
    damaged, unfit, unfit_sizes = [], [], []
    for name, header in zip(sample, headers, strict=True):
        if isinstance(header, str):
            damaged.append(f"{root / name} {header}")
            continue
        problem = images.size_problem(*header, size, data.fit)
        if problem:
            unfit.append(f"{root / name} {problem}")
            unfit_sizes.append(header)
    what = f"of the {len(sample)} images looked at in `data.path` (={str(root)!r})"
    if damaged:
        raise ValueError(
            f"{len(damaged)} {what} can't be read; remove or replace them:"
            + _listing(damaged)
        )
    if unfit:
        rectangle = f" and `data.base_size` (={data.base_size})"
        raise ValueError(
            f"{len(unfit)} {what} have a size that does not fit `data.resolution` "
            f"(={data.resolution})"
            + rectangle * (data.base_size != (4, 4))
            + f"; {images.size_remedy(unfit_sizes, data)}:"
            + _listing(unfit)
        )


def _listing(problems: list[str]) -> str:
    lines = problems[:MAX_LISTED]
    if len(problems) > MAX_LISTED:
        lines.append(f"... and {len(problems) - MAX_LISTED} more")
    return "".join(f"\n  {line}" for line in lines)


def _fingerprint(root: Folder, names: list[str]) -> str:
    """Digest of relative paths, hence labels, and file sizes."""

    def size_of(name: str) -> int:
        status = (root / name).stat()
        return status.st_size if isinstance(root, Path) else status.length

    with ThreadPoolExecutor(16) as pool:  # in a bucket each is a request
        sizes = list(pool.map(size_of, names))
    digest = hashlib.sha256()
    for name, size in zip(names, sizes, strict=True):
        digest.update(os.fsencode(f"{name}\0{size}\n"))
    return digest.hexdigest()
