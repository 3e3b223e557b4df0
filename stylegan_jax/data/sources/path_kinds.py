"""The kind of data set at a path: the `data.source` that reads it, or `prepare`."""

import os
import shlex
import tarfile
import zipfile
from pathlib import Path
from typing import NamedTuple

from stylegan_jax.data import formats
from stylegan_jax.data.formats import lsun, mnist, nvidia_tfrecords, parquet
from stylegan_jax.data.formats.listing import image_endings
from stylegan_jax.data.label_file import LABEL_FILE
from stylegan_jax.data.preparation.output import INFO
from stylegan_jax.runtime import storage

PREPARE = "prepare"
TFDS_FILE = "features.json"  # next to TFDS's own dataset_info.json
FOLDER = "a folder"  # without an image among its first files
MAX_FILES = 1000  # of a folder, searched for an image
MAX_CHILDREN = 100  # subfolders, searched for a data set


class PathKind(NamedTuple):
    """A kind of data set.

    Attributes:
      what: description of the kind for messages, with its article.
      reader: the `data.source` that reads it, or PREPARE, or None for neither.
      remedy: further advice, for messages; "" if `reader` is enough.
    """

    what: str
    reader: str | None
    remedy: str = ""


def kind_of(path: str) -> PathKind | None:
    """Return the kind of data set at a path; None if there is nothing."""
    if storage.scheme_of(path) is not None:
        return PathKind("in a bucket", "folder")
    place = Path(path).expanduser()
    if place.is_dir():
        return _kind_of_folder(place)
    return _kind_of_file(place) if place.exists() else None


def find_reader(path: str, setting: str) -> PathKind:
    """Return the kind of a path that some `data.source` reads.

    Args:
      path: the path.
      setting: name of the flag or config field in error messages.

    Raises:
      ValueError: the path does not exist, or only `prepare` or nothing reads it.
    """
    kind = kind_of(path)
    if kind is None:
        raise ValueError(f"`{setting}` (={path!r}) {missing(path)}")
    if kind.reader in (None, PREPARE):
        raise ValueError(
            f"`{setting}` (={path!r}) is {kind.what}; {advice(kind, path)}"
        )
    return kind


def advice(kind: PathKind, path: str) -> str:
    """Return advice on how to use a path of a kind."""
    if kind.remedy:
        return kind.remedy
    if kind.reader == PREPARE:
        source = shlex.quote(path)
        return (
            "make a data set of it with `python -m stylegan_jax.prepare "
            f"--source={source} --out=...`, and use that"
        )
    if kind.reader is None:
        return (
            "use a folder or a zip of images, a folder that `prepare` made, or one of "
            "NVIDIA's TFRecords"
        )
    return f"use `--config.data.source={kind.reader}`, or `auto`, which finds the kind"


def missing(path: str) -> str:
    """Return a clause about a path that does not exist."""
    if os.path.isabs(os.path.expanduser(path)):
        return "does not exist"
    return f"does not exist; it is relative to the current directory, {os.getcwd()}"


def _kind_of_folder(folder: Path, look_below: bool = True) -> PathKind:
    names = {entry.name for entry in os.scandir(folder)}
    if INFO in names and TFDS_FILE in names:
        return PathKind(
            "a data set of TensorFlow Datasets",
            None,
            "train on it with `data.source=tfds`, its `data.tfds_name` and "
            "`data.tfds_data_dir`, or prepare it with --source=tfds:NAME",
        )
    # An unpacked zip of `prepare --format=zip` has a dataset.json, too.
    if INFO in names and LABEL_FILE not in names:
        return PathKind("a folder that `prepare` made", "prepared")
    if any(
        name.endswith(nvidia_tfrecords.SUFFIX)
        and nvidia_tfrecords.LEVEL.search(Path(name).stem)
        for name in names
    ):
        return PathKind("a folder of NVIDIA's TFRecords", "tfrecords")
    if lsun.FILE in names:
        return PathKind("a folder with LSUN's LMDB", PREPARE)
    if parquet.find(folder) and not _has_images(folder):
        return PathKind("a folder of parquet files", PREPARE)
    if (folder / "progress" / "request.json").is_file():
        return PathKind(
            "the partial output of `prepare`",
            None,
            "continue it with `prepare --resume`, and use its result",
        )
    if _has_images(folder):
        return PathKind("a folder of images", "folder")
    for name in sorted(names)[:MAX_CHILDREN] if look_below else ():
        child = folder / name
        kind = _kind_of_folder(child, False) if child.is_dir() else None
        if kind is not None and kind.what != FOLDER:
            where = shlex.quote(str(child))
            use = advice(kind, str(child)) if kind.reader == PREPARE else "use that"
            return PathKind(f"a folder that contains {kind.what}, {where}", None, use)
    return PathKind(FOLDER, "folder")


def _kind_of_file(path: Path) -> PathKind:
    name = path.name.lower()
    if not path.is_file():
        return PathKind("neither a file nor a folder", None)
    if name.endswith(formats.TAR_SUFFIXES):
        return PathKind("a tar archive", PREPARE)
    if name.endswith(parquet.SUFFIX):
        return PathKind("a parquet file", PREPARE)
    if name.endswith((nvidia_tfrecords.SUFFIX, ".tfrecord")):
        folder = shlex.quote(str(path.parent))
        return PathKind("a single TFRecord file", None, f"use its folder, {folder}")
    if name.endswith(lsun.SUFFIX):
        return PathKind("an LMDB", PREPARE)
    if name.endswith(mnist.SUFFIXES):
        return PathKind("an idx file of images", PREPARE)
    try:
        if zipfile.is_zipfile(path):
            return PathKind("a zip", "zip")
        if tarfile.is_tarfile(path):
            return PathKind("a tar archive", PREPARE)
    except OSError:
        return PathKind("a file that cannot be read", None)
    if name.endswith(".zip"):
        return PathKind("a zip", "zip")  # damaged; opening it says how
    if path.suffix.lower() in image_endings():
        return PathKind("a single image", None, "use a folder or a zip of images")
    return PathKind("a file of an unknown kind", None)


def _has_images(folder: Path) -> bool:
    """Return True if a folder, or one below it, has a file named like an image."""
    seen = 0
    for _, _, files in os.walk(folder):
        for name in files:
            if Path(name).suffix.lower() in image_endings():
                return True
            seen += 1
            if seen > MAX_FILES:
                return False
    return False
