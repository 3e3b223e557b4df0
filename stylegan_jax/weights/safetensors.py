"""Named arrays in the safetensors format, on top of the `safetensors` package.

This layer adds what the package leaves to its callers: arrays of any memory order are
written correctly, the types are those of NumPy, a file is replaced atomically, and
errors explain what is wrong.

Reference: https://github.com/huggingface/safetensors, which describes the format.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from stylegan_jax.runtime import storage
from stylegan_jax.weights.pickle import quote

DTYPES = {
    "F64": np.dtype("f8"),
    "F32": np.dtype("f4"),
    "F16": np.dtype("f2"),
    "I64": np.dtype("i8"),
    "I32": np.dtype("i4"),
    "I16": np.dtype("i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
MAX_RANK = 32  # axes of an array


class FormatError(ValueError):
    """The file is damaged, or not in the format."""


def write(
    path: str | os.PathLike,
    arrays: Mapping[str, np.ndarray],
    metadata: Mapping[str, str],
) -> None:
    """Write arrays; replace an existing file atomically.

    Args:
      path: Path of the file.
      arrays: Name -> array of a type in DTYPES.
      metadata: Strings to store with them.

    Raises:
      ValueError: The format does not support an array's type.
    """
    dense = {}
    for name, array in arrays.items():
        # The package copies memory, regardless of an array's strides.
        dense[name] = np.asarray(array, order="C")
        if dense[name].dtype.newbyteorder("=") not in DTYPES.values():
            raise ValueError(
                f"{name} has dtype {dense[name].dtype}; safetensors files may hold "
                f"{[str(dtype) for dtype in DTYPES.values()]}; convert it first"
            )
    content = safetensors.numpy.save(dense, dict(metadata))
    storage.write_atomically(path, content)


def read(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read arrays and metadata.

    Returns:
      Name -> array, and the metadata.

    Raises:
      FormatError: The file is damaged, or not in the format.
    """
    arrays = {}
    with _opened(path) as file:
        for name in file.keys():  # noqa: SIM118 (the file is not a dict)
            entry = file.get_slice(name)
            _check(name, entry.get_dtype(), entry.get_shape())
            arrays[name] = file.get_tensor(name)
        metadata = file.metadata() or {}
    _refuse_duplicates(path)
    return arrays, metadata


def read_metadata(path: str | os.PathLike) -> dict[str, str]:
    """Return only the metadata; see `read`."""
    with _opened(path) as file:
        return file.metadata() or {}


@contextlib.contextmanager
def _opened(path: str | os.PathLike) -> Iterator[Any]:
    """Open a file with the package, whose errors become FormatErrors."""
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            yield file
    except safetensors.SafetensorError as error:
        raise FormatError(
            f"the file is damaged or not in the safetensors format: {error}"
        ) from error


def _check(name: str, dtype: str, shape: list[int]) -> None:
    """Raise FormatError for arrays that NumPy does not support."""
    if dtype not in DTYPES:
        raise FormatError(
            f"array {quote(name)} has the type {dtype}; supported types are "
            f"{list(DTYPES)}; convert the file to one of them"
        )
    if len(shape) > MAX_RANK:
        raise FormatError(
            f"array {quote(name)} has {len(shape)} axes, more than {MAX_RANK}"
        )


def _refuse_duplicates(path: str | os.PathLike) -> None:
    """Raise FormatError if the header, which the package has checked, repeats a key."""

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len(dict(pairs)) < len(pairs):
            raise FormatError("the header of the file contains a key twice")
        return dict(pairs)

    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(length).decode()
    try:
        json.loads(header, object_pairs_hook=unique)
    except (json.JSONDecodeError, RecursionError) as error:
        raise FormatError(f"the header of the file is damaged: {error}") from error
