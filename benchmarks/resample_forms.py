"""The forms that `benchmarks.resample` compares: functions (x, kernel) -> y.

x is [B,H,W,I] and kernel [3,3,I,O], which `blur` and `radial` ignore. The first form of
each operation is ours. XLA derives the gradients of convolutions, except for "own
gradients" and the plain forms; "shifts" are `upfirdn2d.upfirdn2d`, which has its own
gradients.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.layers import conv2d_resample, filtered_lrelu, resample, upfirdn2d
from stylegan_jax.layers.conv2d import DIMENSIONS, conv2d
from stylegan_jax.layers.matmul import EXACT, Arithmetic
from stylegan_jax.models.interface import Channels
from stylegan_jax.models.stylegan3_geometry import Options, table

Form = Callable[[jax.Array, jax.Array], jax.Array]

TAPS = upfirdn2d.setup_filter((1, 3, 3, 1))  # StyleGAN2's resampling filter
BLUR = (1, 2, 1)  # StyleGAN's
PRECISION = jax.lax.Precision.HIGHEST


def conv(
    x: jax.Array,
    kernel: jax.Array,
    padding: tuple[int, int],
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
) -> jax.Array:
    """Apply XLA's convolution, with XLA's gradients."""
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        (padding, padding),
        lhs_dilation=(dilation, dilation),
        dimension_numbers=DIMENSIONS,
        feature_group_count=groups,
        precision=PRECISION,
    )


def folded(kernel: jax.Array, taps: np.ndarray) -> jax.Array:
    """Combine kernel [3,3,I,O] and separable filter [k] into one [k+2,k+2,I,O]."""
    spread = np.zeros((len(taps) + 2, 3), np.float32)
    for u in range(3):
        spread[u : u + len(taps), u] = taps
    return jnp.einsum("ru,cv,uvio->rcio", spread, spread, kernel, precision=PRECISION)


def depthwise(
    x: jax.Array, taps: np.ndarray, padding: tuple[int, int], stride: int = 1
) -> jax.Array:
    """Apply a separable filter as a depthwise convolution."""
    kernel = jnp.asarray(np.multiply.outer(taps, taps), x.dtype)
    kernel = jnp.broadcast_to(kernel[:, :, None, None], (*kernel.shape, 1, x.shape[-1]))
    return conv(x, kernel, padding, stride, groups=x.shape[-1])


def depth_to_space(x: jax.Array) -> jax.Array:
    """Rearrange [B,H,W,4C] to [B,2H,2W,C]."""
    b, h, w, c = x.shape
    x = x.reshape(b, h, w, 2, 2, c // 4).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, 2 * h, 2 * w, c // 4)


def space_to_depth(x: jax.Array) -> jax.Array:
    """Rearrange [B,2H,2W,C] to [B,H,W,4C]."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, h // 2, w // 2, 4 * c)


# StyleGAN2's upsampling convolution, along both axes:
# y[2i + u + t - 2] += kernel[u] 2 taps[t] x[i].


