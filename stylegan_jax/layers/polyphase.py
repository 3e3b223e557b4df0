"""FIR filters between an image and the polyphase components of a finer grid.

Phase (i,j) of a grid has every n-th of its pixels along each axis, from pixel (i,j) on.
If the grid is downsampled by n, the result is a weighted sum of shifted phases, which
needs no strided reads. A pointwise operation on the grid acts on each phase separately.

`split` and `merge` are the adjoints of each other for adjoint geometries.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.layers.upfirdn2d import Geometry, Pair, both_axes


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def split(
    x: jax.Array, g: Geometry, n: int | Pair, stored: bool = True
) -> list[jax.Array]:
    """Resample x [B,H,W,C], and return the phases of the result [B,H',W',C].

    Args:
      x: [B,H,W,C].
      g: the geometry, without `matrices`.
      n: number of phases along each axis, (height, width).
      stored: keep XLA from fusing the computation of x into the loop of the filter.
        On CPUs, it would be repeated for every tap.

    Returns:
      n[0] * n[1] arrays [B,ceil(H' / n[0]),ceil(W' / n[1]),C], row by row. Their pixels
      beyond H' and W' have unspecified finite values.
    """
    rows, columns = (
        [_axis(g, axis, outputs=(i, count)) for i in range(count)]
        for axis, count in enumerate(both_axes(n))
    )
    if g.taps.ndim == 2:
        (x,), origin = _pad([x], rows, columns, stored)
        pairs = itertools.product(rows, columns)
        return [_filter(g.taps, [x], [pair], origin) for pair in pairs]
    same = _Axis(1, 1, 1, 0, x.shape[2])
    (x,), origin = _pad([x], rows, [same], stored)
    x = [_filter(g.taps[:, None], [x], [(row, same)], origin) for row in rows]
    same = _Axis(1, 1, 1, 0, x[0].shape[1])
    x, origin = _pad(x, [same], columns, stored)
    return [
        _filter(g.taps[None], [half], [(same, column)], origin)
        for half, column in itertools.product(x, columns)
    ]


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def merge(
    phases: list[jax.Array], g: Geometry, n: int | Pair, stored: bool = True
) -> jax.Array:
    """Resample an array [B,H,W,C] that is given by its phases.

    Args:
      phases: n[0] * n[1] arrays [B,ceil(H / n[0]),ceil(W / n[1]),C], row by row. Pixels
        beyond H and W must be zero, or out of reach of the filter.
      g: the geometry, without `matrices`.
      n: number of phases along each axis, (height, width).
      stored: as for `split`.

    Returns:
      [B,H',W',C].
    """
    n = both_axes(n)
    rows, columns = (
        [_axis(g, axis, inputs=(i, count)) for i in range(count)]
        for axis, count in enumerate(n)
    )
    if g.taps.ndim == 2:
        phases, origin = _pad(phases, rows, columns, stored)
        pairs = [*itertools.product(rows, columns)]
        return _filter(g.taps, phases, pairs, origin)
    same = _Axis(1, 1, 1, 0, phases[0].shape[2])
    phases, origin = _pad(phases, rows, [same], stored)
    pairs = [(row, same) for row in rows]
    x = [
        _filter(g.taps[:, None], phases[j :: n[1]], pairs, origin) for j in range(n[1])
    ]
    same = _Axis(1, 1, 1, 0, x[0].shape[1])
    x, origin = _pad(x, [same], columns, stored)
    return _filter(g.taps[None], x, [(same, column) for column in columns], origin)


def _split_forward(
    x: jax.Array, g: Geometry, n: int | Pair, stored: bool
) -> tuple[list[jax.Array], Pair]:
    return split(x, g, n, stored), x.shape[1:3]


def _split_backward(
    g: Geometry, n: int | Pair, stored: bool, lengths: Pair, phases: list[jax.Array]
) -> tuple[jax.Array]:
    return (merge(phases, g.adjoint(lengths), n, stored),)


def _merge_forward(
    phases: list[jax.Array], g: Geometry, n: int | Pair, stored: bool
) -> tuple[jax.Array, Pair]:
    lengths = zip(phases[0].shape[1:3], both_axes(n), strict=True)
    return merge(phases, g, n, stored), tuple(size * count for size, count in lengths)


def _merge_backward(
    g: Geometry, n: int | Pair, stored: bool, lengths: Pair, y: jax.Array
) -> tuple[list[jax.Array]]:
    return (split(y, g.adjoint(lengths), n, stored),)


split.defvjp(_split_forward, _split_backward)
merge.defvjp(_merge_forward, _merge_backward)


@dataclasses.dataclass(frozen=True)
class _Axis:
    """The geometry of a filter along one axis.

    Output m is the sum over q of taps[up * q + begin - down * m] times input q. So the
    outputs m = period * p + r with the same remainder r read the inputs at a stride.
    """

    taps: int
    up: int
    down: int
    begin: int
    length: int

    @property
    def period(self) -> int:
        return self.up // math.gcd(self.up, self.down)

    @property
    def stride(self) -> int:
        return self.down // math.gcd(self.up, self.down)

    @property
    def count(self) -> int:
        """Number of outputs of each remainder."""
        return -(-self.length // self.period)

    def terms(self, r: int) -> list[Pair]:
        """Return (tap, first input) of all terms of the outputs with a remainder."""
        shifts = ((t, t - self.begin + self.down * r) for t in range(self.taps))
        return [(t, s // self.up) for t, s in shifts if s % self.up == 0]

    def margin(self, size: int) -> Pair:
        """Return the zeros needed before and after an input of a size."""
        starts = [q for r in range(self.period) for _, q in self.terms(r)] or [0]
        end = max(starts) + (self.count - 1) * self.stride + 1
        return max(0, -min(starts)), max(0, end - size)


def _axis(
    g: Geometry, axis: int, outputs: Pair = (0, 1), inputs: Pair = (0, 1)
) -> _Axis:
    """Return the geometry of one axis between an input phase and an output phase.

    Args:
      g: the geometry.
      axis: 0 or 1.
      outputs: (phase, number of phases) of the outputs.
      inputs: (phase, number of phases) of the inputs.
    """
    (i, n), (j, m) = outputs, inputs
    begin = g.begins[axis] + g.ups[axis] * j - g.downs[axis] * i
    length = -(-g.lengths[axis] // n)
    taps = (g.taps.shape[0], g.taps.shape[-1])[axis]
    return _Axis(taps, g.ups[axis] * m, g.downs[axis] * n, begin, length)


def _pad(
    arrays: list[jax.Array], rows: list[_Axis], columns: list[_Axis], stored: bool
) -> tuple[list[jax.Array], Pair]:
    """Pad arrays of one shape for filters; return them and the position of pixel (0,0).

    A pad forces XLA to write the `stored` arrays. So one zero is added even where none
    is needed, and the barrier keeps XLA from reading the array before the pad for taps
    that need no zeros.
    """
    sizes = arrays[0].shape[1:3]
    widths = []
    for axes, size in zip((rows, columns), sizes, strict=True):
        before, after = zip(*(axis.margin(size) for axis in axes), strict=True)
        widths.append((max(before), max(after)))
    if stored and not any(map(any, widths)):
        widths[1] = (0, 1)
    padded = [jnp.pad(x, ((0, 0), *widths, (0, 0))) for x in arrays]
    if stored:
        padded = jax.lax.optimization_barrier(padded)
    return padded, (widths[0][0], widths[1][0])


def _filter(
    taps: np.ndarray,
    arrays: list[jax.Array],
    axes: list[tuple[_Axis, _Axis]],
    origin: Pair,
) -> jax.Array:
    """Apply a filter [h,w] to each padded array, with its own axes, and sum up."""
    row, column = axes[0]
    b, c = arrays[0].shape[0], arrays[0].shape[-1]

    def term(x, row: _Axis, column: _Axis, one: Pair, other: Pair) -> jax.Array:
        (t, i), (u, j) = one, other
        y = i + origin[0], i + origin[0] + (row.count - 1) * row.stride + 1
        z = j + origin[1], j + origin[1] + (column.count - 1) * column.stride + 1
        strides = (1, row.stride, column.stride, 1)
        part = jax.lax.slice(x, (0, y[0], z[0], 0), (b, y[1], z[1], c), strides)
        return part if taps[t, u] == 1 else part * np.asarray(taps[t, u], x.dtype)

    def total(r: int, s: int) -> jax.Array:
        # A sum for each row of the filter, so that a processor can compute several
        # sums in parallel.
        sums = [
            _sum(term(x, row, column, one, other) for other in column.terms(s))
            for x, (row, column) in zip(arrays, axes, strict=True)
            for one in row.terms(r)
            if column.terms(s)
        ]
        zeros = jnp.zeros((b, row.count, column.count, c), arrays[0].dtype)
        return _sum(sums or [zeros])

    lines = []
    for r in range(row.period):
        parts = [total(r, s) for s in range(column.period)]
        lines.append(interleave(parts, 2, column.length))
    return interleave(lines, 1, row.length)


def _sum(terms: Iterable[jax.Array]) -> jax.Array:
    return functools.reduce(jnp.add, terms)


def interleave(parts: list[jax.Array], axis: int, length: int) -> jax.Array:
    """Interleave the pixels of the parts along an axis, up to a length."""
    x = parts[0]
    if len(parts) > 1:
        shape = list(x.shape)
        shape[axis] *= len(parts)
        x = jnp.stack(parts, axis=axis + 1).reshape(shape)
    return jax.lax.slice_in_dim(x, 0, length, axis=axis)
