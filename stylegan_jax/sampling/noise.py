"""Noise inputs at chosen layers, and maps that change from frame to frame."""

from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
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


def maps_between(
    variables: Variables,
    seed: int,
    before: np.ndarray,
    after: np.ndarray,
    fraction: np.ndarray,
) -> Variables:
    """Return the variables with noise maps for each image of a batch.

    The maps of an image move along a quarter of a circle from one numbered set of maps
    to another, which preserves unit variance:

        n = cos(pi / 2 fraction) n_before + sin(pi / 2 fraction) n_after

    They depend on these numbers and the seed only, not on the batch. `noise="const"`
    uses them.

    Args:
      variables: variables of the network.
      seed: seed of the noise.
      before: [B] integers, number of the set of maps at fraction 0.
      after: [B] integers, number of the set of maps at fraction 1.
      fraction: [B], from 0 to 1.
    """
    if "noise" not in variables:
        return variables
    angle = np.float32(np.pi / 2) * np.asarray(fraction, np.float32)
    maps = _maps(variables["noise"], jax.random.key(seed), before, after, angle)
    return {**variables, "noise": maps}


@jax.jit
def _maps(like, key, before, after, angle):
    leaves, structure = jax.tree.flatten(like)
    cosine, sine = (f(angle)[:, None, None, None] for f in (jnp.cos, jnp.sin))

    def draw(layer, shape):
        layer_key = jax.random.fold_in(key, layer)
        one = lambda n: jax.random.normal(jax.random.fold_in(layer_key, n), shape)  # noqa: E731
        return cosine * jax.vmap(one)(before) + sine * jax.vmap(one)(after)

    drawn = [draw(layer, leaf.shape[1:]) for layer, leaf in enumerate(leaves)]
    return jax.tree.unflatten(structure, drawn)


def noise_layers(generator: Generator, variables: Variables) -> dict[int, int]:
    """Return the resolution of each style layer that has a noise input.

    Raises:
      ValueError: there are no noise inputs, or none of them has an effect.
    """
    params = traverse_util.flatten_dict(variables["params"])
    maps = traverse_util.flatten_dict(variables.get("noise", {}))
    paths = generator.noise_strengths()
    paths = {layer: path for layer, path in paths.items() if path in params}
    if not paths:
        raise ValueError(
            "this network has no noise inputs, because it is a StyleGAN3 or was built "
            "with `model.noise` False; use a network with noise inputs"
        )
    if not any(np.any(params[path]) for path in paths.values()):
        raise ValueError(
            f"the strengths of all {len(paths)} noise inputs of this network are 0, so "
            "noise has no effect; use a network that has learned them"
        )
    return {
        layer: 4 * maps[(*path[:-1], "const")].shape[1] // generator.base_size[0]
        for layer, path in paths.items()
    }
