"""A directory of image files as a data source."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from stylegan_jax import config
from stylegan_jax.data import images
from stylegan_jax.data.interface import Source

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
MAX_HEADERS = 5000  # read at opening; of larger folders an even sample
MAX_LISTED = 5  # files named in one message


def open_folder(data: config.Data) -> Source:
    """All images below `data.path`, in the order of their relative paths.

    When every image lies in a sub-folder, the first-level sub-folders are the classes.

    Raises:
      ValueError: no images, or images that are damaged or have an unusable size.
    """
    root = Path(data.path).expanduser()
    names = _image_names(root)
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

    def load(index: Any) -> tuple[Any, Any]:
        encoded = tf.io.read_file(path_table[index])
        return images.load_encoded(encoded, *how), label_table[index]

    def check(index: int) -> str | None:
        try:
            encoded = (root / names[index]).read_bytes()
        except OSError as error:
            return f"can't be read: {error.strerror}"
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


def _image_names(root: Path) -> list[str]:
    """Sorted posix paths, relative to `root`, of all image files below it."""
    if not root.is_dir():
        raise ValueError(
            f"`data.path` (={str(root)!r}) is not a directory; it must be one with "
            f"images ({', '.join(SUFFIXES)}), searched recursively"
        )
    names = []
    for folder, subfolders, files in os.walk(root, followlinks=True):
        subfolders[:] = [
            name
            for name in subfolders
            if not name.startswith(".") and not _links_back(folder, name)
        ]
        relative = Path(folder).relative_to(root)
        names += [
            (relative / name).as_posix()
            for name in files
            if name.lower().endswith(SUFFIXES) and not name.startswith(".")
        ]
    if not names:
        raise ValueError(
            f"`data.path` (={str(root)!r}) holds no images; files with the endings "
            f"{', '.join(SUFFIXES)} are looked for, in sub-folders too"
        )
    return sorted(names)


def _links_back(folder: str, name: str) -> bool:
    """Whether a sub-folder is a link to a folder that it lies in."""
    target = os.path.realpath(os.path.join(folder, name))
    return Path(os.path.realpath(folder)).is_relative_to(target)


def _check_headers(root: Path, names: list[str], data: config.Data) -> None:
    count = min(len(names), MAX_HEADERS)
    sample = [names[i * len(names) // count] for i in range(count)]
    with ThreadPoolExecutor(16) as pool:
        headers = list(pool.map(lambda name: images.header(root / name), sample))
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


def _fingerprint(root: Path, names: list[str]) -> str:
    """Digest of relative paths, hence labels, and file sizes."""
    digest = hashlib.sha256()
    for name in names:
        size = (root / name).stat().st_size
        digest.update(os.fsencode(f"{name}\0{size}\n"))
    return digest.hexdigest()
