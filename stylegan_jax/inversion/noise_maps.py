"""Noise maps that a projection optimizes: regularization and normalization.

Maps are a flat dict from paths in the collection "noise" to arrays [B,H,W,1], so each
image of a batch has its own maps.

Reference: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN",
appendix D.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from stylegan_jax.layers.resample import downscale2d
from stylegan_jax.models import Variables

SMALLEST = 8  # pixels: the shorter side at which the pyramid of a map ends

Maps = dict[str, jax.Array]


def shapes(variables: Variables, height: int) -> dict[str, tuple[int, int, int]]:
    """Return the shapes [H,W,1] of all maps up to a height, by path."""
    flat = traverse_util.flatten_dict(variables.get("noise", {}), sep="/")
    found = {path: tuple(x.shape[1:]) for path, x in flat.items()}
    return {path: shape for path, shape in found.items() if shape[0] <= height}


def draw(sizes: dict[str, tuple[int, int, int]], seed: int, run: int) -> Maps:
    """Return standard normal maps [H,W,1] for a run, as NumPy arrays."""
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), run), 0)
    return {
        path: np.asarray(jax.random.normal(jax.random.fold_in(key, i), shape))
        for i, (path, shape) in enumerate(sorted(sizes.items()))
    }


def replace(variables: Variables, maps: Maps) -> Variables:
    """Return the variables of a generator with its maps replaced."""
    if not maps:
        return variables
    flat = traverse_util.flatten_dict(variables["noise"], sep="/")
    return {
        **variables,
        "noise": traverse_util.unflatten_dict({**flat, **maps}, sep="/"),
    }


def regularization(maps: Maps) -> jax.Array | float:
    """Return the squared autocorrelation of the maps at a shift of one pixel, [B].

        sum over maps, scales and axes of mean(n * shift(n))^2

    The scales of a map are a pyramid of averages over 2x2 pixels, down to SMALLEST.
    """
    total = 0.0
    for x in maps.values():
        while True:
            for axis in (2, 1):
                product = jnp.mean(x * jnp.roll(x, 1, axis), (1, 2, 3))
                total = total + jnp.square(product)
            height, width = x.shape[1:3]
            if min(height, width) <= SMALLEST or height % 2 or width % 2:
                break
            x = downscale2d(x)
    return total


def normalize(maps: Maps) -> Maps:
    """Return the maps with zero mean and unit mean square."""

    def one(x: jax.Array) -> jax.Array:
        x = x - jnp.mean(x, (1, 2, 3), keepdims=True)
        return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), (1, 2, 3), keepdims=True))

    return jax.tree.map(one, maps)
