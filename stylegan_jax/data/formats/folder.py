"""Folders of image files, on disk or in a bucket."""

import os
import stat
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from etils import epath

from stylegan_jax.data.interface import (
    InvalidImage,
    RawDataset,
    check_bytes,
    identity,
)

Folder = Path | epath.Path  # on disk, or in a bucket
LABEL_FILE = "dataset.json"
# The files that TensorFlow decodes in training, and those that Pillow reads here.
TRAINING_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
SUFFIXES = (
    *(".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm"),
    *(".tif", ".tiff", ".webp"),
)


def open_folder(root: Path) -> RawDataset:
    """Open the images below a folder in the order of their paths.

    Raises:
      ValueError: there are none.
    """
    names = tuple(image_names(root, "--source", SUFFIXES))

    def read(index: int) -> bytes:
        try:
            # Pipes and devices could be endless.
            status = (root / names[index]).stat()
            if not stat.S_ISREG(status.st_mode):
                raise InvalidImage("is not a regular file")
            check_bytes(status.st_size)
            return (root / names[index]).read_bytes()
        except OSError as error:
            raise InvalidImage(f"cannot be read: {error.strerror or error}") from error

    def size(name: str) -> int:
        try:
            return (root / name).stat().st_size
        except OSError:  # `read` reports it
            return -1

    label_file = root / LABEL_FILE
    return RawDataset(
        name=str(root),
        names=names,
        identity=identity((name, size(name)) for name in names),
        read=read,
        label_file=label_file.read_bytes() if label_file.is_file() else None,
    )


def image_names(
    root: Folder,
    setting: str = "data.path",
    suffixes: tuple[str, ...] = TRAINING_SUFFIXES,
) -> list[str]:
    """Return the sorted posix paths, relative to `root`, of all images below it.

    Links to folders are followed, but no folder is listed twice, even if several links
    lead to it, or a link and its own path.

    Args:
      root: the folder.
      setting: name of the flag or config field in error messages.
      suffixes: file name endings, in lower case.

    Raises:
      ValueError: `root` is not a folder, or holds no images.
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
            f"`{setting}` (={str(root)!r}) holds no images; the names of images end in "
            f"{', '.join(suffixes)}, and subfolders are searched too"
        )
    return sorted(names)


def _on_disk(root: Path) -> Iterator[str]:
    """Yield all files; a folder is listed by its own path, else by the first link.

    Links are followed after all real folders, in the order in which they are met, with
    names sorted. Links to a folder that holds the link itself or `root` are ignored.
    """
    seen: set[str] = set()
    starts = deque([str(root)])
    while starts:
        for folder, subfolders, files in os.walk(starts.popleft()):
            real = os.path.realpath(folder)
            if real in seen:
                subfolders.clear()
                continue
            seen.add(real)
            subfolders[:] = sorted(n for n in subfolders if not n.startswith("."))
            paths = [os.path.join(folder, name) for name in subfolders]
            starts += [
                path
                for path in paths
                if os.path.islink(path)  # `os.walk` does not follow links
                and not _contains(path, folder)
                and not _contains(path, root)
            ]
            relative = Path(folder).relative_to(root)
            yield from ((relative / name).as_posix() for name in files)


def _in_bucket(root: epath.Path) -> Iterator[str]:
    for folder, _, files in root.walk():
        relative = folder.relative_to(root)
        yield from ((relative / name).as_posix() for name in files)


def _contains(link: str, folder: str | Path) -> bool:
    """Return True if a link points to a folder or to one of its parents."""
    return Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(link))
