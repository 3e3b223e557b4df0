"""Winograd's form of convolutions, which takes fewer multiplications.

Along a row, four neighboring results of a filter with three taps take twelve products.
Toom and Cook's method of multiplying polynomials takes six: with x the six pixels and k
the taps,

    y = A' [(G k) * (B' x)],

where A, B and G are small matrices of small numbers. Two taps take five products
instead of eight. With a stride of two, three taps are a filter of two taps on the even
pixels and one of a single tap on the odd ones: nine products instead of twelve. The
rows of the kernel are summed directly: tiles in both directions would save more
multiplications, but read and write more, and are not faster.

This form is for float32 only, and loses one to two bits of the precision of the
largest pixel of a tile. Where an activation lies on the kink of a leaky ReLU, such bits
decide its gradient, so the gradient of a whole network can differ from the official one
by seven times the tolerance. The caller must therefore allow this form
(`Arithmetic.winograd`), as training and sampling do; everything else keeps the rounding
of plain convolutions.

Reference: Winograd, "Arithmetic Complexity of Computations", 1980; Lavin and Gray,
"Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.layers.matmul import (
    Arithmetic,
    matmul,
    over_pixels,
    precision,
    side_by_side,
)

TILE = 4  # number of neighboring results that are computed together
_POINTS = (0, 1, -1, 2, -2)  # where polynomials are evaluated, besides infinity


def suits(width: int, size: int, dtype: jnp.dtype) -> bool:
    """Return True if Winograd's form is faster: for rows of two or more whole tiles.

    Args:
      width: number of results in a row; for strided convolutions and their transposes,
        the width of the small image.
      size: height and width of the kernel.
      dtype: dtype of the operands.
    """
    whole_tiles = width % TILE == 0 and width >= 2 * TILE
    return whole_tiles and size in (2, 3) and dtype == jnp.float32


# Traced once for each shape and arithmetic.
@functools.partial(jax.jit, static_argnames=("padding", "arithmetic"))
def conv(
    x: jax.Array, kernel: jax.Array, padding: int, arithmetic: Arithmetic
) -> jax.Array:
    """Winograd's form of `conv2d_padded`."""
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    return _valid_conv(x, kernel, 1, arithmetic)


@functools.partial(jax.jit, static_argnames=("size", "padding", "arithmetic"))
def kernel_gradient(
    x: jax.Array, y: jax.Array, size: int, padding: int, arithmetic: Arithmetic
) -> jax.Array:
    """Winograd's form of `conv2d._kernel_gradient`."""
    a, b, g = _matrices(size)
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    # Concatenate the rows of y, not those of x as in `conv`: XLA would share those
    # windows with the forward pass, and keep them until the backward pass.
    around, starts = (size - 1, size - 1), range(size - 1, -1, -1)
    tiles = [jnp.pad(t, ((0, 0), around, (0, 0), (0, 0))) for t in _tiles(y, a)]
    tiles = [_windows(tile, starts, x.shape[1]) for tile in tiles]
    pairs = zip(_points(x, b), tiles, strict=True)
    products = [over_pixels(*pair, arithmetic) for pair in pairs]
    products = jnp.stack(products).reshape(-1, x.shape[-1], size, y.shape[-1])
    return jnp.einsum(
        "pv,piuo->uvio", g, products, precision=precision(products, arithmetic)
    )


@functools.partial(jax.jit, static_argnames="arithmetic")
def shrink(big: jax.Array, kernel: jax.Array, arithmetic: Arithmetic) -> jax.Array:
    """Winograd's form of `conv2d_strided.shrink`."""
    even, odd = big[:, :, ::2], big[:, :, 1::2]
    y = _valid_conv(even, kernel[:, ::2], 2, arithmetic)
    windows = _windows(odd, range(len(kernel)), y.shape[1], stride=2)
    middle = kernel[:, 1].reshape(-1, kernel.shape[-1])
    return y + matmul(windows, middle, arithmetic)


@functools.partial(jax.jit, static_argnames="arithmetic")
def grow(small: jax.Array, kernel: jax.Array, arithmetic: Arithmetic) -> jax.Array:
    """Winograd's form of `conv2d_strided.grow`: `shrink` transposed."""
    a, b, g = _matrices(2)
    size, _, inputs, outputs = kernel.shape
    kernel = kernel.transpose(1, 2, 0, 3).reshape(size, inputs, -1)
    kernels = jnp.einsum(
        "pv,vio->pio", g, kernel[::2], precision=precision(kernel, arithmetic)
    )
    tiles = zip(_tiles(small, a), kernels, strict=True)
    products = [matmul(tile, k, arithmetic) for tile, k in tiles]
    even = _overlapping([_sum(row, products) for row in b], axis=2)
    odd = matmul(small, kernel[1], arithmetic)
    odd = jnp.pad(odd, ((0, 0), (0, 0), (0, 1), (0, 0)))
    columns = jnp.stack([even, odd], axis=3)
    columns = columns.reshape(*even.shape[:2], -1, size, outputs)[:, :, :-1]
    return _overlapping([columns[..., u, :] for u in range(size)], axis=1)


