"""Blur of everything that the discriminator sees, faded out early in training.

It hides details that the generator cannot learn yet; without it, StyleGAN3's config R
may collapse at the start.

Reference: Karras et al. 2021, "Alias-Free Generative Adversarial Networks", appendix
F.2 ("Gaussian blur").
"""

import math

import jax
import jax.numpy as jnp

REACH = 3  # taps on each side per sigma


def sigma_at(
    initial: float, fade_kimg: float, images_seen: jax.Array | int
) -> jax.Array:
    """Return sigma in pixels, [] float32, which falls to 0 over `fade_kimg`."""
    left = 1 - jnp.asarray(images_seen, jnp.float32) / (fade_kimg * 1000)
    return initial * jnp.maximum(left, 0)


def blur(images: jax.Array, sigma: jax.Array, initial: float) -> jax.Array:
    """Blur images with the filter 2^-(i / sigma)^2 along both axes.

    The filter covers the whole pixels within 3 sigma; if there are none, the images
    remain unchanged. Outside of the images is zero.

    Args:
      images: [B,H,W,C] float32.
      sigma: [], sigma in pixels, at most `initial`.
      initial: the largest sigma.

    Returns:
      [B,H,W,C].
    """

    def filtered(images: jax.Array) -> jax.Array:
        for product, size in zip(
            ("nh,bhwc->bnwc", "nw,bhwc->bhnc"), images.shape[1:3], strict=True
        ):
            images = jnp.einsum(
                product, _matrix(size), images, precision=jax.lax.Precision.HIGHEST
            )
        return images

    def _matrix(size: int) -> jax.Array:
        """Return the filter as a matrix [size,size]."""
        distance = jnp.arange(size)[:, None] - jnp.arange(size)
        return jnp.where(jnp.abs(distance) <= radius, taps(distance), 0) / total

    def taps(i: jax.Array) -> jax.Array:
        return jnp.exp2(-jnp.square(i / sigma))

    radius = jnp.floor(REACH * sigma)
    reach = jnp.arange(-math.floor(REACH * initial), math.floor(REACH * initial) + 1)
    total = jnp.sum(jnp.where(jnp.abs(reach) <= radius, taps(reach), 0))
    return jax.lax.cond(radius > 0, filtered, lambda images: images, images)
