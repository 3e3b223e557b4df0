"""Activation functions, and bias, activation, gain and clamp in StyleGAN2's order."""

import dataclasses
import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp


def leaky_relu(x: jax.Array, slope: float = 0.2) -> jax.Array:
    """Leaky ReLU, without a gain of its own."""
    return jnp.where(x >= 0, x, slope * x)


@dataclasses.dataclass(frozen=True)
class Activation:
    """A function, and the gain that keeps the variance of its input."""

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
    """Activation, its own gain times `gain`, clamp; biases are added before.

    Args:
      x: any shape.
      name: one of ACTIVATIONS.
      gain: of the layer; scales the clamp too.
      clamp: results are kept in [-clamp * gain, clamp * gain]; None lets them be.

    Returns:
      An array like x.
    """
    activation = ACTIVATIONS[name]
    x = activation.function(x)
    if activation.gain * gain != 1:
        x = x * jnp.asarray(activation.gain * gain, x.dtype)
    if clamp is not None:
        bound = jnp.asarray(clamp * gain, x.dtype)
        # Not jnp.clip: its gradient divides, in case of ties.
        x = jnp.where(x > bound, bound, jnp.where(x < -bound, -bound, x))
    return x
