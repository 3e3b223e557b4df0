"""Matrix products of a chosen precision, and the memory layout that makes them fast."""

import dataclasses

import jax
import jax.numpy as jnp

FLOAT32_PRECISIONS = {
    "highest": jax.lax.Precision.HIGHEST,
    "high": jax.lax.Precision.HIGH,
    "default": jax.lax.Precision.DEFAULT,
}


@dataclasses.dataclass(frozen=True)
class Arithmetic:
    """The arithmetic of a network's convolutions and matrix products.

    It is static, an attribute of modules and an argument of functions, and therefore
    part of what `jax.jit` compiles a program for.

    Attributes:
      float32_precision: precision of products of float32, one of FLOAT32_PRECISIONS.
        "highest" is float32. "high" is TF32 on NVIDIA GPUs and three passes of
        bfloat16 on TPUs; "default" is TF32 and one pass. A CPU computes in float32.
      winograd: allow Winograd's form on CPUs, see `conv2d_cpu`.
    """

    float32_precision: str = "highest"
    winograd: bool = False

    def __post_init__(self):
        """Raise ValueError for an unknown precision."""
        if self.float32_precision not in FLOAT32_PRECISIONS:
            raise ValueError(
                f"float32_precision (={self.float32_precision!r}) must be one of "
                f"{tuple(FLOAT32_PRECISIONS)}"
            )


EXACT = Arithmetic()  # products of float32 in float32, in the plain forms


def precision(x: jax.Array, arithmetic: Arithmetic = EXACT) -> jax.lax.Precision:
    """Return the precision of the products of x: the chosen one if x is float32.

    Left to themselves, TPUs and newer GPUs multiply float32 in a lower precision.
    """
    if x.dtype == jnp.float32:
        return FLOAT32_PRECISIONS[arithmetic.float32_precision]
    return jax.lax.Precision.DEFAULT


def matmul(
    x: jax.Array, kernel: jax.Array, arithmetic: Arithmetic = EXACT
) -> jax.Array:
    """Multiply x [..., I] by kernel [I,O] in the dtype of x; see `precision`."""
    kernel = kernel.astype(x.dtype)
    return jnp.matmul(x, kernel, precision=precision(x, arithmetic))


def over_pixels(
    x: jax.Array, y: jax.Array, arithmetic: Arithmetic = EXACT
) -> jax.Array:
    """Sum the outer products of x [...,I] and y [...,O] over all pixels: [I,O]."""
    x, y = (array.reshape(-1, array.shape[-1]) for array in (x, y))
    contract = (((0,), (0,)), ((), ()))
    return jax.lax.dot_general(x, y, contract, precision=precision(x, arithmetic))


def side_by_side(parts: list[jax.Array]) -> jax.Array:
    """Concatenate the channels of n parts [...,C]: [...,nC].

    The parts are stacked: for a concatenation along the last axis, XLA's CPU backend
    would materialize every part first.
    """
    stack = jnp.stack(parts, axis=-2)
    return stack.reshape(*stack.shape[:-2], -1)
