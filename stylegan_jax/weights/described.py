"""Safetensors files with a description, JSON in the metadata under the kind's key.

The "version" in the description tells which program can read it.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np

from stylegan_jax.runtime.messages import listed
from stylegan_jax.weights import safetensors
from stylegan_jax.weights.safetensors import FormatError

T = TypeVar("T")


class Kind(NamedTuple):
    """A kind of files.

    Attributes:
      key: key of the description in the metadata.
      version: version of the description.
      name: name of the content of a file, such as "direction".
      program: the program of this package that writes them, such as "directions".
    """

    key: str
    version: int
    name: str
    program: str


def write(
    path: str | os.PathLike,
    kind: Kind,
    arrays: Mapping[str, np.ndarray],
    description: Mapping[str, Any],
) -> None:
    """Write arrays and their description; replace a file atomically."""
    text = json.dumps({"version": kind.version, **description})
    safetensors.write(path, arrays, {kind.key: text})


def read(
    path: str | os.PathLike,
    kind: Kind,
    parse: Callable[[dict[str, np.ndarray], dict[str, Any]], T],
    reference: str | None = None,
) -> T:
    """Read a file that `write` wrote.

    Args:
      path: the file.
      kind: its kind.
      parse: function (arrays, description) -> content. It raises a `FormatError` if
        they are invalid; see `require`.
      reference: name of the file in messages, by default its kind and path.

    Raises:
      ValueError: the file is damaged, or of another kind or version.
      OSError: the file cannot be read.
    """
    try:
        arrays, metadata = safetensors.read(path)
        return parse(arrays, _description(metadata, kind))
    except ValueError as error:
        reference = f"{kind.name} {path}" if reference is None else reference
        raise ValueError(f"{reference} cannot be used: {error}") from error


def require(right: Mapping[str, bool]) -> None:
    """Raise FormatError unless all parts of a description are valid.

        require({"name": is_text(description.get("name"))})

    Args:
      right: name of a part -> True if it is present and has an allowed value.
    """
    wrong = [name for name, fits in right.items() if not fits]
    if wrong:
        raise FormatError(
            f"its description is damaged: {listed(wrong)} must be present and have "
            "allowed values"
        )


def is_text(value: Any) -> bool:
    """Return True for a string that is not empty."""
    return isinstance(value, str) and bool(value)


def is_number(value: Any) -> bool:
    """Return True for a finite number."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def is_count(value: Any, least: int = 1) -> bool:
    """Return True for an integer that is at least `least`."""
    return type(value) is int and value >= least


def are_numbers(value: Any) -> bool:
    """Return True for a dictionary of finite numbers."""
    return isinstance(value, dict) and all(map(is_number, value.values()))


def is_digest(value: Any) -> bool:
    """Return True for a hexadecimal SHA-256."""
    return isinstance(value, str) and bool(re.fullmatch("[0-9a-f]{64}", value))


def is_network(value: Any) -> bool:
    """Return True for the reference and the fingerprint of a network."""
    return (
        isinstance(value, dict)
        and is_text(value.get("reference"))
        and is_digest(value.get("fingerprint"))
    )


def float32_arrays(
    arrays: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    """Return arrays as float32.

    Raises:
      FormatError: they have other names or shapes, or are not finite floating-point
        numbers.
    """
    problems = [
        *(f"{name} is missing" for name in sorted(shapes.keys() - arrays.keys())),
        *(f"{name} is unknown" for name in sorted(arrays.keys() - shapes.keys())),
        *(
            f"{name} is {arrays[name].shape}, not {shapes[name]}"
            for name in sorted(shapes.keys() & arrays.keys())
            if arrays[name].shape != shapes[name]
        ),
    ]
    if problems:
        raise FormatError(f"its arrays do not fit its description: {listed(problems)}")
    found = {}
    for name, array in arrays.items():
        with np.errstate(over="ignore"):
            found[name] = array.astype(np.float32)
        if array.dtype.kind != "f" or not np.isfinite(found[name]).all():
            raise FormatError(f"{name} must hold finite floating-point numbers")
    return found


def _description(metadata: Mapping[str, str], kind: Kind) -> dict[str, Any]:
    if kind.key not in metadata:
        article = "an" if kind.name[0] in "aeiou" else "a"
        raise FormatError(
            f"it is a safetensors file, but has no description of {article} "
            f"{kind.name}; use a file that `python -m stylegan_jax.{kind.program}` "
            "wrote"
        )
    try:
        found = json.loads(metadata[kind.key])
    except (json.JSONDecodeError, RecursionError) as error:
        raise FormatError(f"its description is damaged: {error}") from error
    version = found.get("version") if isinstance(found, dict) else None
    if version != kind.version:
        raise FormatError(
            f"its description has version {version!r}; this program reads version "
            f"{kind.version}, and a newer one may read it"
        )
    return found
