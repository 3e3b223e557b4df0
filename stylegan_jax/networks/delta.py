"""The difference of a tuned network to its base, as a small file.

The arrays are tuned minus base, in float16, for the parameters that differ. The
metadata name the base and its digest, so the network can be opened like any other.
"""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from stylegan_jax.networks.digest import digest
from stylegan_jax.networks.network import Network
from stylegan_jax.weights import described, safetensors
from stylegan_jax.weights.safetensors import FormatError

KEY = "stylegan_jax.delta"  # key of the description in the metadata
KIND = described.Kind(KEY, version=1, name="difference of networks", program="tune")


def save(base: Network, tuned: Network, path: str | os.PathLike) -> None:
    """Write the difference of two networks of the same architecture; replace a file.

    Args:
      base: the network that `load` will open by its reference.
      tuned: the other network.
      path: the file, which ends in `.safetensors`.

    Raises:
      ValueError: the networks have different arrays, or a difference exceeds float16.
    """
    before, after = _flat(base), _flat(tuned)
    shapes = [{name: x.shape for name, x in flat.items()} for flat in (before, after)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            "the networks have different arrays, so they cannot be subtracted; save "
            "the whole network"
        )
    arrays = {}
    for name, value in after.items():
        if np.array_equal(value, before[name]):
            continue
        with np.errstate(over="ignore"):
            arrays[name] = (value - before[name]).astype(np.float16)
        if not np.isfinite(arrays[name]).all():
            raise ValueError(
                f"the difference of {name} exceeds float16; save the whole network"
            )
    local = Path(base.reference).expanduser()
    about = {
        "base": str(local.absolute()) if local.exists() else base.reference,
        "step": base.checkpoint if local.is_dir() else None,
        "digest": digest(base.variables),
    }
    described.write(path, KIND, arrays, about)


def is_delta(path: str | os.PathLike) -> bool:
    """Return True for a file that `save` wrote."""
    try:
        return KEY in safetensors.read_metadata(path)
    except FormatError:
        return False  # `file.load` reports the problem


def load(
    path: str | os.PathLike, reference: str, open_base: Callable[..., Network]
) -> Network:
    """Return the tuned network of a file that `save` wrote.

    Args:
      path: the file.
      reference: the user's name for it, for `Network.reference` and messages.
      open_base: function (reference, step) -> the base.

    Raises:
      ValueError: the file is damaged, or its base is missing or another network.
      OSError: a file cannot be read.
    """
    arrays, about = described.read(path, KIND, _checked, reference)
    base_name = about["base"]
    try:
        base = open_base(base_name, about.get("step"))
    except (ValueError, OSError) as error:
        raise ValueError(
            f"{reference} is a difference to {base_name}, which cannot be opened: "
            f"{error}"
        ) from error
    if digest(base.variables) != about["digest"]:
        raise ValueError(
            f"{reference} is a difference to another version of {base_name}; use the "
            "whole network that `tune` wrote, or tune again"
        )
    flat = _flat(base)
    for name, difference in arrays.items():
        if name not in flat or flat[name].shape != difference.shape:
            raise ValueError(f"{reference} is damaged: {name} does not fit {base_name}")
        flat[name] = flat[name] + difference.astype(np.float32)
    variables = jax.device_put(traverse_util.unflatten_dict(flat, sep="/"))
    return dataclasses.replace(base, variables=variables, reference=reference)


def _checked(
    arrays: dict[str, np.ndarray], about: dict[str, Any]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the content of a file after a check of its types."""
    step = about.get("step")
    described.require(
        {
            "step": step is None or described.is_count(step, 0),
            "base": described.is_text(about.get("base")),
            "digest": described.is_digest(about.get("digest")),
        }
    )
    return arrays, about


def _flat(network: Network) -> dict[str, np.ndarray]:
    flat = traverse_util.flatten_dict(jax.device_get(network.variables), sep="/")
    return {name: np.asarray(value) for name, value in flat.items()}
