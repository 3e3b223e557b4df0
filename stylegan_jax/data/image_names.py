"""The names of the image files of a folder, on disk or in a bucket."""

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from etils import epath

Folder = Path | epath.Path  # on disk, in a bucket
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")


def image_names(
    root: Folder, setting: str = "data.path", suffixes: tuple[str, ...] = SUFFIXES
) -> list[str]:
    """Sorted posix paths, relative to `root`, of all image files below it.

    Links to folders are followed, but no folder is listed twice: several links to one,
    or one beside the folder itself, give its images once.

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
    """All files; each folder once, by its own path, else that of the first link to it.

    Links are followed after the folders that are none, in the order in which they are
    met, names sorted. Not followed are those to a folder that holds the link or `root`.
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
            places = [os.path.join(folder, name) for name in subfolders]
            starts += [
                place
                for place in places
                if os.path.islink(place)  # `os.walk` leaves these out
                and not _holds(place, folder)
                and not _holds(place, root)
            ]
            relative = Path(folder).relative_to(root)
            yield from ((relative / name).as_posix() for name in files)


def _in_bucket(root: epath.Path) -> Iterator[str]:
    for folder, _, files in root.walk():
        relative = folder.relative_to(root)
        yield from ((relative / name).as_posix() for name in files)


def _holds(place: str, folder: str | Path) -> bool:
    """Whether a folder is what a link points to, or lies in it."""
    return Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(place))
