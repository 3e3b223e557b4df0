"""A direction as a file: its vector in the safetensors format, described in the header.

The header's metadata holds JSON under the key `stylegan_jax_direction`:

    {"version": 1, "name": "sefa_1", "method": "sefa", "space": "w",
     "layers": [0, 1, 2, 3], "strengths": [-3.0, 3.0], "sigma": 0.52,
     "network": {"reference": "smileys64", "fingerprint": "..."},
     "facts": {"eigenvalue": 41.3, "share": 0.09}}
"""

import json
import math
import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from stylegan_jax.runtime.messages import listed
from stylegan_jax.sampling.directions.direction import METHODS, Direction
from stylegan_jax.weights import safetensors
from stylegan_jax.weights.safetensors import FormatError

KEY = "stylegan_jax_direction"  # key of the description in the metadata
VERSION = 1
ENDING = ".safetensors"
MAX_VALUE = 1e6  # limit of the vector's absolute values


def save(direction: Direction, path: str | os.PathLike) -> None:
    """Write a direction; replace a file atomically."""
    description = {
        "version": VERSION,
        "name": direction.name,
        "method": direction.method,
        "space": direction.space,
        "layers": list(direction.layers),
        "strengths": list(direction.strengths),
        "sigma": direction.sigma,
        "network": {
            "reference": direction.reference,
            "fingerprint": direction.fingerprint,
        },
        "facts": dict(direction.facts),
    }
    safetensors.write(
        path, {"vector": direction.vector}, {KEY: json.dumps(description)}
    )


def load(path: str | os.PathLike) -> Direction:
    """Read a file that `save` wrote.

    Raises:
      ValueError: the file is damaged, or does not hold a direction.
      OSError: the file cannot be read.
    """
    try:
        arrays, metadata = safetensors.read(path)
        if KEY not in metadata:
            raise FormatError(
                "it is a safetensors file, but has no description of a direction; use "
                "a file that `python -m stylegan_jax.directions` wrote"
            )
        return _direction(arrays, metadata[KEY])
    except ValueError as error:
        raise ValueError(f"direction {path} cannot be used: {error}") from error


def _direction(arrays: Mapping[str, np.ndarray], text: str) -> Direction:
    try:
        found = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise FormatError(f"its description is damaged: {error}") from error
    version = found.get("version") if isinstance(found, dict) else None
    if version != VERSION:
        raise FormatError(
            f"its description has version {version!r}; this program reads version "
            f"{VERSION}, and a newer one may read it"
        )
    network = found.get("network")
    network = network if isinstance(network, dict) else {}
    right = {
        "name": _is_text(found.get("name")),
        "method": found.get("method") in METHODS,
        "space": found.get("space") in ("w", "style"),
        "layers": _are_layers(found.get("layers"), found.get("space")),
        "strengths": _is_range(found.get("strengths")),
        "sigma": _is_number(found.get("sigma")) and found["sigma"] > 0,
        "network": _is_text(network.get("reference"))
        and isinstance(network.get("fingerprint"), str)
        and re.fullmatch("[0-9a-f]{64}", network["fingerprint"]),
        "facts": isinstance(found.get("facts"), dict)
        and all(map(_is_number, found["facts"].values())),
    }
    wrong = [name for name, fits in right.items() if not fits]
    if wrong:
        raise FormatError(
            f"its description is damaged: {listed(wrong)} must be there and have "
            "allowed values"
        )
    vector = arrays.get("vector")
    if arrays.keys() != {"vector"} or vector.ndim not in (1, 2) or not vector.size:
        shapes = [f"{name} {list(array.shape)}" for name, array in arrays.items()]
        raise FormatError(
            "it must hold one array, vector [W], [L,W] or [C], and holds "
            f"{listed(shapes) or 'none'}"
        )
    # NaN is not within the bound, either.
    if vector.dtype != np.float32 or not np.all(np.abs(vector) <= MAX_VALUE):
        raise FormatError(
            f"its vector must hold float32 numbers from -{MAX_VALUE:g} to {MAX_VALUE:g}"
        )
    return Direction(
        name=found["name"],
        method=found["method"],
        space=found["space"],
        vector=vector,
        layers=tuple(found["layers"]),
        strengths=tuple(found["strengths"]),
        sigma=found["sigma"],
        reference=network["reference"],
        fingerprint=network["fingerprint"],
        facts=found["facts"],
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_range(value: Any) -> bool:
    """Return True for two increasing finite numbers."""
    pair = isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))
    return pair and value[0] < value[1]


def _are_layers(value: Any, space: Any) -> bool:
    """Return True for distinct layers, of which a direction of styles has one."""
    if not isinstance(value, list) or not value:
        return False
    whole = all(type(layer) is int and layer >= 0 for layer in value)
    one = len(value) == 1 or space != "style"
    return whole and one and len(set(value)) == len(value)
