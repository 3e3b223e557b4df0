"""Spectral normalization: weights divided by their largest singular value.

    W / sigma(W),  sigma(W) = v' W u

u and v approximate the first singular vectors by power iteration: each training step
does one iteration, from the u of the previous step. The weight of a convolution is
treated as the matrix from its inputs, at all taps of the kernel, to its outputs.

This acts on the parameters of a network, not within its layers. So the network has no
state, and its normalized parameters are also those of an ordinary network.

Reference: Miyato et al. 2018, "Spectral Normalization for Generative Adversarial
Networks", section 2.1 and appendix A.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import traverse_util

from stylegan_jax.layers.matmul import precision

Vectors = dict[str, jax.Array]  # name of a weight -> u [O], on the output side
SUFFIX = "kernel/weight"  # suffix of the names of weights
EPSILON = 1e-12
EXCLUDED = "mapping"  # the mapping of labels, which images do not pass through


def initial(params: Any) -> Vectors:
    """Return the vectors before the first iteration, all ones.

    Args:
      params: parameters of a network whose weights are those of `EqualizedKernel`
        with a gain and a learning-rate multiplier of 1, except in `EXCLUDED`.
    """
    return {
        name: jnp.ones(weight.shape[-1]) for name, weight in _weights(params).items()
    }


def iterate(params: Any, vectors: Vectors) -> Vectors:
    """Return the vectors after an iteration; no gradient flows through them."""
    weights, updated = _weights(jax.lax.stop_gradient(params)), {}
    for name, u in vectors.items():
        matrix = _matrix(weights[name])
        updated[name] = _unit(_dot(_unit(_dot(matrix, u)), matrix))
    return updated


def normalize(params: Any, vectors: Vectors) -> Any:
    """Return the parameters with weights whose norm is 1 after their layer scales them.

    Gradients flow to the weights through their norms, too.

    Args:
      params: parameters of the network.
      vectors: the u of its weights; if empty, the parameters are returned unchanged.
    """
    if not vectors:
        return params
    flat = traverse_util.flatten_dict(params, sep="/")
    for name, u in vectors.items():
        matrix, u = _matrix(flat[name]), jax.lax.stop_gradient(u)
        products = _dot(matrix, u)
        v = jax.lax.stop_gradient(_unit(products))
        norm = jnp.maximum(jnp.sum(v * products), EPSILON)
        # The layer multiplies by He's constant, so this divides by it.
        flat[name] = flat[name] * (math.sqrt(len(matrix)) / norm)
    return traverse_util.unflatten_dict(flat, sep="/")


def _weights(params: Any) -> Vectors:
    flat = traverse_util.flatten_dict(params, sep="/")
    return {
        name: x
        for name, x in flat.items()
        if name.endswith(SUFFIX) and not name.startswith(f"{EXCLUDED}/")
    }


def _matrix(weight: jax.Array) -> jax.Array:
    """Return a weight [..., I, O] as [inputs, O]."""
    return weight.reshape(-1, weight.shape[-1])


def _dot(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.matmul(a, b, precision=precision(a))


def _unit(x: jax.Array) -> jax.Array:
    return x / jnp.maximum(jnp.sqrt(jnp.sum(jnp.square(x))), EPSILON)