def up_dilated(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Transposed convolution, then the filter as shifts and additions."""
    y = conv(x, kernel[::-1, ::-1], (2, 2), dilation=2)
    return upfirdn2d.upfirdn2d(y, TAPS, padding=((1, 1), (1, 1)), gain=4.0)


def up_dilated_depthwise(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Transposed convolution, then the filter as a depthwise one."""
    y = conv(x, kernel[::-1, ::-1], (2, 2), dilation=2)
    return depthwise(y, 2 * TAPS, (1, 1))


def up_dilated_folded(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """One transposed convolution with kernel and filter combined, 6x6."""
    return conv(x, folded(kernel, 2 * TAPS)[::-1, ::-1], (3, 3), dilation=2)


def up_zeros(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Zero insertion, the filter, then a plain convolution at high resolution."""
    return conv2d_resample.conv2d_resample(
        x, kernel[::-1, ::-1], TAPS, up=2, padding=((1, 1), (1, 1))
    )


def up_polyphase(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """One 3x3 convolution for each of 4 phases, then interleaving."""
    return depth_to_space(conv(x, _up_phases(kernel), (1, 1)))


def up_polyphase_own_gradients(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The same with the gradients of `layers.conv2d`."""
    return depth_to_space(conv2d(x, _up_phases(kernel)))


def _up_phases(kernel: jax.Array) -> jax.Array:
    """Split the 6x6 kernel into 3x3 taps [I, 4 phases x O]; 2i + s reads x[i + d]."""
    whole = folded(kernel, 2 * TAPS)
    # Tap m maps x[i] to pixel 2i + m - 2, so phase s reads x[i + d] by tap s + 2 - 2d.
    index = np.array([[s + 2 - 2 * d for s in (0, 1)] for d in (-1, 0, 1)])
    taps = whole[index][:, :, index]  # [d, s, e, t, I, O]
    inputs, outputs = kernel.shape[2:]
    return taps.transpose(0, 2, 4, 1, 3, 5).reshape(3, 3, inputs, 4 * outputs)


# StyleGAN2's downsampling convolution: the filter, then a convolution of stride two.


def down_strided(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The filter as shifts and additions, then a strided convolution."""
    x = upfirdn2d.upfirdn2d(x, TAPS, padding=((2, 2), (2, 2)))
    return conv(x, kernel, (0, 0), stride=2)


def down_strided_depthwise(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The filter as a depthwise convolution, then a strided one."""
    return conv(depthwise(x, TAPS, (2, 2)), kernel, (0, 0), stride=2)


def down_strided_folded(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """One strided convolution with kernel and filter combined, 6x6."""
    return conv(x, folded(kernel, TAPS), (2, 2), stride=2)


def down_polyphase(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """2x2 pixels moved into channels, then a plain 3x3 convolution."""
    return conv(space_to_depth(x), _down_phases(kernel), (1, 1))


def down_polyphase_own_gradients(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The same with the gradients of `layers.conv2d`."""
    return conv2d(space_to_depth(x), _down_phases(kernel))


def _down_phases(kernel: jax.Array) -> jax.Array:
    """Split the 6x6 kernel into 3x3 taps of [4 phases x I, O]."""
    inputs, outputs = kernel.shape[2:]
    whole = folded(kernel, TAPS).reshape(3, 2, 3, 2, inputs, outputs)
    return whole.transpose(0, 2, 1, 3, 4, 5).reshape(3, 3, 4 * inputs, outputs)


def down_full(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """A plain convolution at high resolution, of which every fourth pixel is kept."""
    x = upfirdn2d.upfirdn2d(x, TAPS, padding=((2, 2), (2, 2)))
    return conv2d(x, kernel)[:, 1::2, 1::2]


# StyleGAN's convolutions, whose box filter makes the kernel 4x4.

BOX = np.array([1, 1], np.float32)


def box_up_plain(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Nearest-neighbor upsampling, then a plain convolution at high resolution."""
    return resample.upscale_conv2d(x, kernel, plain=True)


def box_up_dilated(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """One transposed convolution, 4x4, fused as in the official code."""
    return conv(x, folded(kernel, BOX), (2, 2), dilation=2)


def box_down_plain(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """A plain convolution at high resolution, then averages of 2x2 pixels."""
    return resample.conv_downscale2d(x, kernel, plain=True)


def box_down_strided(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """One strided convolution, 4x4, fused as in the official code."""
    return conv(x, folded(kernel, BOX / 2), (1, 1), stride=2)


# The filter alone: y[i] = sum of taps[t] x[i + t - 1].

NORMAL = upfirdn2d.setup_filter(BLUR)


def blur_ours(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Shifts and additions along each axis, also for the gradients."""
    del kernel
    return resample.blur2d(x, BLUR)


def blur_shifts(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The same with XLA's gradients."""
    del kernel
    for axis in (1, 2):
        n = x.shape[axis]
        widths = [(1, 1) if i == axis else (0, 0) for i in range(4)]
        padded = jnp.pad(x, widths)
        x = sum(
            tap * jax.lax.slice_in_dim(padded, t, t + n, axis=axis)
            for t, tap in enumerate(NORMAL)
        )
    return x


def blur_depthwise(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """One depthwise convolution."""
    del kernel
    return depthwise(x, NORMAL, (1, 1))


def blur_packed(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Channels moved into the batch, then a convolution of one channel."""
    del kernel
    b, h, w, c = x.shape
    one = jnp.asarray(np.multiply.outer(NORMAL, NORMAL))[:, :, None, None]
    y = conv(x.transpose(0, 3, 1, 2).reshape(b * c, h, w, 1), one, (1, 1))
    return y.reshape(b, c, h, w).transpose(0, 2, 3, 1)


def blur_matmul(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """A product with a banded matrix along each axis."""
    del kernel
    band = sum(
        t * np.eye(x.shape[1], k=k) for k, t in zip((1, 0, -1), NORMAL, strict=True)
    )
    band = band.astype(np.float32)
    return jnp.einsum("ih,jw,bhwc->bijc", band, band, x, precision=PRECISION)


# StyleGAN3-R's activation: up by 2, leaky ReLU, and down by 2 with a radial filter.

LAYER = table(
    Options(conv_kernel=1, use_radial_filters=True), 64, Channels(2048, 32)
).layers[9]


def radial_ours(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The phases of the finer grid, and all taps of the filter in one sum."""
    del kernel
    up, down = LAYER.up_filter, LAYER.down_filter
    return filtered_lrelu.filtered_lrelu(x, None, up, down, 2, 2, LAYER.padding)


def _radial(downsample: Callable[[jax.Array], jax.Array]) -> Form:
    """Return the activation on the finer grid itself, with XLA's gradients of it."""

    def form(x: jax.Array, kernel: jax.Array) -> jax.Array:
        del kernel
        x = upfirdn2d.upfirdn2d(x, LAYER.up_filter, 2, padding=LAYER.padding, gain=4.0)
        return downsample(jnp.sqrt(2.0) * jnp.where(x < 0, 0.2 * x, x))

    return form


def radial_shifts(x: jax.Array) -> jax.Array:
    """Shifts and additions for each row of the filter."""
    return upfirdn2d.upfirdn2d(x, LAYER.down_filter, down=2)


def _radial_rank(matrices: Arithmetic | None) -> Callable[[jax.Array], jax.Array]:
    """Return the radial filter as a sum of separable ones, by its eigenvectors."""
    values, vectors = np.linalg.eigh(LAYER.down_filter.astype(np.float64))
    kept = np.abs(values) > np.finfo(np.float32).eps / 2 * np.abs(values).max()

    def downsample(x: jax.Array) -> jax.Array:
        return sum(
            np.float32(value)
            * upfirdn2d.apply(
                x, upfirdn2d.geometry(x.shape, taps, down=2, matrices=matrices)
            )
            for value, taps in zip(values[kept], vectors.T[kept], strict=True)
        )

    return downsample


def radial_depthwise(x: jax.Array) -> jax.Array:
    """A strided depthwise convolution."""
    taps = jnp.asarray(LAYER.down_filter)[:, :, None, None]
    taps = jnp.broadcast_to(taps, (*taps.shape[:3], x.shape[-1]))
    return conv(x, taps, (0, 0), stride=2, groups=x.shape[-1])


def radial_packed(x: jax.Array) -> jax.Array:
    """Channels moved into the batch, then a strided convolution of one channel."""
    b, h, w, c = x.shape
    taps = jnp.asarray(LAYER.down_filter)[:, :, None, None]
    y = conv(x.transpose(0, 3, 1, 2).reshape(b * c, h, w, 1), taps, (0, 0), stride=2)
    return y.reshape(b, c, *y.shape[1:3]).transpose(0, 2, 3, 1)


def _ours(layer: Callable) -> Form:
    return lambda x, kernel: layer(x, kernel, TAPS)


FORMS: dict[str, dict[str, Form]] = {
    "up": {
        "ours": _ours(conv2d_resample.up_conv2d),
        "transposed, shifts": up_dilated,
        "transposed, depthwise": up_dilated_depthwise,
        "transposed, folded": up_dilated_folded,
        "zeros, filter, plain": up_zeros,
        "polyphase": up_polyphase,
        "polyphase, own gradients": up_polyphase_own_gradients,
    },
    "down": {
        "ours": _ours(conv2d_resample.down_conv2d),
        "shifts, strided": down_strided,
        "depthwise, strided": down_strided_depthwise,
        "strided, folded": down_strided_folded,
        "polyphase": down_polyphase,
        "polyphase, own gradients": down_polyphase_own_gradients,
        "shifts, plain, dropped": down_full,
    },
    "box_up": {
        "ours": resample.upscale_conv2d,
        "repeated, plain": box_up_plain,
        "transposed, folded": box_up_dilated,
    },
    "box_down": {
        "ours": resample.conv_downscale2d,
        "plain, averaged": box_down_plain,
        "strided, folded": box_down_strided,
    },
    "blur": {
        "ours": blur_ours,
        "shifts": blur_shifts,
        "depthwise": blur_depthwise,
        "channels in batch": blur_packed,
        "banded matrices": blur_matmul,
    },
    "radial": {
        "ours": radial_ours,
        "shifts": _radial(radial_shifts),
        "separable": _radial(_radial_rank(None)),
        "separable, banded matrices": _radial(_radial_rank(EXACT)),
        "depthwise": _radial(radial_depthwise),
        "channels in batch": _radial(radial_packed),
    },
}
