"""Arrays of two-bit codes, four of them in an array of bytes.

StyleGAN3's activation keeps such a code for each pixel of its finer grid.
"""

import functools

import jax
import jax.numpy as jnp

_BITS = 2
PER_BYTE = 8 // _BITS


def pack(codes: list[jax.Array]) -> list[jax.Array]:
    """Pack uint8 arrays of one shape, with values from 0 to 3.

    Args:
      codes: any number of arrays.

    Returns:
      ceil(number / 4) uint8 arrays of the same shape.
    """
    groups = [codes[i : i + PER_BYTE] for i in range(0, len(codes), PER_BYTE)]
    return [
        functools.reduce(jnp.bitwise_or, (x << _BITS * i for i, x in enumerate(group)))
        for group in groups
    ]


def unpack(packed: list[jax.Array], index: int) -> jax.Array:
    """Return an array of those that were packed.

    Args:
      packed: the result of `pack`, or equal parts of all its arrays.
      index: position of the array in the argument of `pack`.
    """
    byte, i = divmod(index, PER_BYTE)
    return packed[byte] >> _BITS * i & (2**_BITS - 1)
