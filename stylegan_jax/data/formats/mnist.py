"""MNIST, Fashion-MNIST and similar sets: idx files, usually gzipped."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from stylegan_jax.data import labels
from stylegan_jax.data.interface import RawDataset, identity

SUFFIXES = ("-images-idx3-ubyte.gz", "-images-idx3-ubyte")
UNSIGNED_BYTES = 8  # the idx type code of uint8
MAX_BYTES = 2**31
MNIST_SIDE = 28  # padded to 32, as in NVIDIA's tool


def open_mnist(path: Path) -> RawDataset:
    """Open the images, with classes if `...-labels-idx1-ubyte...` is next to them.

    Images of 28x28 are padded with black to 32x32, a size that the networks support.

    Raises:
      ValueError: a file is damaged, or the two files do not match.
    """
    pixels = _read(path, 3)
    label_path = path.with_name(
        path.name.replace("-images-idx3-ubyte", "-labels-idx1-ubyte")
    )
    own_labels = None
    if label_path.exists():
        numbers = _read(label_path, 1)
        if len(numbers) != len(pixels):
            raise ValueError(
                f"{label_path} has {len(numbers)} labels for the {len(pixels)} images "
                f"of {path}; download both again"
            )
        own_labels = labels.from_class_numbers(range(int(numbers.max()) + 1), numbers)
    if pixels.shape[1:] == (MNIST_SIDE, MNIST_SIDE):
        pixels = np.pad(pixels, [(0, 0), (2, 2), (2, 2)])
    names = tuple(f"image {index}" for index in range(len(pixels)))
    return RawDataset(
        name=str(path),
        names=names,
        identity=identity([(path.name, path.stat().st_size)]),
        read=lambda index: pixels[index],
        own_labels=own_labels,
    )


def _read(path: Path, rank: int) -> np.ndarray:
    """Return the uint8 array of an idx file of a given rank.

    The file holds two zeros, the type, the rank, each size as a big-endian u32, and the
    data.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            begin = file.read(4)
            head = file.read(4 * rank)
            whole = len(head) == 4 * rank
            if begin != bytes([0, 0, UNSIGNED_BYTES, rank]) or not whole:
                raise ValueError(f"it does not begin like an idx{rank} file of bytes")
            sizes = np.frombuffer(head, ">u4").tolist()
            count = math.prod(sizes)
            if not 0 < count <= MAX_BYTES:
                raise ValueError(
                    f"its shape is {sizes}; from 1 to {MAX_BYTES:,} bytes are supported"
                )
            content = file.read(count + 1)
            if len(content) != count:
                raise ValueError(
                    f"it does not hold the {count:,} bytes that its header declares"
                )
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise ValueError(
            f"{path} cannot be read ({error}); download it again"
        ) from error
    return np.frombuffer(content, np.uint8).reshape(sizes)
