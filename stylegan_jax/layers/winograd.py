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

Float32 only: one to two bits of precision are lost, of the largest pixel among the six.
The gradients are in `convolution` and `strided_convolution`, which decide when to come
here.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.layers.products import matmul, over_pixels, side_by_side

TILE = 4  # neighbouring results that are computed together
_POINTS = (0, 1, -1, 2, -2)  # where the polynomials are multiplied; and at infinity


def suits(results: int, size: int, dtype: jnp.dtype) -> bool:
    """Whether so many results along a row, of [size,size] taps, are faster in this way.

    So it was from 8 on, of whole tiles.
    """
    whole = results % TILE == 0 and results >= 2 * TILE
    return whole and size in (2, 3) and dtype == jnp.float32


@functools.partial(jax.jit, static_argnames=("padding", "stride"))  # traced once each
def conv(x: jax.Array, kernel: jax.Array, padding: int, stride: int = 1) -> jax.Array:
    """`convolution.conv2d_padded` or `strided_convolution.shrink` where it `suits`."""
    size, _, inputs, outputs = kernel.shape
    a, b, g = _matrices(size, stride)
    kernel = jnp.einsum("pv,uvio->puio", g, kernel, precision="highest")
    kernel = kernel.reshape(-1, size * inputs, outputs)
    rows = (x.shape[1] + 2 * padding - size) // stride + 1
    products = [
        matmul(_windows(point, range(size), rows, stride), k)
        for point, k in zip(_points(x, b, size, padding, stride), kernel, strict=True)
    ]
    y = jnp.stack([_sum(row, products) for row in a.T], axis=3)
    return y.reshape(*y.shape[:2], -1, outputs)


@jax.jit
def grow(small: jax.Array, kernel: jax.Array) -> jax.Array:
    """`strided_convolution.grow` where it `suits`: `conv` of stride two, transposed."""
    size, _, inputs, outputs = kernel.shape
    a, b, g = _matrices(size, stride=2)
    kernel = jnp.einsum("pv,uvio->piuo", g, kernel, precision="highest")
    kernel = kernel.reshape(-1, inputs, size * outputs)
    tiles = zip(_tiles(small, a), kernel, strict=True)
    products = [matmul(tile, k) for tile, k in tiles]
    y = _overlapping([_sum(row, products) for row in b], axis=2)
    y = y.reshape(*y.shape[:-1], size, outputs)
    return _overlapping([y[..., u, :] for u in range(size)], axis=1)


@functools.partial(jax.jit, static_argnames=("size", "padding", "stride"))
def kernel_gradient(
    x: jax.Array, y: jax.Array, size: int, padding: int, stride: int = 1
) -> jax.Array:
    """Gradient [k,k,I,O] by the kernel of sum(y * conv(x, kernel, padding, stride))."""
    a, b, g = _matrices(size, stride)
    points, tiles = _points(x, b, size, padding, stride), _tiles(y, a)
    if stride == 1:
        # The rows of y side by side, not those of x as in `conv`: XLA would find the
        # same windows there, and keep them from the forward to the backward pass.
        around, starts = (size - 1, size - 1), range(size - 1, -1, -1)
        tiles = [jnp.pad(t, ((0, 0), around, (0, 0), (0, 0))) for t in tiles]
        tiles = [_windows(t, starts, points[0].shape[1]) for t in tiles]
        order = "piuo"
    else:
        # All pixels in between belong to one tap: one product.
        points[-TILE:], tiles[-TILE:] = [x[:, :, 1::2]], [y]
        points = [_windows(p, range(size), y.shape[1], stride) for p in points]
        order = "puio"
    products = jnp.stack(
        [over_pixels(*pair) for pair in zip(points, tiles, strict=True)]
    )
    sizes = {"p": len(points), "u": size, "i": x.shape[-1], "o": y.shape[-1]}
    products = products.reshape([sizes[name] for name in order])
    g = g[: len(points)]
    return jnp.einsum(f"pv,{order}->uvio", g, products, precision="highest")


def _points(
    x: jax.Array, b: np.ndarray, size: int, padding: int, stride: int
) -> list[jax.Array]:
    """B' x of every tile: P times [B,H+2p,T,I], all rows."""
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    end = x.shape[2] - len(b) + 1
    columns = [x[:, :, i : i + end : stride * TILE] for i in range(len(b))]
    return [_sum(row, columns) for row in b.T]


def _tiles(y: jax.Array, a: np.ndarray) -> list[jax.Array]:
    """A y of every tile of y [B,H,4T,O]: P times [B,H,T,O]."""
    columns = [y[:, :, i::TILE] for i in range(TILE)]
    return [_sum(row, columns) for row in a]


def _windows(x: jax.Array, starts: range, rows: int, stride: int = 1) -> jax.Array:
    """So many rows of x [B,H,T,C] from each start on, side by side: [B,rows,T,nC]."""
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
def _matrices(size: int, stride: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A [P,TILE], B [P,P] and G [P,size] of P = stride * (TILE - 1) + size points.

    The last point is infinity, where a polynomial is its leading coefficient.
    """
    if stride == 2:
        assert size == 3, size
        even = _matrices(2, 1)
        a, b, g = (np.zeros(shape, np.float32) for shape in ((9, 4), (9, 9), (9, 3)))
        a[:5], b[::2, :5], g[:5, ::2] = even
        a[5:], b[1::2, 5:], g[5:, 1] = np.eye(TILE), np.eye(TILE), 1
        return a, b, g
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
