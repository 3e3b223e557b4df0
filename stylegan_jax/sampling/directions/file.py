"""A direction as a safetensors file: its vector, with a description in the header.

The header's metadata holds JSON under the key `stylegan_jax_direction`:

    {"version": 1, "name": "sefa_1", "method": "sefa", "space": "w",
     "layers": [0, 1, 2, 3], "strengths": [-3.0, 3.0], "sigma": 0.52,
     "network": {"reference": "smileys64", "fingerprint": "..."},
     "facts": {"eigenvalue": 41.3, "share": 0.09}}
"""

import os
from typing import Any

import numpy as np

from stylegan_jax.runtime.messages import listed
from stylegan_jax.sampling.directions.direction import METHODS, Direction
from stylegan_jax.weights import described
from stylegan_jax.weights.described import is_count, is_number, is_text
from stylegan_jax.weights.safetensors import FormatError

KEY = "stylegan_jax_direction"  # key of the description in the metadata
KIND = described.Kind(KEY, version=1, name="direction", program="directions")
ENDING = ".safetensors"
MAX_VALUE = 1e6  # maximum absolute value in the vector


def save(direction: Direction, path: str | os.PathLike) -> None:
    """Write a direction to a file, atomically."""
    description = {
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
    described.write(path, KIND, {"vector": direction.vector}, description)


def load(path: str | os.PathLike) -> Direction:
    """Read a file that `save` wrote.

    Raises:
      ValueError: the file is damaged, or does not hold a direction.
      OSError: the file cannot be read.
    """
    return described.read(path, KIND, _direction)


def _direction(arrays: dict[str, np.ndarray], found: dict[str, Any]) -> Direction:
    described.require(
        {
            "name": is_text(found.get("name")),
            "method": found.get("method") in METHODS,
            "space": found.get("space") in ("w", "style"),
            "layers": _are_layers(found.get("layers"), found.get("space")),
            "strengths": _is_range(found.get("strengths")),
            "sigma": is_number(found.get("sigma")) and found["sigma"] > 0,
            "network": described.is_network(found.get("network")),
            "facts": described.are_numbers(found.get("facts")),
        }
    )
    vector = arrays.get("vector")
    if arrays.keys() != {"vector"} or vector.ndim not in (1, 2) or not vector.size:
        shapes = [f"{name} {list(array.shape)}" for name, array in arrays.items()]
        raise FormatError(
            "it must hold one array, vector [W], [L,W] or [C], but it holds "
            f"{listed(shapes) or 'none'}"
        )
    # The comparison is False for NaN, too.
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
        reference=found["network"]["reference"],
        fingerprint=found["network"]["fingerprint"],
        facts=found["facts"],
    )


def _is_range(value: Any) -> bool:
    """Return True for two increasing finite numbers."""
    pair = isinstance(value, list) and len(value) == 2 and all(map(is_number, value))
    return pair and value[0] < value[1]


def _are_layers(value: Any, space: Any) -> bool:
    """Return True for distinct layers; a direction of styles must have exactly one."""
    if not isinstance(value, list) or not value:
        return False
    whole = all(is_count(layer, 0) for layer in value)
    one = len(value) == 1 or space != "style"
    return whole and one and len(set(value)) == len(value)
