"""Convolution modulated by styles: scale the inputs, convolve, normalize the outputs.

Reference: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN",
section 2.2 and equations 1 to 3. The paper scales the kernel for each image; scaling
the activations instead gives the same product with one kernel for all images.
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

from stylegan_jax.layers.linear import Image, spread
from stylegan_jax.layers.matmul import EXACT, Arithmetic, matmul

EPSILON = 1e-8

Convolution = Callable[[Image, jax.Array], Image]  # (x, kernel) -> y


def modulated_conv2d(
    x: Image,
    kernel: jax.Array,
    style: jax.Array,
    convolution: Convolution,
    demodulate: bool = True,
    arithmetic: Arithmetic = EXACT,
) -> Image:
    """Convolve every image with the kernel scaled by its style.

    Args:
      x: [B,H,W,I], of any floating dtype, in which the convolution is computed.
      kernel: [k,k,I,O] float32.
      style: [B,I] float32, a factor for every input channel.
      convolution: maps x and the kernel to y; may change the resolution.
      demodulate: scale every output channel of every image to unit variance, assuming
        independent inputs of unit variance.
      arithmetic: precision of the demodulation.

    Returns:
      [B,H',W',O], in the dtype of x.
    """
    chex.assert_shape(style, (x.shape[0], x.shape[-1]))
    chex.assert_shape(kernel, (None, None, x.shape[-1], None))
    y = convolution(x * spread(style[:, None, None, :], x), kernel)
    if demodulate:
        scale = demodulation(kernel, style, arithmetic)
        y = y * spread(scale[:, None, None, :], y)
    return y


def demodulation(
    kernel: jax.Array, style: jax.Array, arithmetic: Arithmetic = EXACT
) -> jax.Array:
    """Return 1 / norm of the modulated kernel for every output channel: [B,O]."""
    energy = jnp.sum(jnp.square(kernel), axis=(0, 1))
    norm = matmul(jnp.square(style), energy, arithmetic)
    return jax.lax.rsqrt(norm + EPSILON)
