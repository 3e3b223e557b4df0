"""Checks of the paths on a command line, before any work is done."""

import os
import shlex
from pathlib import Path

from etils import epath

from stylegan_jax.runtime import storage
from stylegan_jax.runtime.messages import listed

# Extensions of files: a folder with such a name would be a mistake.
_IMAGES = "avif bmp dib gif jfif jp2 jpe jpeg jpg pgm png pnm ppm svg tif tiff webp"
_ARCHIVES = "7z bz2 gz rar tar tgz xz zip zst"
_ARRAYS = "h5 hdf5 lmdb mdb npy npz parquet pkl pt pth safetensors tfrecord tfrecords"
_TEXTS = "csv html json jsonl pdf py txt yaml yml"
FILE_ENDINGS = frozenset(
    f".{ending}"
    for kind in (_IMAGES, _ARCHIVES, _ARRAYS, _TEXTS, "mp4 webm idx3-ubyte")
    for ending in kind.split()
)


def file(path: str, flag: str, endings: tuple[str, ...]) -> epath.Path:
    """Return the path of a file to write.

    Args:
      path: the path.
      flag: name of the flag, for messages.
      endings: the extensions of the written format, the usual one first; "" allows a
        name without an extension.

    Raises:
      ValueError: it names a folder, has another extension, or cannot be created there.
    """
    target = storage.open_path(path)
    shown = f"`{flag}` (={path})"
    usual = endings[0]
    if _is_folder(path, target):
        raise ValueError(f"{shown} is a folder; name a file in it that ends in {usual}")
    if target.suffix.lower() not in endings:
        options = listed(ending for ending in endings if ending)
        raise ValueError(
            f"{shown} must end in {options}, the format of the output; try "
            f"{flag}={shlex.quote(str(target.with_suffix(usual)))}"
        )
    check_parents(target, shown)
    return target


def new_directory(path: str, flag: str) -> epath.Path:
    """Return the path of a directory to write into, which may exist.

    Args:
      path: the path.
      flag: name of the flag, for messages.

    Raises:
      ValueError: it is a file, has the extension of one, or cannot be created there.
    """
    target = storage.open_path(path)
    shown = f"`{flag}` (={path})"
    if storage.scheme_of(path) is None and target.exists():
        if not target.is_dir():
            raise ValueError(f"{shown} must be a folder, but it is a file")
        if not os.access(target, os.W_OK):
            raise ValueError(f"{shown} is a folder that you may not write to")
        return target
    if target.suffix.lower() in FILE_ENDINGS:
        raise ValueError(
            f"{shown} must be a folder, but a name that ends in {target.suffix} is "
            f"that of a file; try {flag}={shlex.quote(str(target.with_suffix('')))}"
        )
    check_parents(target, shown)
    return target


def input_file(path: str, flag: str) -> Path:
    """Return the path of a file to read; raise ValueError unless it can be read.

    Args:
      path: the path, which must be on disk.
      flag: name of the flag, for messages.
    """
    local = storage.local_path(path, flag)
    check_input_file(local, flag)
    return local


def check_input_file(path: Path, flag: str) -> None:
    """Raise ValueError unless a path on disk is that of a file that can be read."""
    shown = f"`{flag}` (={path})"
    if not path.exists():
        raise ValueError(f"{shown} does not exist")
    if path.is_dir():
        raise ValueError(f"{shown} must be a file, but it is a folder")
    if not os.access(path, os.R_OK):
        raise ValueError(f"{shown} is a file that you may not read")


def _is_folder(path: str, target: epath.Path) -> bool:
    if path.endswith(("/", os.sep)):
        return True
    return storage.scheme_of(path) is None and target.is_dir()


def check_parents(target: epath.Path, shown: str) -> None:
    """Raise ValueError if the directory of a path on disk cannot be created."""
    if storage.scheme_of(target) is not None:
        return
    for parent in Path(os.path.abspath(target)).parents:
        if not os.path.lexists(parent):
            continue
        if not parent.is_dir():
            raise ValueError(f"{shown} cannot be created: {parent} is not a folder")
        if not os.access(parent, os.W_OK | os.X_OK):
            raise ValueError(f"{shown} cannot be created: you may not write {parent}")
        return
