"""Activation functions, each with its gain, and a clamp."""

import dataclasses
import functools
import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp


def leaky_relu(
    x: jax.Array,
    slope: float = 0.2,
    gain: float = 1.0,
    bound: float | None = None,
) -> jax.Array:
    """Apply the leaky ReLU, a gain, and a clamp to [-bound, bound].

    The gradient is computed from the result, which the next layer keeps for its own
    gradient in any case. Where the result is on the bound, the gradient is zero.

    Args:
      x: any shape.
      slope: slope for negative x.
      gain: positive factor.
      bound: largest absolute value of the result; None for no bound.

    Returns:
      An array like x.
    """
    if slope > 0:
        return _leaky_relu(x, slope, gain, bound)
    return _clamp(_scale(jnp.where(x >= 0, x, slope * x), gain), bound)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _leaky_relu(
    x: jax.Array, slope: float, gain: float, bound: float | None
) -> jax.Array:
    return _clamp(_scale(jnp.where(x >= 0, x, slope * x), gain), bound)


def _leaky_relu_forward(
    x: jax.Array, slope: float, gain: float, bound: float | None
) -> tuple[jax.Array, jax.Array]:
    y = _leaky_relu(x, slope, gain, bound)
    return y, y


def _leaky_relu_backward(
    slope: float, gain: float, bound: float | None, y: jax.Array, gradient: jax.Array
) -> tuple[jax.Array]:
    if bound is not None:
        inside = jnp.abs(y) < jnp.asarray(bound, y.dtype)
        gradient = jnp.where(inside, gradient, jnp.zeros_like(gradient))
    gradient = _scale(gradient, gain)
    return (jnp.where(y >= 0, gradient, slope * gradient),)


_leaky_relu.defvjp(_leaky_relu_forward, _leaky_relu_backward)


def _scale(x: jax.Array, gain: float) -> jax.Array:
    return x if gain == 1 else x * jnp.asarray(gain, x.dtype)


def _clamp(x: jax.Array, bound: float | None) -> jax.Array:
    if bound is None:
        return x
    bound = jnp.asarray(bound, x.dtype)
    # jnp.clip would split the gradient between its arguments where they are equal.
    return jnp.where(x > bound, bound, jnp.where(x < -bound, -bound, x))


@dataclasses.dataclass(frozen=True)
class Activation:
    """An activation function, and the gain with which it preserves variance."""

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
      x: any shape, with the bias added; a tree of arrays, such as `blocks.Blocks`.
      name: one of ACTIVATIONS.
      gain: gain of the layer; scales the clamp too.
      clamp: bounds the result to [-clamp * gain, clamp * gain]; None for no bound.

    Returns:
      An array like x.
    """
    activation = ACTIVATIONS[name]
    total = activation.gain * gain
    bound = None if clamp is None else clamp * gain

    def function(x: jax.Array) -> jax.Array:
        if activation.function is leaky_relu:
            return leaky_relu(x, gain=total, bound=bound)
        return _clamp(_scale(activation.function(x), total), bound)

    return jax.tree.map(function, x)
