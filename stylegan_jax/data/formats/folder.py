"""Folders of image files, on disk or in a bucket."""

import os
import stat
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from etils import epath

from stylegan_jax.data import label_file
from stylegan_jax.data.formats.listing import (
    HEAD_BYTES,
    MAX_HEADS,
    Listing,
    kind_by_content,
    kind_by_name,
    listing,
    no_images,
)
from stylegan_jax.data.interface import (
    InvalidImage,
    RawDataset,
    check_bytes,
    identity,
)
from stylegan_jax.data.label_file import LabelFile

Folder = Path | epath.Path  # on disk, or in a bucket


def open_folder(root: Path) -> RawDataset:
    """Open the images below a folder in the order of their paths.

    Raises:
      ValueError: there are none.
    """
    found = list_images(root, "--source")
    names = found.names

    def size(name: str) -> int:
        try:
            return (root / name).stat().st_size
        except OSError:  # `read` reports it
            return -1

    return RawDataset(
        name=str(root),
        names=names,
        identity=identity((name, size(name)) for name in names),
        read=lambda index: _read(root / names[index]),
        label_file=find_label_file(root, found),
        notes=found.notes,
    )


def list_images(root: Folder, setting: str = "data.path") -> Listing:
    """Return the images below a folder; names are sorted posix paths relative to it.

    Links to folders are followed, but no folder is listed twice, even if several links
    lead to it, or a link and its own path.

    Args:
      root: the folder.
      setting: name of the flag or config field in error messages.

    Raises:
      ValueError: `root` is not a folder, or holds no images.
      OSError: a folder cannot be listed.
    """
    if not root.is_dir():
        raise ValueError(
            f"`{setting}` (={str(root)!r}) is not a directory; it must be one with "
            "images, searched recursively"
        )
    on_disk = isinstance(root, Path)
    files = sorted(_on_disk(root) if on_disk else _in_bucket(root))
    look_for_grids = on_disk and len(files) <= MAX_HEADS
    kinds = {name: kind_by_name(name, look_for_grids) for name in files}
    unclear = [name for name, kind in kinds.items() if kind is None]

    def kind_of(name: str) -> str:
        return kind_by_content(name, lambda most: _read(root / name, most))

    with ThreadPoolExecutor(16) as pool:
        kinds |= zip(unclear, pool.map(kind_of, unclear), strict=True)
    found = listing(kinds, lambda name: _read(root / name, HEAD_BYTES))
    if not found.names:
        raise no_images(setting, root, found.notes)
    return found


def find_label_file(root: Folder, found: Listing) -> LabelFile | None:
    """Return the dataset.json of a folder whose files are listed, if there is one."""

    def read(name: str) -> bytes:
        try:
            return _read(root / name)
        except InvalidImage as problem:
            raise ValueError(f"{root / name} {problem}") from problem

    return label_file.choose(
        found.label_files,
        found.names,
        lambda name: str(root / name),
        read,
        found.left_out,
    )


def _read(path: Folder, most: int | None = None) -> bytes:
    """Return the content of a file, or its first bytes.

    Raises:
      InvalidImage: it cannot be read, is not a regular file, or is far too large.
    """
    try:
        if isinstance(path, Path):
            # Pipes and devices could be endless.
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                raise InvalidImage("is not a regular file")
            check_bytes(status.st_size)
        if most is None:
            return path.read_bytes()
        with path.open("rb") as file:
            return file.read(most)
    except OSError as error:
        raise InvalidImage(f"cannot be read: {error.strerror or error}") from error


def _on_disk(root: Path) -> Iterator[str]:
    """Yield all files; a folder is listed under its own path, else the first link.

    Links are followed after all real folders, in the order in which they are met, with
    names sorted. Links to a folder that holds the link itself or `root` are ignored.
    """
    seen: set[str] = set()
    starts = deque([str(root)])
    while starts:
        for folder, subfolders, files in os.walk(starts.popleft(), onerror=_refuse):
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


def _refuse(error: OSError) -> None:
    raise error  # `os.walk` would skip the folder


def _in_bucket(root: epath.Path) -> Iterator[str]:
    for folder, _, files in root.walk():
        relative = folder.relative_to(root)
        yield from ((relative / name).as_posix() for name in files)


def _contains(link: str, folder: str | Path) -> bool:
    """Return True if a link points to a folder or to one of its parents."""
    return Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(link))
