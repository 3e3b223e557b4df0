"""Pixel norm, instance norm and adaptive instance normalization (AdaIN).

Statistics are computed in float32 for activations of any dtype.
"""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from stylegan_jax.layers.linear import Dense, spread
from stylegan_jax.layers.matmul import EXACT, Arithmetic

EPSILON = 1e-8


def pixel_norm(x: jax.Array) -> jax.Array:
    """Scale the last axis of x to unit mean square.

    Reference: Karras et al. 2018, "Progressive Growing of GANs", section 4.2.
    """
    x32 = x.astype(jnp.float32)
    mean_square = jnp.mean(jnp.square(x32), axis=-1, keepdims=True)
    return (x32 * jax.lax.rsqrt(mean_square + EPSILON)).astype(x.dtype)


def instance_norm(x: jax.Array) -> jax.Array:
    """Normalize every channel of every image of x [B,H,W,C] to mean 0, variance 1."""
    chex.assert_rank(x, 4)
    x32 = x.astype(jnp.float32)
    x32 = x32 - jnp.mean(x32, axis=(1, 2), keepdims=True)
    variance = jnp.mean(jnp.square(x32), axis=(1, 2), keepdims=True)
    return (x32 * jax.lax.rsqrt(variance + EPSILON)).astype(x.dtype)


class StyleModulation(nn.Module):
    """Modulation x * (scale + 1) + shift; a learned affine map of w gives both terms.

    Reference: Karras et al. 2019, "A Style-Based Generator Architecture for GANs",
    equation 1 (after `instance_norm`).
    """

    arithmetic: Arithmetic = EXACT

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array) -> jax.Array:
        """Modulate x [B,H,W,C] by the style of w [B,W]."""
        chex.assert_rank(x, 4)
        chex.assert_shape(w, (x.shape[0], None))
        affine = Dense(
            2 * x.shape[-1], gain=1.0, arithmetic=self.arithmetic, name="affine"
        )
        style = affine(w.astype(jnp.float32))
        scale, shift = jnp.split(style[:, None, None, :], 2, axis=-1)
        return x * spread(scale + 1, x) + spread(shift, x)
