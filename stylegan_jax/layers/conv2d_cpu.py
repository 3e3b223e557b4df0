"""Convolutions in fewer multiplications, for CPUs.

Along a row, four neighbouring results of a filter with three taps take twelve products;
Toom and Cook's way of multiplying polynomials takes six: with x the six pixels and k
the taps, y = A' [(G k) * (B' x)], where A, B and G are small matrices of small numbers
(Winograd, "Arithmetic Complexity of Computations", 1980; Lavin and Gray, "Fast
Algorithms for Convolutional Neural Networks", CVPR 2016, section 4). Two taps take five
products, not eight. With stride two, three taps are a filter of two on every other
pixel, and one on those in between: nine products, not twelve. The rows of the kernel
are summed as ever: tiles of both directions save more multiplications, but read and
write more, and were not faster (docs/performance.md).

Float32 only: one to two bits of precision are lost, of the largest pixel of a tile.
Where an activation lies on the kink of a leaky ReLU such bits decide its gradient, so
this is for programs that ask for it (`allowed`): those that train and draw. Whatever
else applies the networks gets the rounding of plain convolutions.
`convolution` and `strided_convolution` say what is the gradient of what, and decide
when to come here.
"""

import contextlib
import contextvars
import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.layers.matmul import matmul, over_pixels, side_by_side

TILE = 4  # neighbouring results that are computed together
_allowed = contextvars.ContextVar("allowed", default=False)
_POINTS = (0, 1, -1, 2, -2)  # where the polynomials are multiplied; and at infinity


@contextlib.contextmanager
def allowed() -> Iterator[None]:
    """Convolutions that are traced in here may be of this form.

    Decorate the function that is jitted: `jax.jit` does not see contexts around it.
    """
    token = _allowed.set(True)
    try:
        yield
    finally:
        _allowed.reset(token)


def suits(width: int, size: int, dtype: jnp.dtype) -> bool:
    """Whether convolutions with so many results along a row are to be of this form.

    They must be `allowed`; they were faster from 8 on, of whole tiles. Kernels are
    [size,size]; of strided ones and their transposes, the width is that of the small
    image.
    """
    whole = width % TILE == 0 and width >= 2 * TILE
    return _allowed.get() and whole and size in (2, 3) and dtype == jnp.float32


@functools.partial(jax.jit, static_argnames="padding")  # traced once for each shape
def conv(x: jax.Array, kernel: jax.Array, padding: int) -> jax.Array:
    """`convolution.conv2d_padded` where it `suits`."""
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    return _conv(x, kernel, row_stride=1)


@functools.partial(jax.jit, static_argnames=("size", "padding"))
def kernel_gradient(x: jax.Array, y: jax.Array, size: int, padding: int) -> jax.Array:
    """Gradient [k,k,I,O] by the kernel of sum(y * conv(x, kernel, padding))."""
    a, b, g = _matrices(size)
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    # The rows of y side by side, not those of x as in `conv`: XLA would find the same
    # windows there, and keep them from the forward to the backward pass.
    around, starts = (size - 1, size - 1), range(size - 1, -1, -1)
    tiles = [jnp.pad(t, ((0, 0), around, (0, 0), (0, 0))) for t in _tiles(y, a)]
    tiles = [_windows(tile, starts, x.shape[1]) for tile in tiles]
    pairs = zip(_points(x, b), tiles, strict=True)
    products = [over_pixels(*pair) for pair in pairs]
    products = jnp.stack(products).reshape(-1, x.shape[-1], size, y.shape[-1])
    return jnp.einsum("pv,piuo->uvio", g, products, precision="highest")


@jax.jit
def shrink(big: jax.Array, kernel: jax.Array) -> jax.Array:
    """`strided_convolution.shrink` where it `suits`."""
    even, odd = big[:, :, ::2], big[:, :, 1::2]
    y = _conv(even, kernel[:, ::2], row_stride=2)
    windows = _windows(odd, range(len(kernel)), y.shape[1], stride=2)
    return y + matmul(windows, kernel[:, 1].reshape(-1, kernel.shape[-1]))


@jax.jit
def grow(small: jax.Array, kernel: jax.Array) -> jax.Array:
    """`strided_convolution.grow` where it `suits`: `shrink` transposed."""
    a, b, g = _matrices(2)
    size, _, inputs, outputs = kernel.shape
    kernel = kernel.transpose(1, 2, 0, 3).reshape(size, inputs, -1)
    kernels = jnp.einsum("pv,vio->pio", g, kernel[::2], precision="highest")
    tiles = zip(_tiles(small, a), kernels, strict=True)
    products = [matmul(tile, k) for tile, k in tiles]
    even = _overlapping([_sum(row, products) for row in b], axis=2)
    odd = jnp.pad(matmul(small, kernel[1]), ((0, 0), (0, 0), (0, 1), (0, 0)))
    columns = jnp.stack([even, odd], axis=3)
    columns = columns.reshape(*even.shape[:2], -1, size, outputs)[:, :, :-1]
    return _overlapping([columns[..., u, :] for u in range(size)], axis=1)


