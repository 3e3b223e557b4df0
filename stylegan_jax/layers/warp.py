"""Affine warps of images, without aliasing.

An image is mirrored at its edges by its whole size, upsampled by two with a filter,
sampled bilinearly at twice the resolution, and downsampled with the same filter. The
enlarged mirrored image has 36 times the pixels of the image, so it is never computed as
a whole:

  - The distinct rows of a mirrored image are one period and those near its ends.
  - Its enlargement has four phases, which are its even and odd rows and columns. Each
    phase is a filter of the mirrored image without inserted zeros. Of the four pixels
    around a position, each phase has one. The phases are computed in turn, and their
    contributions to the samples are added.
  - The samples in even and in odd rows are computed in turn, too.

A warp is linear in the images, and its transpose takes the same steps in the opposite
order, so gradients of every order take no more memory than that.

Reference: Karras et al. 2020, "Training Generative Adversarial Networks with Limited
Data", appendix B.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.layers.upfirdn2d import setup_filter

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
TAPS = len(SYM6) // 2  # number of taps of a phase
# Taps [2,6] of the phases of the enlargement along an axis, which preserves the
# amplitude, and of the samples' even and odd rows in the reduction.
ENLARGING = 2 * SYM6[::-1].reshape(TAPS, 2).T
REDUCING = SYM6.reshape(TAPS, 2).T
EDGE = TAPS // 2  # number of zeros beyond the mirrored image that the filter reaches


def warp(images: jax.Array, inverse: jax.Array) -> jax.Array:
    """Warp images, sampled at twice the resolution to avoid aliasing.

    Outside of the mirrored image, which is almost three times as wide and high as the
    image, it is zero.

    Args:
      images: [B,H,W,C], mirrored at the edges by their whole size.
      inverse: [B,3,3], maps (x, y, 1) of a pixel of the result, in pixels from the
        center, to the position that it comes from. It is treated as a constant: no
        gradient flows to it.

    Returns:
      [B,H,W,C].
    """
    chex.assert_rank(images, 4)
    chex.assert_shape(inverse, (len(images), 3, 3))
    return _warp(images, jax.lax.stop_gradient(inverse))


@jax.custom_vjp
def _warp(images: jax.Array, inverse: jax.Array) -> jax.Array:
    batch, height, width, channels = images.shape

    def add_phase(samples: jax.Array, phase: jax.Array) -> tuple[jax.Array, None]:
        # Otherwise, results that do not depend on the phase are kept for all phases.
        x, _ = _once((images, phase))
        enlarged = _enlarge(x, phase)

        def add_rows(samples: jax.Array, parity: jax.Array) -> tuple[jax.Array, None]:
            index, weight = _pixels(inverse, parity, phase, images.shape)
            found = jax.lax.gather(
                enlarged, index, _GATHER, (1, 1, 1, channels), mode=_IN_BOUNDS
            )
            part = jax.lax.dynamic_index_in_dim(samples, parity, keepdims=False)
            part += weight * found
            return jax.lax.dynamic_update_index_in_dim(samples, part, parity, 0), None

        return jax.lax.scan(add_rows, samples, np.arange(2))[0], None

    size = (2, batch, height + TAPS - 1, 2, width + TAPS - 1, channels)
    samples, _ = jax.lax.scan(add_phase, jnp.zeros(size, images.dtype), np.arange(4))
    return _reduce(samples)


@jax.custom_vjp
def _warp_transpose(results: jax.Array, inverse: jax.Array) -> jax.Array:
    batch, height, width, channels = results.shape
    size = (batch, _distinct(height), _distinct(width), channels)
    samples = _reduce_transpose(results)

    def add_phase(total: jax.Array, phase: jax.Array) -> tuple[jax.Array, None]:
        def add_rows(enlarged: jax.Array, parity: jax.Array) -> tuple[jax.Array, None]:
            index, weight = _pixels(inverse, parity, phase, results.shape)
            part = jax.lax.dynamic_index_in_dim(samples, parity, keepdims=False)
            added = jax.lax.scatter_add(
                enlarged, index, weight * part, _SCATTER, mode=_IN_BOUNDS
            )
            return added, None

        enlarged = jnp.zeros(size, results.dtype)
        enlarged, _ = jax.lax.scan(add_rows, enlarged, np.arange(2))
        return total + _enlarge_transpose(enlarged, phase, results.shape), None

    return jax.lax.scan(add_phase, jnp.zeros_like(results), np.arange(4))[0]


_warp.defvjp(
    lambda images, inverse: (_warp(images, inverse), inverse),
    lambda inverse, gradient: (_warp_transpose(gradient, inverse), None),
)
_warp_transpose.defvjp(
    lambda results, inverse: (_warp_transpose(results, inverse), inverse),
    lambda inverse, gradient: (_warp(gradient, inverse), None),
)

# Compute the arguments once, and keep none of it longer than needed: the compiler moves
# nothing out of a loop, and repeats nothing, across this.
_once = jax.lax.optimization_barrier
_IN_BOUNDS = jax.lax.GatherScatterMode.PROMISE_IN_BOUNDS
# Pixels [B,h,2,w,C] at the rows and columns [B,h,2,w,2] of [B,H,W,C].
_GATHER = jax.lax.GatherDimensionNumbers(
    offset_dims=(4,),
    collapsed_slice_dims=(1, 2),
    start_index_map=(1, 2),
    operand_batching_dims=(0,),
    start_indices_batching_dims=(0,),
)
_SCATTER = jax.lax.ScatterDimensionNumbers(
    update_window_dims=(4,),
    inserted_window_dims=(1, 2),
    scatter_dims_to_operand_dims=(1, 2),
    operand_batching_dims=(0,),
    scatter_indices_batching_dims=(0,),
)


def _pixels(
    inverse: jax.Array, parity: jax.Array, phase: jax.Array, shape: tuple[int, ...]
) -> tuple[jax.Array, jax.Array]:
    """Return the pixels of a phase at the samples' positions, and their weights.

    Args:
      inverse: [B,3,3], see `warp`.
      parity: [], parity of the samples' rows.
      phase: [], 0 to 3: twice the phase of the rows plus that of the columns.
      shape: shape of the images, [B,H,W,C].

    Returns:
      Row and column [B,H+5,2,W+5,2] in an image of `_enlarge`, of samples in all
      columns: even ones, then odd ones. Bilinear weights [B,H+5,2,W+5,1].
    """
    _, height, width, _ = shape
    inverse, _ = _once((inverse, parity))
    # Sample i, of 2 * size + 10, is (i - size - 4) / 2 pixels from the center.
    rows = (2 * np.arange(height + TAPS - 1) - height - TAPS + 2 + parity) / 2
    columns = 2 * np.arange(width + TAPS - 1) - width - TAPS + 2 + np.c_[:2]
    y = jnp.float32(rows)[:, None, None]
    x = np.float32(columns / 2)
    at = inverse[:, :2, :, None, None, None]
    at = at[:, :, 0] * x + at[:, :, 1] * y + at[:, :, 2]
    row, row_weight = _nearest(2 * at[:, 1], phase // 2, height)
    column, column_weight = _nearest(2 * at[:, 0], phase % 2, width)
    index = jnp.stack([row, column], axis=-1)
    return index, (row_weight * column_weight)[..., None]


def _nearest(
    position: jax.Array, phase: jax.Array, size: int
) -> tuple[jax.Array, jax.Array]:
    """Return the pixel of a phase that is less than 1 from a position along an axis.

    Args:
      position: position in pixels of the enlarged mirrored image, from its center.
      phase: [], 0 or 1.
      size: size of the image.

    Returns:
      Index into the `_distinct` pixels of the phase; weight in linear interpolation,
      which is zero outside of the mirrored image.
    """
    mirrored, period = 3 * size - 2, 2 * size - 2
    position = jnp.clip(position, -mirrored, mirrored + 1)
    below = jnp.minimum(jnp.floor(position), mirrored).astype(jnp.int32) + mirrored - 1
    # Pixel q of phase r is pixel 2q - r of the enlarged image.
    pixel = (below + 1 + phase) // 2
    enlarged = 2 * pixel - phase
    weight = 1 - jnp.abs(position - (enlarged - (mirrored - 1)))
    inside = (enlarged >= 0) & (enlarged < 2 * mirrored)
    near_end = pixel >= mirrored - 2
    repeated = jnp.where(
        near_end, pixel - mirrored + _distinct(size) - 1, pixel - period
    )
    index = jnp.where(pixel <= period + EDGE - 1, pixel, repeated)
    return index, jnp.where(inside, weight, 0.0)


def _enlarge(images: jax.Array, phase: jax.Array) -> jax.Array:
    """Return the distinct pixels of a phase of the enlarged mirrored images.

    Args:
      images: [B,H,W,C].
      phase: [], 0 to 3: twice the phase of the rows plus that of the columns.

    Returns:
      [B,_distinct(H),_distinct(W),C].
    """
    batch, height, width, channels = images.shape
    taps = jnp.asarray(ENLARGING, images.dtype)
    x = _mirror(images, 2).reshape(batch, height, -1)
    x = _once(_filter(x, taps[phase % 2], 2, channels))
    x = _filter(_once(_mirror(x, 1)), taps[phase // 2], 1)
    return x.reshape(batch, _distinct(height), _distinct(width), channels)


def _enlarge_transpose(
    x: jax.Array, phase: jax.Array, shape: tuple[int, ...]
) -> jax.Array:
    """Return the transpose of `_enlarge` for images of a shape [B,H,W,C]."""
    batch, height, width, channels = shape
    taps = jnp.asarray(ENLARGING, x.dtype)
    x = x.reshape(batch, x.shape[1], -1)
    x = _mirror_transpose(_filter_transpose(x, taps[phase // 2], 1), 1, height)
    x = _filter_transpose(x, taps[phase % 2], 2, channels)
    return _mirror_transpose(x.reshape(batch, height, -1, channels), 2, width)


def _reduce(samples: jax.Array) -> jax.Array:
    """Reduce samples [2,B,H+5,2,W+5,C] in even, odd rows and columns to [B,H,W,C]."""
    _, batch, rows, _, columns, channels = samples.shape
    taps = np.asarray(REDUCING, samples.dtype)

    def in_rows(parity: int) -> jax.Array:
        even, odd = (
            _filter(
                samples[parity, :, :, i].reshape(batch, rows, -1), taps[i], 2, channels
            )
            for i in (0, 1)
        )
        return _filter(even + odd, taps[parity], 1)

    x = _once(in_rows(0) + in_rows(1))
    return x.reshape(batch, rows - TAPS + 1, columns - TAPS + 1, channels)


def _reduce_transpose(x: jax.Array) -> jax.Array:
    """Return the transpose of `_reduce`."""
    batch, height, width, channels = x.shape
    taps = np.asarray(REDUCING, x.dtype)

    def in_rows(parity: int) -> jax.Array:
        rows = _filter_transpose(x.reshape(batch, height, -1), taps[parity], 1)
        columns = [_filter_transpose(rows, taps[i], 2, channels) for i in (0, 1)]
        return jnp.stack(columns, axis=2)

    shape = (2, batch, height + TAPS - 1, 2, width + TAPS - 1, channels)
    return jnp.stack([in_rows(0), in_rows(1)]).reshape(shape)


def _filter(x: jax.Array, taps: jax.Array, axis: int, step: int = 1) -> jax.Array:
    """Correlate x with taps [6] that are `step` apart along an axis."""
    size = x.shape[axis] - (TAPS - 1) * step
    parts = (
        jax.lax.slice_in_dim(x, i * step, i * step + size, axis=axis)
        for i in range(TAPS)
    )
    return sum(tap * part for tap, part in zip(taps, parts, strict=True))


def _filter_transpose(
    x: jax.Array, taps: jax.Array, axis: int, step: int = 1
) -> jax.Array:
    """Return the transpose of `_filter`."""
    widths = [(0, 0)] * x.ndim
    widths[axis] = ((TAPS - 1) * step,) * 2
    return _filter(jnp.pad(x, widths), taps[::-1], axis, step)


def _distinct(size: int) -> int:
    """Return the number of distinct pixels of a phase along an axis of this size."""
    return 2 * size - 2 + 2 * EDGE + min(TAPS - 1, size)


def _runs(size: int) -> list[tuple[int, int, int, int]]:
    """Return the runs of pixels that the distinct ones of a phase are filtered from.

    They are the mirrored image up to where it repeats, and its end, each with zeros
    where it ends. Between the two, `_distinct` counts some unused pixels.

    Returns:
      For each run, its position among the pixels that are filtered, and the start, stop
      and direction of the pixels of the image.
    """
    after, end = min(TAPS - 2, size - 1), min(TAPS - 1, size)
    return [
        (EDGE, 1, size, -1),
        (EDGE + size - 1, 0, size, 1),
        (EDGE + 2 * size - 1, size - 1 - after, size - 1, -1),
        (EDGE + 2 * size - 1 + TAPS - 2, 0, end, -1),
    ]


def _mirror(x: jax.Array, axis: int) -> jax.Array:
    """Return the pixels that `_distinct` ones are filtered from, along an axis."""
    size = x.shape[axis]

    def zeros(count: int) -> jax.Array:
        return jnp.zeros((*x.shape[:axis], count, *x.shape[axis + 1 :]), x.dtype)

    parts, length = [], 0
    for at, start, stop, direction in _runs(size):
        part = jax.lax.slice_in_dim(x, start, stop, axis=axis)
        parts += [zeros(at - length), part if direction > 0 else jnp.flip(part, axis)]
        length = at + stop - start
    return jnp.concatenate([*parts, zeros(_distinct(size) + TAPS - 1 - length)], axis)


def _mirror_transpose(x: jax.Array, axis: int, size: int) -> jax.Array:
    """Return the transpose of `_mirror` for an axis of this size."""

    def of_run(at: int, start: int, stop: int, direction: int) -> jax.Array:
        part = jax.lax.slice_in_dim(x, at, at + stop - start, axis=axis)
        widths = [(0, 0)] * x.ndim
        widths[axis] = (start, size - stop)
        return jnp.pad(part if direction > 0 else jnp.flip(part, axis), widths)

    return sum(of_run(*run) for run in _runs(size))
