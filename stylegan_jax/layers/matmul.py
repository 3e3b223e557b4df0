"""Products of matrices in full precision, and the layout that makes them fast."""

import jax
import jax.numpy as jnp


def precision(x: jax.Array) -> jax.lax.Precision:
    """Float32 means float32: TPUs and newer GPUs would multiply it in less.

    Who wants speed there chooses bfloat16 activations.
    """
    if x.dtype == jnp.float32:
        return jax.lax.Precision.HIGHEST
    return jax.lax.Precision.DEFAULT


def matmul(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """X [..., I] times kernel [I,O], in the dtype of x; see `precision`."""
    return jnp.matmul(x, kernel.astype(x.dtype), precision=precision(x))


def over_pixels(x: jax.Array, y: jax.Array) -> jax.Array:
    """The products of channels of x [...,I] and y [...,O], summed: [I,O]."""
    x, y = (array.reshape(-1, array.shape[-1]) for array in (x, y))
    contract = (((0,), (0,)), ((), ()))
    return jax.lax.dot_general(x, y, contract, precision=precision(x))


def side_by_side(parts: list[jax.Array]) -> jax.Array:
    """The channels of all parts [...,C] after each other: [...,nC].

    XLA's CPU backend writes a stack like this in one pass over what the parts are made
    of, but makes every part first for a concatenation along the last axis.
    """
    stack = jnp.stack(parts, axis=-2)
    return stack.reshape(*stack.shape[:-2], -1)
