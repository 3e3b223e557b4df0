"""Resampling with FIR filters: insert zeros, filter, and drop pixels.

Filters are shifts and additions, which XLA fuses on every backend, and so are their
gradients, because the adjoint of `upfirdn2d` is another `upfirdn2d`. Gradients of every
order are thus free of dilated and strided convolutions, which XLA runs slowly on CPUs.

In shifts and additions, a TPU pads arrays of few channels. With
`Arithmetic.pixel_blocks`, images are multiplied by a matrix for each axis instead.

Reference: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN",
appendix B ("Filtering"); Karras et al. 2019, appendix C.
"""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.layers.blocks import FEW
from stylegan_jax.layers.matmul import EXACT, Arithmetic, precision

Pair = tuple[int, int]
NO_PADDING = ((0, 0), (0, 0))
IDENTITY = np.ones(1, np.float32)


def setup_filter(
    taps, normalize: bool = True, flip: bool = False, gain: float = 1.0
) -> np.ndarray:
    """Return a filter in the form that `upfirdn2d` takes.

    Args:
      taps: [k], or [h,w] for a filter that is not separable, or a single number.
      normalize: scale the taps to sum to one.
      flip: reverse the taps.
      gain: gain of the amplitude, which the two passes of [k] share evenly.

    Returns:
      float32 [k] or [h,w].
    """
    f = np.atleast_1d(np.asarray(taps, np.float64))
    if f.ndim > 2 or f.size == 0:
        raise ValueError(f"a filter has shape {f.shape}; it must be [k] or [h,w]")
    if normalize:
        f = f / f.sum()
    if flip:
        f = np.flip(f)
    return (f * gain ** (f.ndim / 2)).astype(np.float32)


def upfirdn2d(
    x: jax.Array,
    taps: np.ndarray,
    up: int | Pair = 1,
    down: int | Pair = 1,
    padding: tuple[Pair, Pair] = NO_PADDING,
    flip: bool = False,
    gain: float = 1.0,
    arithmetic: Arithmetic = EXACT,
) -> jax.Array:
    """Insert zeros, pad or crop, filter, and keep every down-th pixel.

    Args:
      x: [B,H,W,C].
      taps: [k] for both axes in turn, or [h,w].
      up: pixels per pixel after zeros are inserted behind each, (height, width).
      down: the first of each `down` pixels is kept, (height, width).
      padding: zeros ((top, bottom), (left, right)); negative values crop.
      flip: correlate instead of convolving.
      gain: gain of the amplitude.
      arithmetic: its `pixel_blocks` selects products with matrices, for filters [k]
        of arrays of few channels.

    Returns:
      [B,H',W',C], H' = (H * up + top + bottom - taps) // down + 1.
    """
    chex.assert_rank(x, 4)
    few = x.shape[-1] <= FEW and arithmetic.pixel_blocks
    matrices = arithmetic if few else None
    return apply(x, geometry(x.shape, taps, up, down, padding, flip, gain, matrices))


def upsample2d(
    x: jax.Array,
    taps: np.ndarray,
    factor: int | Pair = 2,
    padding: tuple[Pair, Pair] = NO_PADDING,
    flip: bool = False,
    gain: float = 1.0,
    arithmetic: Arithmetic = EXACT,
) -> jax.Array:
    """Enlarge x [B,H,W,C] by `factor`, centered, keeping its amplitude.

    `padding` refers to the enlarged image; see `upfirdn2d` for all arguments.
    """
    ups = both_axes(factor)
    padding = upsampling_padding(padding, taps, ups)
    return upfirdn2d(x, taps, ups, 1, padding, flip, gain * ups[0] * ups[1], arithmetic)


