"""Changes of resolution: box filters, blur, and convolutions fused with them.

The fused forms work on blocks of 2x2 pixels moved into the channels: a convolution of
2x2 blocks takes exactly the arithmetic that is needed (16 taps per low-resolution pixel
instead of 36), has no dilation or stride in gradients of any order, and has enough
channels for the vector units of a CPU and the matrix unit of a TPU.

The plain forms keep the official order of operations, and thus its rounding, which
decides the gradient of an activation that lies on the kink of a leaky ReLU.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.layers import upfirdn2d
from stylegan_jax.layers.blocks import depth_to_space, space_to_depth
from stylegan_jax.layers.conv2d import conv2d, conv2d_padded
from stylegan_jax.layers.matmul import EXACT, Arithmetic, precision


def upscale2d(x: jax.Array) -> jax.Array:
    """Double the resolution of x [B,H,W,C] by repeating pixels."""
    chex.assert_rank(x, 4)
    b, h, w, c = x.shape
    x = jnp.broadcast_to(x[:, :, None, :, None, :], (b, h, 2, w, 2, c))
    return x.reshape(b, 2 * h, 2 * w, c)


def downscale2d(x: jax.Array) -> jax.Array:
    """Halve the resolution of x [B,H,W,C] by averaging blocks of 2x2."""
    chex.assert_rank(x, 4)
    b, h, w, c = x.shape
    return x.reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4))


def blur2d(x: jax.Array, taps: tuple[int, ...]) -> jax.Array:
    """Apply a separable low-pass filter with zero padding that keeps the size.

    Zero padding darkens the borders, as in the official code.

    Args:
      x: [B,H,W,C].
      taps: the filter along one axis, normalized here; () returns x unchanged.

    Returns:
      [B,H,W,C].
    """
    if not taps:
        return x
    before = (len(taps) - 1) // 2
    padding = (before, len(taps) - 1 - before)
    return upfirdn2d.upfirdn2d(
        x, upfirdn2d.setup_filter(taps), padding=(padding,) * 2, flip=True
    )


def upscale_conv2d(
    x: jax.Array,
    kernel: jax.Array,
    plain: bool = False,
    arithmetic: Arithmetic = EXACT,
) -> jax.Array:
    """Compute `conv2d(upscale2d(x), kernel)` for a 3x3 kernel.

    A window of 2x2 low-resolution pixels determines the 2x2 output pixels around
    its center; `_UP` says which taps of the kernel meet which pixel.

    Args:
      x: [B,H,W,I].
      kernel: [3,3,I,O].
      plain: compute the two steps separately.
      arithmetic: precision and forms of the products.

    Returns:
      [B,2H,2W,O].
    """
    chex.assert_shape(kernel, (3, 3, x.shape[-1], None))
    if plain:
        return conv2d(upscale2d(x), kernel, arithmetic)
    inputs, outputs = kernel.shape[2:]
    kernel = jnp.einsum(
        "rsu,ctv,uvio->rcisto",
        *(_UP, _UP, kernel),
        precision=precision(kernel, arithmetic),
    )
    kernel = kernel.reshape(2, 2, inputs, 4 * outputs)
    return depth_to_space(conv2d_padded(x, kernel, 1, arithmetic))[:, 1:-1, 1:-1]


def conv_downscale2d(
    x: jax.Array,
    kernel: jax.Array,
    plain: bool = False,
    arithmetic: Arithmetic = EXACT,
) -> jax.Array:
    """Compute `downscale2d(conv2d(x, kernel))` for a 3x3 kernel.

    Args:
      x: [B,2H,2W,I].
      kernel: [3,3,I,O].
      plain: compute the two steps separately.
      arithmetic: precision and forms of the products.

    Returns:
      [B,H,W,O].
    """
    chex.assert_shape(kernel, (3, 3, x.shape[-1], None))
    if plain:
        return downscale2d(conv2d(x, kernel, arithmetic))
    inputs, outputs = kernel.shape[2:]
    kernel = jnp.einsum(
        "rsu,ctv,uvio->rcstio",
        *(_DOWN, _DOWN, kernel),
        precision=precision(kernel, arithmetic),
    )
    kernel = kernel.reshape(2, 2, 4 * inputs, outputs)
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return conv2d_padded(space_to_depth(padded), kernel, 0, arithmetic)


# _UP[r, s, u] = 1 where tap u of the kernel meets row r of a window of two low
# rows, for output row s of the two that straddle the window's center.
_UP = np.array([[[1, 1, 0], [1, 0, 0]], [[0, 0, 1], [0, 1, 1]]], np.float32)
# _DOWN[r, s, u]: the average of two neighboring outputs takes tap u at row 2r + s
# of the four input rows that they see: rows u and u + 1, half each.
_DOWN = np.array(
    [
        [[(2 * r + s - u in (0, 1)) / 2 for u in range(3)] for s in (0, 1)]
        for r in (0, 1)
    ],
    np.float32,
)
