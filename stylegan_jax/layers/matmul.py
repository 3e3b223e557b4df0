"""Matrix products in full precision, and the memory layout that makes them fast."""

import jax
import jax.numpy as jnp


def precision(x: jax.Array) -> jax.lax.Precision:
    """Return the precision with which products of float32 are float32.

    TPUs and newer GPUs would multiply float32 in lower precision by default. Networks
    that need speed there choose bfloat16 activations.
    """
    if x.dtype == jnp.float32:
        return jax.lax.Precision.HIGHEST
    return jax.lax.Precision.DEFAULT


def matmul(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Multiply x [..., I] by kernel [I,O] in the dtype of x; see `precision`."""
    return jnp.matmul(x, kernel.astype(x.dtype), precision=precision(x))


def over_pixels(x: jax.Array, y: jax.Array) -> jax.Array:
    """Sum the outer products of x [...,I] and y [...,O] over all pixels: [I,O]."""
    x, y = (array.reshape(-1, array.shape[-1]) for array in (x, y))
    contract = (((0,), (0,)), ((), ()))
    return jax.lax.dot_general(x, y, contract, precision=precision(x))


def side_by_side(parts: list[jax.Array]) -> jax.Array:
    """Concatenate the channels of n parts [...,C]: [...,nC].

    The parts are stacked: for a concatenation along the last axis, XLA's CPU backend
    would materialize every part first.
    """
    stack = jnp.stack(parts, axis=-2)
    return stack.reshape(*stack.shape[:-2], -1)
