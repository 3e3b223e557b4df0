"""The names of the image files of a folder, on disk or in a bucket."""

import os
from collections.abc import Iterator
from pathlib import Path

from etils import epath

Folder = Path | epath.Path  # on disk, in a bucket
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")


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
