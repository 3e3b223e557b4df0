"""Activation functions, each with its gain, and a clamp."""

import dataclasses
import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp


def leaky_relu(x: jax.Array, slope: float = 0.2) -> jax.Array:
    """Apply the leaky ReLU, without a gain."""
    return jnp.where(x >= 0, x, slope * x)


@dataclasses.dataclass(frozen=True)
class Activation:
    """A function, and the gain that preserves the variance of its input."""

    function: Callable[[jax.Array], jax.Array]
    gain: float = 1.0


ACTIVATIONS = {
    "linear": Activation(lambda x: x),
    "relu": Activation(nn.relu, math.sqrt(2.0)),
    "lrelu": Activation(leaky_relu, math.sqrt(2.0)),
    "tanh": Activation(jnp.tanh),
    "sigmoid": Activation(nn.sigmoid),
    "elu": Activation(nn.elu),
    "selu": Activation(nn.selu),
    "softplus": Activation(nn.softplus),
    "swish": Activation(nn.swish, math.sqrt(2.0)),
}


def activate(
    x: jax.Array, name: str, gain: float = 1.0, clamp: float | None = None
) -> jax.Array:
    """Apply an activation, its gain times `gain`, and a clamp.

    Args:
      x: any shape, with the bias added.
      name: one of ACTIVATIONS.
      gain: gain of the layer; scales the clamp too.
      clamp: bounds the result to [-clamp * gain, clamp * gain]; None for no bound.

    Returns:
      An array like x.
    """
    activation = ACTIVATIONS[name]
    x = activation.function(x)
    if activation.gain * gain != 1:
        x = x * jnp.asarray(activation.gain * gain, x.dtype)
    if clamp is not None:
        bound = jnp.asarray(clamp * gain, x.dtype)
        # jnp.clip would split the gradient between its arguments where they are equal.
        x = jnp.where(x > bound, bound, jnp.where(x < -bound, -bound, x))
    return x