@functools.partial(jax.jit, static_argnames="arithmetic")
def strided_kernel_gradient(
    small: jax.Array, big: jax.Array, arithmetic: Arithmetic
) -> jax.Array:
    """Winograd's form of `conv2d_strided._kernel_gradient`."""
    a, b, g = _matrices(2)

    def by_taps(small: jax.Array, big: jax.Array) -> jax.Array:
        """Return the gradient [S,3C] of one column of the kernel."""
        windows = _windows(big, range(3), small.shape[1], stride=2)
        return over_pixels(small, windows, arithmetic)

    points = zip(_tiles(small, a), _points(big[:, :, ::2], b), strict=True)
    products = jnp.stack([by_taps(*pair) for pair in points])
    even = jnp.einsum(
        "pv,pio->vio", g, products, precision=precision(products, arithmetic)
    )
    gradient = jnp.stack([even[0], by_taps(small, big[:, :, 1::2]), even[1]])
    gradient = gradient.reshape(3, small.shape[-1], 3, big.shape[-1])
    return gradient.transpose(2, 0, 1, 3)


def _valid_conv(
    x: jax.Array, kernel: jax.Array, row_stride: int, arithmetic: Arithmetic
) -> jax.Array:
    """Convolve without padding; the kernel [u,v,I,O] may be taller than wide."""
    height, size, inputs, outputs = kernel.shape
    a, b, g = _matrices(size)
    kernels = jnp.einsum(
        "pv,uvio->puio", g, kernel, precision=precision(kernel, arithmetic)
    )
    kernels = kernels.reshape(-1, height * inputs, outputs)
    rows = (x.shape[1] - height) // row_stride + 1
    products = [
        matmul(_windows(point, range(height), rows, row_stride), k, arithmetic)
        for point, k in zip(_points(x, b), kernels, strict=True)
    ]
    y = jnp.stack([_sum(row, products) for row in a.T], axis=3)
    return y.reshape(*y.shape[:2], -1, outputs)


def _points(x: jax.Array, b: np.ndarray) -> list[jax.Array]:
    """Return B' x for every tile of x [B,H,W,I]: P arrays [B,H,T,I]."""
    end = x.shape[2] - len(b) + 1
    columns = [x[:, :, i : i + end : TILE] for i in range(len(b))]
    return [_sum(row, columns) for row in b.T]


def _tiles(y: jax.Array, a: np.ndarray) -> list[jax.Array]:
    """Return A y for every tile of y [B,H,4T,O]: P arrays [B,H,T,O]."""
    columns = [y[:, :, i::TILE] for i in range(TILE)]
    return [_sum(row, columns) for row in a]


def _windows(x: jax.Array, starts: range, rows: int, stride: int = 1) -> jax.Array:
    """Return rows of x [B,H,T,C] from each of n starts, side by side: [...,nC]."""
    end = stride * (rows - 1) + 1
    return side_by_side([x[:, u : u + end : stride] for u in starts])


def _overlapping(parts: list[jax.Array], axis: int) -> jax.Array:
    """Interleave n parts, adding the last, shifted by one, to the first.

    The length along `axis` is N in each part, and N(n-1)+1 in the result.
    """

    def padded(part: jax.Array, before: int) -> jax.Array:
        around = [(0, 0)] * part.ndim
        around[axis] = (before, 1 - before)
        return jnp.pad(part, around)

    first, *others = (padded(part, 0) for part in parts[:-1])
    y = jnp.stack([first + padded(parts[-1], 1), *others], axis + 1)
    y = y.reshape(*y.shape[:axis], -1, *y.shape[axis + 2 :])
    return jax.lax.slice_in_dim(y, 0, y.shape[axis] - len(others), axis=axis)


def _sum(factors: np.ndarray, terms: list[jax.Array]) -> jax.Array:
    """Return the sum of factors [n] times terms [n]; zeros and ones cost nothing."""
    parts = [
        term if factor == 1 else float(factor) * term
        for factor, term in zip(factors, terms, strict=True)
        if factor
    ]
    return functools.reduce(jnp.add, parts)


@functools.cache
def _matrices(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return A [P,TILE], B [P,P] and G [P,size] for P = TILE + size - 1 points.

    The last point is infinity, where a polynomial is its leading coefficient.
    """
    points = np.array(_POINTS[: TILE + size - 2], np.float64)
    others = [np.delete(points, i) for i in range(len(points))]

    def values(degree: int) -> np.ndarray:
        """Return the powers 1, x, x^2, ... at every point: [P,degree]."""
        finite = points[:, None] ** np.arange(degree)
        return np.vstack([finite, np.eye(degree)[-1]])

    a, g = values(TILE), values(size)
    g[:-1] /= [[np.prod(p - o)] for p, o in zip(points, others, strict=True)]
    b = [np.append(np.poly(roots)[::-1], 0.0) for roots in others]
    b.append(np.poly(points)[::-1])
    return tuple(np.array(m, np.float32) for m in (a, np.transpose(b), g))
