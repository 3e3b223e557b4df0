"""Named arrays in the safetensors format: a JSON header, then raw numbers.

    8 bytes little-endian: length of the header | header | numbers, in its order

Reference: the format's description in https://github.com/huggingface/safetensors.
"""

import json
import math
import mmap
import os
import secrets
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

MAX_HEADER = 100_000_000  # bytes; the format's own limit
DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "?",
}
_NAMES = {np.dtype(code): name for name, code in DTYPES.items()}


class FormatError(ValueError):
    """The file is damaged, or not in the format."""


def write(
    path: str | os.PathLike,
    arrays: Mapping[str, np.ndarray],
    metadata: Mapping[str, str],
) -> None:
    """Writes arrays, whole or not at all.

    Args:
      path: of the file; one that exists is replaced.
      arrays: name -> array of a type in DTYPES.
      metadata: texts to go with them.

    Raises:
      ValueError: a type has no place in the format.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    parts, end = [], 0
    for name, array in arrays.items():
        array = np.asarray(array)
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        if little.dtype not in _NAMES:
            raise ValueError(
                f"{name} is of type {array.dtype}; safetensors holds {list(DTYPES)}"
            )
        parts.append(np.ascontiguousarray(little))
        start, end = end, end + little.nbytes
        header[name] = {
            "dtype": _NAMES[little.dtype],
            "shape": list(array.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # so that the numbers are aligned
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for part in parts:
                file.write(part.data if part.size else b"")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Reads arrays and metadata.

    Returns:
      Name -> read-only array on the file's pages, in the file's order; the texts.

    Raises:
      FormatError: the file is damaged, or not in the format.
    """
    with Path(path).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        _require(size >= 8, f"has {size} bytes, too few for a header")
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    (length,) = struct.unpack("<Q", data[:8])
    _require(
        length <= min(MAX_HEADER, size - 8),
        f"claims a header of {length:,} bytes in a file of {size:,}",
    )
    try:
        header = json.loads(data[8 : 8 + length], object_pairs_hook=_unique)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise FormatError(f"has a header that is no JSON: {error}") from error
    _require(type(header) is dict, "has a header that is no JSON object")
    metadata = header.pop("__metadata__", {})
    _require(
        type(metadata) is dict and all(type(v) is str for v in metadata.values()),
        "has metadata other than texts",
    )
    numbers = memoryview(data)[8 + length :]
    arrays, covered = {}, 0
    for name, entry in sorted(header.items(), key=_place):
        array = _array(name, entry, covered, numbers)
        covered += array.nbytes
        arrays[name] = array
    _require(
        covered == len(numbers),
        f"has {len(numbers):,} bytes of numbers, the header tells of {covered:,}",
    )
    return {name: arrays[name] for name in header}, metadata


def _array(name: str, entry: Any, start: int, numbers: memoryview) -> np.ndarray:
    """The array of one entry, whose numbers have to begin at `start`."""
    shape, dtype = entry["shape"], DTYPES.get(str(entry["dtype"]))
    _require(dtype is not None, f"{name!r} has the unknown type {entry['dtype']!r}")
    _require(
        type(shape) is list
        and len(shape) <= 32
        and all(type(n) is int and 0 <= n <= len(numbers) for n in shape),
        f"{name!r} has a shape that is no list of sizes",
    )
    end = start + math.prod(shape) * np.dtype(dtype).itemsize
    _require(
        entry["data_offsets"] == [start, end] and end <= len(numbers),
        f"{name!r} of shape {shape} should lie at bytes {start:,} to {end:,} of "
        f"{len(numbers):,}; the header says {entry['data_offsets']}",
    )
    flat = np.frombuffer(numbers[start:end], dtype)
    return flat.reshape(shape)


def _place(item: tuple[str, Any]) -> list[int]:
    """Where the numbers of an entry begin and end; checks its outer form."""
    name, entry = item
    offsets = entry.get("data_offsets") if type(entry) is dict else None
    _require(
        type(offsets) is list
        and len(offsets) == 2
        and all(type(n) is int for n in offsets)
        and set(entry) == {"dtype", "shape", "data_offsets"},
        f"{name!r} has no dtype, shape and data_offsets",
    )
    return offsets


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    _require(len(found) == len(pairs), "has a header with a key twice")
    return found


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise FormatError(message)