def downsample2d(
    x: jax.Array,
    taps: np.ndarray,
    factor: int | Pair = 2,
    padding: tuple[Pair, Pair] = NO_PADDING,
    flip: bool = False,
    gain: float = 1.0,
    arithmetic: Arithmetic = EXACT,
) -> jax.Array:
    """Reduce x [B,H,W,C] by `factor`, centered; see `upfirdn2d` for all arguments."""
    downs = both_axes(factor)
    padding = downsampling_padding(padding, taps, downs)
    return upfirdn2d(x, taps, 1, downs, padding, flip, gain, arithmetic)


@dataclasses.dataclass(frozen=True, eq=False)
class Geometry:
    """The geometry of `upfirdn2d` along each axis.

    Output n is the sum of taps[up * s + begin - n * down] times input s. `matrices` is
    the arithmetic of products with matrices, or None for shifts and additions.
    """

    taps: np.ndarray
    ups: list[int]
    downs: list[int]
    begins: tuple[int, int]
    lengths: tuple[int, int]
    matrices: Arithmetic | None = None

    def adjoint(self, lengths: tuple[int, int]) -> "Geometry":
        """Return the geometry of the adjoint for inputs of these lengths."""
        sizes = (self.taps.shape[0], self.taps.shape[-1])
        begins = tuple(k - 1 - b for k, b in zip(sizes, self.begins, strict=True))
        return Geometry(
            np.flip(self.taps), self.downs, self.ups, begins, lengths, self.matrices
        )

    def along_height(self, width: int) -> "Geometry":
        """Return the geometry of the height alone, for images of a width.

        The filter must be separable; the result has no `matrices`.
        """
        return Geometry(
            self.taps[:, None],
            [self.ups[0], 1],
            [self.downs[0], 1],
            (self.begins[0], 0),
            (self.lengths[0], width),
        )

    def matrix(self, axis: int, size: int) -> np.ndarray:
        """Return the matrix [length,size] from `size` inputs to the outputs."""
        n, s = np.ogrid[: self.lengths[axis], :size]
        t = self.ups[axis] * s + self.begins[axis] - n * self.downs[axis]
        inside = (t >= 0) & (t < len(self.taps))
        return np.where(inside, self.taps[t * inside], 0).astype(np.float32)


def geometry(
    shape: tuple[int, ...],
    taps: np.ndarray,
    up: int | Pair = 1,
    down: int | Pair = 1,
    padding: tuple[Pair, Pair] = NO_PADDING,
    flip: bool = False,
    gain: float = 1.0,
    matrices: Arithmetic | None = None,
) -> Geometry:
    """Return the geometry of `upfirdn2d` of arrays [B,H,W,C] of a shape.

    `matrices` is that of `Geometry`, and is ignored for filters [h,w]; see `upfirdn2d`
    for the other arguments.

    Raises:
      ValueError: no pixels are left.
    """
    f = np.asarray(taps, np.float64)
    f = f if flip else np.flip(f)
    f = f * gain ** (f.ndim / 2)
    sizes = (f.shape[0], f.shape[-1])
    lengths = tuple(
        (n * u + sum(p) - k) // d + 1
        for n, u, d, p, k in zip(
            shape[1:3], both_axes(up), both_axes(down), padding, sizes, strict=True
        )
    )
    if min(lengths) < 1:
        raise ValueError(
            f"upfirdn2d of {shape} by {up} / {down} with {f.shape} taps and padding "
            f"{padding} leaves no pixels; increase the padding"
        )
    begins = tuple(before for before, _ in padding)
    matrices = matrices if f.ndim == 1 else None
    return Geometry(f, both_axes(up), both_axes(down), begins, lengths, matrices)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def apply(x: jax.Array, g: Geometry) -> jax.Array:
    """Resample x [B,H,W,C] by a geometry; the adjoint is one, too."""
    if g.matrices:
        for axis, product in enumerate(("nh,bhwc->bnwc", "nw,bhwc->bhnc")):
            matrix = jnp.asarray(g.matrix(axis, x.shape[axis + 1]), x.dtype)
            x = jnp.einsum(product, matrix, x, precision=precision(x, g.matrices))
        return x
    if g.taps.ndim == 1:
        for axis in (0, 1):
            x = _combine([x] * len(g.taps), g.taps, axis, g)
        return x
    # The rows of the filter in turn; equal rows are computed once.
    rows = {row.tobytes(): row for row in g.taps}
    filtered = {k: _combine([x] * len(row), row, 1, g) for k, row in rows.items()}
    terms = [filtered[row.tobytes()] for row in g.taps]
    return _combine(terms, np.ones(len(terms)), 0, g)


