"""The multi-resolution TFRecords of NVIDIA's ProGAN, StyleGAN and StyleGAN2.

A folder holds NAME-rXX.tfrecords with raw images [C, H, W] for each resolution 2^XX,
and NAME-rxx.labels, a NumPy file, if there are labels.
"""

import math
import re
from pathlib import Path

import numpy as np
from google.protobuf.message import DecodeError

from stylegan_jax.data import labels
from stylegan_jax.data.formats import tfrecord
from stylegan_jax.data.interface import InvalidImage, RawDataset, identity
from stylegan_jax.runtime.tensorflow import tensorflow

SUFFIX = ".tfrecords"
LEVEL = re.compile(r"-r(\d\d)$")


def levels(folder: Path) -> dict[int, Path]:
    """Return the file of each resolution in a folder, ascending; {} for none.

    Raises:
      ValueError: the folder holds several data sets.
    """
    files = [p for p in folder.glob(f"*{SUFFIX}") if LEVEL.search(p.stem)]
    names = sorted({_name(path) for path in files})
    if len(names) > 1:
        raise ValueError(
            f"{folder} holds several data sets, {', '.join(names)}; give each its own "
            "folder"
        )
    return {2 ** int(path.stem[-2:]): path for path in sorted(files)}


def open_records(path: Path) -> RawDataset:
    """Open the images of one file, and their labels.

    Raises:
      ValueError: the file is truncated or empty, or the labels cannot be used.
    """
    try:
        reader = tfrecord.Reader([path])
    except ValueError as error:
        raise ValueError(
            f"{error}; copy it again, because it is truncated or not a TFRecord"
        ) from error
    if not len(reader):
        raise ValueError(f"{path} has no records")

    def read(index: int) -> np.ndarray:
        try:
            return decode(reader.read_checked(index))
        except ValueError as error:
            raise InvalidImage(str(error)) from error

    return RawDataset(
        name=str(path),
        names=tuple(f"record {index}" for index in range(len(reader))),
        identity=identity([(path.name, path.stat().st_size)]),
        read=read,
        own_labels=read_labels(path, len(reader)),
    )


def decode(record: bytes) -> np.ndarray:
    """Return the image of a record, uint8 [H, W, C].

    Raises:
      InvalidImage: the record does not hold an image.
    """
    try:
        feature = tensorflow().train.Example.FromString(record).features.feature
    except DecodeError as error:
        raise InvalidImage("holds no tf.train.Example") from error
    shape = tuple(feature["shape"].int64_list.value)
    data = feature["data"].bytes_list.value
    whole = len(shape) == 3 and len(data) == 1 and len(data[0]) == math.prod(shape)
    if not whole or min(shape) < 1:
        raise InvalidImage(f"holds no raw image; its shape is {shape}")
    return np.frombuffer(data[0], np.uint8).reshape(shape).transpose(1, 2, 0)


def read_labels(path: Path, count: int) -> labels.Labels | None:
    """Return the labels of a file of `count` images; None without labels.

    Raises:
      ValueError: the labels are damaged or do not match the images.
    """
    file = path.with_name(f"{_name(path)}-rxx.labels")
    if not file.exists():
        return None
    try:
        table = np.load(file, allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise ValueError(f"{file} cannot be read ({error}); remove it") from error
    numbers = table.dtype.kind in "biuf" and np.isfinite(table).all()
    if table.ndim != 2 or len(table) != count or not numbers:
        raise ValueError(
            f"{file} holds {table.dtype} {table.shape}; it must hold a row of finite "
            f"numbers for each of the {count} images of {path.name}; move it away to "
            "continue without labels"
        )
    return labels.from_vectors(table) if table.shape[1] else None


def _name(path: Path) -> str:
    return LEVEL.sub("", path.stem)
