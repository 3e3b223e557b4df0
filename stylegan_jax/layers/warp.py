"""Affine warps of images, without aliasing.

Reference: Karras et al. 2020, "Training Generative Adversarial Networks with Limited
Data", appendix B.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.layers.upfirdn2d import downsample2d, setup_filter, upsample2d

# Orthogonal wavelet (symlet with 6 vanishing moments): enlarging and then reducing with
# it is the identity.
SYM6 = setup_filter(
    (
        0.015404109327027373,
        0.0034907120842174702,
        -0.11799011114819057,
        -0.048311742585633,
        0.4910559419267466,
        0.787641141030194,
        0.3379294217276218,
        -0.07263752278646252,
        -0.021060292512300564,
        0.04472490177066578,
        0.0017677118642428036,
        -0.007800708325034148,
    )
)


def warp(images: jax.Array, inverse: jax.Array) -> jax.Array:
    """Warp images, sampled at twice the resolution to avoid aliasing.

    The filters reach 6 pixels, 3 at the lower resolution, so a margin of that size is
    sampled too.

    Args:
      images: [B,H,W,C], mirrored at the edges by their whole size.
      inverse: [B,3,3], maps (x, y, 1) of a pixel of the result, in pixels from the
        center, to the position that it comes from.

    Returns:
      [B,H,W,C].
    """
    chex.assert_rank(images, 4)
    chex.assert_shape(inverse, (len(images), 3, 3))
    _, h, w, _ = images.shape
    x = jnp.pad(images, ((0, 0), (h - 1, h - 1), (w - 1, w - 1), (0, 0)), "reflect")
    x = upsample2d(x, SYM6)
    # An enlarged image's pixel i is (i + 1 - size / 2) / 2 pixels from the center.
    v = (np.arange(2 * h + 12, dtype=np.float32) - (h + 5)) / 2
    u = (np.arange(2 * w + 12, dtype=np.float32) - (w + 5)) / 2
    rows = inverse[:, :, :, None, None]
    at = rows[:, :2, 0] * u + rows[:, :2, 1] * v[:, None] + rows[:, :2, 2]
    column = 2 * at[:, 0] + x.shape[2] // 2 - 1
    row = 2 * at[:, 1] + x.shape[1] // 2 - 1
    x = sample_bilinear(x, row, column)
    return downsample2d(x, SYM6, padding=((-6, -6), (-6, -6)), flip=True)


def sample_bilinear(images: jax.Array, row: jax.Array, column: jax.Array) -> jax.Array:
    """Sample images [B,H,W,C] at pixel positions [B,h,w], zero outside: [B,h,w,C]."""
    chex.assert_equal_shape([row, column])
    _, height, width, channels = images.shape
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    row, column = jnp.clip(row, -1, height), jnp.clip(column, -1, width)
    top = jnp.clip(jnp.floor(row), -1, height - 1)
    left = jnp.clip(jnp.floor(column), -1, width - 1)

    def square(image: jax.Array, i: jax.Array, j: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice(image, (i, j, 0), (2, 2, channels))

    of_image = jax.vmap(jax.vmap(square, (None, 0, 0)), (None, 0, 0))
    squares = jax.vmap(of_image)(
        padded, top.astype(jnp.int32) + 1, left.astype(jnp.int32) + 1
    )
    down, right = (row - top)[..., None], (column - left)[..., None]
    upper, lower = (
        squares[..., k, 0, :] * (1 - right) + squares[..., k, 1, :] * right
        for k in (0, 1)
    )
    return upper * (1 - down) + lower * down
