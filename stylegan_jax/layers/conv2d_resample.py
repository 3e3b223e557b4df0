"""Convolutions that change the resolution, with FIR filters.

Reference: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN",
appendix B ("Filtering"); Karras et al. 2019, appendix C.
"""

import jax
import numpy as np

from stylegan_jax.layers import conv2d_strided
from stylegan_jax.layers.matmul import EXACT, Arithmetic, matmul, precision
from stylegan_jax.layers.upfirdn2d import (
    IDENTITY,
    NO_PADDING,
    Pair,
    both_axes,
    downsample2d,
    downsampling_padding,
    upfirdn2d,
    upsample2d,
    upsampling_padding,
)


def conv2d_resample(
    x: jax.Array,
    kernel: jax.Array,
    taps: np.ndarray,
    up: int = 1,
    down: int = 1,
    padding: tuple[Pair, Pair] = NO_PADDING,
    flip_kernel: bool = False,
    groups: int = 1,
) -> jax.Array:
    """Upsample, convolve and downsample: the plain form, for any arguments.

    The networks use the fused forms below; this is what they are tested against.

    Args:
      x: [B,H,W,I].
      kernel: [h,w,I/groups,O].
      taps: the filter, applied for `up` and for `down` where they are not 1.
      up: insert zeros and filter, keeping the amplitude.
      down: filter and keep every down-th pixel.
      padding: zeros ((top, bottom), (left, right)) around the upsampled image, in
        addition to those that the filter needs.
      flip_kernel: convolve instead of correlating.
      groups: number of groups of channels that are convolved separately.

    Returns:
      [B,H',W',O].
    """
    if down > 1:
        padding = downsampling_padding(padding, taps, both_axes(down))
    if up > 1:
        padding = upsampling_padding(padding, taps, both_axes(up))
    x = upfirdn2d(x, taps if up > 1 else IDENTITY, up, 1, padding, gain=up**2)
    x = jax.lax.conv_general_dilated(
        x,
        (kernel[::-1, ::-1] if flip_kernel else kernel).astype(x.dtype),
        (1, 1),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
        precision=precision(x),
    )
    return upfirdn2d(x, taps, down=down) if down > 1 else x


def up_conv2d(
    x: jax.Array,
    kernel: jax.Array,
    taps: np.ndarray,
    arithmetic: Arithmetic = EXACT,
) -> jax.Array:
    """Double the resolution and convolve: insert zeros, convolve, filter.

    Args:
      x: [B,H,W,I].
      kernel: [k,k,I,O], k 1 or 3; its tap (u,v) sends pixel (i,j) to (2i+u, 2j+v).
      taps: the filter.
      arithmetic: precision and forms of the products.

    Returns:
      [B,2H,2W,O].
    """
    if kernel.shape[0] == 1:
        return upsample2d(matmul(x, kernel[0, 0], arithmetic), taps)
    padding = tuple(
        ((k + 1) // 2 - 1, (k - 2) // 2) for k in (taps.shape[0], taps.shape[-1])
    )
    x = conv2d_strided.grow(x, kernel, arithmetic)
    return upfirdn2d(x, taps, padding=padding, gain=4.0)


def down_conv2d(
    x: jax.Array,
    kernel: jax.Array,
    taps: np.ndarray,
    arithmetic: Arithmetic = EXACT,
) -> jax.Array:
    """Filter, convolve, and halve the resolution.

    Args:
      x: [B,2H,2W,I].
      kernel: [k,k,I,O], k 1 or 3.
      taps: the filter.
      arithmetic: precision and forms of the products.

    Returns:
      [B,H,W,O].
    """
    if kernel.shape[0] == 1:
        return matmul(downsample2d(x, taps), kernel[0, 0], arithmetic)
    padding = tuple(
        ((k - 1) // 2 + 1, (k - 2) // 2 + 1) for k in (taps.shape[0], taps.shape[-1])
    )
    x = upfirdn2d(x, taps, padding=padding)
    return conv2d_strided.shrink(x, kernel, arithmetic)