def _apply_forward(x: jax.Array, g: Geometry) -> tuple[jax.Array, tuple]:
    return apply(x, g), x.shape[1:3]


def _apply_backward(g: Geometry, lengths: tuple, y: jax.Array) -> tuple[jax.Array]:
    return (apply(y, g.adjoint(lengths)),)


apply.defvjp(_apply_forward, _apply_backward)


def both_axes(value: int | Pair) -> list[int]:
    """Return (height, width) of a number for both axes, or of a pair."""
    return np.broadcast_to(value, 2).tolist()


def upsampling_padding(
    padding: tuple[Pair, Pair], taps: np.ndarray, ups: list[int]
) -> tuple[Pair, ...]:
    """Add the padding that centers the result of inserting zeros and filtering."""
    sizes = (taps.shape[0], taps.shape[-1])
    return tuple(
        (before + (k + up - 1) // 2, after + (k - up) // 2)
        for (before, after), k, up in zip(padding, sizes, ups, strict=True)
    )


def downsampling_padding(
    padding: tuple[Pair, Pair], taps: np.ndarray, downs: list[int]
) -> tuple[Pair, ...]:
    """Add the padding that centers the result of filtering and dropping pixels."""
    sizes = (taps.shape[0], taps.shape[-1])
    return tuple(
        (before + (k - down + 1) // 2, after + (k - down) // 2)
        for (before, after), k, down in zip(padding, sizes, downs, strict=True)
    )


def _combine(
    terms: list[jax.Array],
    taps: np.ndarray,
    axis: int,
    g: Geometry,
) -> jax.Array:
    """Sum taps[t] times zero-inserted terms[t], shifted by t; keep every down-th pixel.

    Output pixel up * q + r takes pixel q * down + s of term t where
    r * down + t - begin = up * s: each r is a sum of plain strided slices.
    """
    up, down, begin = g.ups[axis], g.downs[axis], g.begins[axis]
    length = g.lengths[axis]
    axis += 1
    size = terms[0].shape[axis]
    count = -(-length // up)  # outputs of each remainder r
    meets = [
        [
            (t, (r * down + t - begin) // up)
            for t in range(len(taps))
            if (r * down + t - begin) % up == 0
        ]
        for r in range(up)
    ]
    shifts = [s for pairs in meets for _, s in pairs]
    before = max(0, -min(shifts, default=0))
    after = max(0, max(shifts, default=0) + (count - 1) * down + 1 - size)
    widths = [(0, 0)] * terms[0].ndim
    widths[axis] = (before, after)
    padded = {id(t): jnp.pad(t, widths) for t in terms}
    phases = []
    for pairs in meets:
        total = None
        for t, s in pairs:
            start = s + before
            part = jax.lax.slice_in_dim(
                padded[id(terms[t])],
                start,
                start + (count - 1) * down + 1,
                down,
                axis,
            )
            if taps[t] != 1:
                part = part * np.asarray(taps[t], part.dtype)
            total = part if total is None else total + part
        if total is None:
            shape = list(terms[0].shape)
            shape[axis] = count
            total = jnp.zeros(shape, terms[0].dtype)
        phases.append(total)
    if up == 1:
        return phases[0]
    y = jnp.stack(phases, axis=axis + 1)
    shape = list(terms[0].shape)
    shape[axis] = count * up
    return jax.lax.slice_in_dim(y.reshape(shape), 0, length, axis=axis)
