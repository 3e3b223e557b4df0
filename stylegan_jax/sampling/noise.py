"""Noise inputs at chosen layers."""

from collections.abc import Iterable

import jax.numpy as jnp
from flax import traverse_util

from stylegan_jax.models import Generator, Variables


def only_at(
    generator: Generator, variables: Variables, layers: Iterable[int] | None
) -> Variables:
    """Return the variables with the noise of all other style layers switched off.

    Args:
      generator: the network.
      variables: its variables.
      layers: the style layers that keep their noise; None for all.

    Raises:
      ValueError: there is no such style layer.

    Reference: Karras et al. 2019, figure 5 (noise at coarse or fine layers only).
    """
    if layers is None:
        return variables
    layers = set(layers)
    wrong = sorted(layers - set(range(generator.num_ws)))
    if wrong:
        raise ValueError(
            f"noise layers {wrong} must be from 0 to {generator.num_ws - 1}"
        )
    params = traverse_util.flatten_dict(variables["params"])
    for layer, path in generator.noise_strengths().items():
        if layer not in layers and path in params:
            params[path] = jnp.zeros_like(params[path])
    return {**variables, "params": traverse_util.unflatten_dict(params)}