@jax.jit
def strided_kernel_gradient(small: jax.Array, big: jax.Array) -> jax.Array:
    """Gradient [3,3,S,C] by the kernel of sum(big * grow(small, kernel))."""
    a, b, g = _matrices(2)

    def by_taps(small: jax.Array, big: jax.Array) -> jax.Array:
        """Of one column of the kernel: [S,3C]."""
        return over_pixels(small, _windows(big, range(3), small.shape[1], stride=2))

    points = zip(_tiles(small, a), _points(big[:, :, ::2], b), strict=True)
    products = jnp.stack([by_taps(*pair) for pair in points])
    even = jnp.einsum("pv,pio->vio", g, products, precision="highest")
    gradient = jnp.stack([even[0], by_taps(small, big[:, :, 1::2]), even[1]])
    gradient = gradient.reshape(3, small.shape[-1], 3, big.shape[-1])
    return gradient.transpose(2, 0, 1, 3)


def _conv(x: jax.Array, kernel: jax.Array, row_stride: int) -> jax.Array:
    """Convolution without padding; its kernel [u,v,I,O] may be higher than wide."""
    height, size, inputs, outputs = kernel.shape
    a, b, g = _matrices(size)
    kernels = jnp.einsum("pv,uvio->puio", g, kernel, precision="highest")
    kernels = kernels.reshape(-1, height * inputs, outputs)
    rows = (x.shape[1] - height) // row_stride + 1
    products = [
        matmul(_windows(point, range(height), rows, row_stride), k)
        for point, k in zip(_points(x, b), kernels, strict=True)
    ]
    y = jnp.stack([_sum(row, products) for row in a.T], axis=3)
    return y.reshape(*y.shape[:2], -1, outputs)


def _points(x: jax.Array, b: np.ndarray) -> list[jax.Array]:
    """B' x of every tile of x [B,H,W,I]: P times [B,H,T,I]."""
    end = x.shape[2] - len(b) + 1
    columns = [x[:, :, i : i + end : TILE] for i in range(len(b))]
    return [_sum(row, columns) for row in b.T]


def _tiles(y: jax.Array, a: np.ndarray) -> list[jax.Array]:
    """A y of every tile of y [B,H,4T,O]: P times [B,H,T,O]."""
    columns = [y[:, :, i::TILE] for i in range(TILE)]
    return [_sum(row, columns) for row in a]


def _windows(x: jax.Array, starts: range, rows: int, stride: int = 1) -> jax.Array:
    """So many rows of x [B,H,T,C] from each of n starts on, side by side: [...,nC]."""
    end = stride * (rows - 1) + 1
    return side_by_side([x[:, u : u + end : stride] for u in starts])


def _overlapping(parts: list[jax.Array], axis: int) -> jax.Array:
    """N of each of n parts in turn, the last added to the next first: N(n-1)+1."""

    def padded(part: jax.Array, before: int) -> jax.Array:
        around = [(0, 0)] * part.ndim
        around[axis] = (before, 1 - before)
        return jnp.pad(part, around)

    first, *others = (padded(part, 0) for part in parts[:-1])
    y = jnp.stack([first + padded(parts[-1], 1), *others], axis + 1)
    y = y.reshape(*y.shape[:axis], -1, *y.shape[axis + 2 :])
    return jax.lax.slice_in_dim(y, 0, y.shape[axis] - len(others), axis=axis)


def _sum(factors: np.ndarray, terms: list[jax.Array]) -> jax.Array:
    """The sum of factors [n] times terms [n]; zeros and ones cost nothing."""
    parts = [
        term if factor == 1 else float(factor) * term
        for factor, term in zip(factors, terms, strict=True)
        if factor
    ]
    return functools.reduce(jnp.add, parts)


@functools.cache
def _matrices(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A [P,TILE], B [P,P] and G [P,size] of P = TILE + size - 1 points.

    The last point is infinity, where a polynomial is its leading coefficient.
    """
    points = np.array(_POINTS[: TILE + size - 2], np.float64)
    others = [np.delete(points, i) for i in range(len(points))]

    def values(degree: int) -> np.ndarray:
        """Of 1, x, x^2, ... at every point: [P,degree]."""
        finite = points[:, None] ** np.arange(degree)
        return np.vstack([finite, np.eye(degree)[-1]])

    a, g = values(TILE), values(size)
    g[:-1] /= [[np.prod(p - o)] for p, o in zip(points, others, strict=True)]
    b = [np.append(np.poly(roots)[::-1], 0.0) for roots in others]
    b.append(np.poly(points)[::-1])
    return tuple(np.array(m, np.float32) for m in (a, np.transpose(b), g))
