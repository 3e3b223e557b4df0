"""The multi-resolution TFRecords of NVIDIA's ProGAN, StyleGAN and StyleGAN2.

A folder holds NAME-rXX.tfrecords for each resolution 2^XX, of raw images [C, H, W], and
with labels NAME-rxx.labels, a NumPy file.
"""

import math
import re
from pathlib import Path

import numpy as np
from google.protobuf.message import DecodeError

from stylegan_jax.data import labels, tfrecords
from stylegan_jax.data.collection import Collection, Unusable, identity
from stylegan_jax.data.images import tensorflow

SUFFIX = ".tfrecords"


def find(folder: Path) -> Path | None:
    """The file of the highest resolution in a folder; None without any."""
    files = [p for p in folder.glob(f"*{SUFFIX}") if re.search(r"-r\d\d$", p.stem)]
    return max(files, key=lambda path: path.stem[-2:], default=None)


def open_records(path: Path) -> Collection:
    """The images of one file, and their labels when they are classes.

    Raises:
      ValueError: the file ends within a record, or the labels are no classes.
    """
    try:
        ends = tfrecords.offsets(path)
    except ValueError as error:
        raise ValueError(
            f"{error}; copy it again, the file was cut off or is no TFRecord"
        ) from error
    if len(ends) == 1:
        raise ValueError(f"{path} has no records")

    def read(index: int) -> np.ndarray:
        try:
            payload = tfrecords.read_checked(path, *ends[index : index + 2].tolist())
            example = tensorflow().train.Example.FromString(payload)
        except ValueError as error:
            raise Unusable(str(error)) from error
        except DecodeError as error:
            raise Unusable("holds no example of TensorFlow") from error
        feature = example.features.feature
        shape = tuple(feature["shape"].int64_list.value)
        data = feature["data"].bytes_list.value
        if len(shape) != 3 or len(data) != 1 or len(data[0]) != math.prod(shape):
            raise Unusable(f"holds no raw image; its shape is {shape}")
        return np.frombuffer(data[0], np.uint8).reshape(shape).transpose(1, 2, 0)

    return Collection(
        name=str(path),
        names=tuple(f"record {index}" for index in range(len(ends) - 1)),
        identity=identity([(path.name, path.stat().st_size)]),
        read=read,
        own_labels=_labels(path, len(ends) - 1),
    )


def _labels(path: Path, count: int) -> labels.Labels | None:
    file = path.with_name(re.sub(r"-r\d\d$", "", path.stem) + "-rxx.labels")
    if not file.exists():
        return None
    try:
        table = np.load(file, allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise ValueError(f"{file} can't be read ({error}); remove it") from error
    if table.ndim == 2 and table.shape[1] == 0:
        return None
    one_hot = table.ndim == 2 and ((table == 0) | (table == 1)).all()
    if len(table) != count or not one_hot or (table.sum(1) != 1).any():
        raise ValueError(
            f"{file} holds {table.dtype} {table.shape}; only classes are supported, "
            f"one-hot rows for each of the {count} images of {path.name}; move it away "
            "to prepare without labels"
        )
    classes = tuple(map(str, range(table.shape[1])))
    return classes, tuple(table.argmax(1).tolist())
