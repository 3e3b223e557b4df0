"""Convolutions of stride one in half the multiplications, for CPUs.

Along a row, four neighbouring results of a filter with three taps take twelve products;
Toom and Cook's way of multiplying polynomials takes six: with x the six pixels and k
the taps, y = A' [(G k) * (B' x)], where A, B and G are small matrices of small numbers
(Winograd, "Arithmetic Complexity of Computations", 1980; Lavin and Gray, "Fast
Algorithms for Convolutional Neural Networks", CVPR 2016, section 4). Two taps take five
products, not eight. The rows of the kernel are summed as ever: tiles of both directions
save more multiplications, but read and write more, and were not faster
(docs/performance.md).

Float32 only: one to two bits of precision are lost, of the largest pixel among the six.
The gradients are in `convolution`, which decides when to come here.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

TILE = 4  # neighbouring results that are computed together
_POINTS = (0, 1, -1, 2, -2)  # where the polynomials are multiplied; and at infinity


def suits(x: jax.Array, size: int, padding: int) -> bool:
    """Whether a convolution of x with [size,size] taps is faster in this way.

    So it was from 8 columns on, of whole tiles.
    """
    width = x.shape[2] + 2 * padding - size + 1
    whole = width % TILE == 0 and width >= 2 * TILE
    return whole and size in (2, 3) and x.dtype == jnp.float32


@functools.partial(jax.jit, static_argnames="padding")  # traced once for each shape
def conv(x: jax.Array, kernel: jax.Array, padding: int) -> jax.Array:
    """`convolution.conv2d_padded`, see there, where it `suits`."""
    size, _, inputs, outputs = kernel.shape
    a, b, g = _matrices(size)
    kernel = jnp.einsum("pv,uvio->puio", g, kernel, precision="highest")
    kernel = kernel.reshape(-1, size * inputs, outputs)
    rows = x.shape[1] + 2 * padding - size + 1
    windows = _side_by_side(_points(x, b, size, padding), range(size), rows)
    products = jnp.einsum("pbhti,pio->pbhto", windows, kernel, precision="highest")
    y = jnp.stack([_sum(row, products) for row in a.T], axis=3)
    return y.reshape(*y.shape[:2], -1, outputs)


@functools.partial(jax.jit, static_argnames=("size", "padding"))
def kernel_gradient(x: jax.Array, y: jax.Array, size: int, padding: int) -> jax.Array:
    """Gradient [k,k,I,O] by the kernel of sum(y * conv(x, kernel, padding))."""
    inputs, outputs = x.shape[-1], y.shape[-1]
    a, b, g = _matrices(size)
    x = jnp.stack(_points(x, b, size, padding))
    # The rows of y side by side, not those of x as in `conv`: XLA would find the same
    # windows there, and keep them from the forward to the backward pass.
    rows, around = x.shape[2], (size - 1, size - 1)
    y = jnp.pad(y, ((0, 0), around, (0, 0), (0, 0)))
    y = y.reshape(*y.shape[:2], -1, TILE, outputs)
    points = [_sum(row, [y[:, :, :, i] for i in range(TILE)]) for row in a]
    y = _side_by_side(points, range(size - 1, -1, -1), rows)
    x, y = (array.reshape(len(array), -1, array.shape[-1]) for array in (x, y))
    products = jnp.einsum("pni,pno->pio", x, y, precision="highest")
    products = products.reshape(-1, inputs, size, outputs)
    return jnp.einsum("pv,piuo->uvio", g, products, precision="highest")


def _points(x: jax.Array, b: np.ndarray, size: int, padding: int) -> list[jax.Array]:
    """B' x of every tile: P times [B,H+size-1,T,I] for H rows of results."""
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    end = x.shape[2] - size - TILE + 2
    columns = [x[:, :, i : i + end : TILE] for i in range(len(b))]
    return [_sum(row, columns) for row in b.T]


def _side_by_side(points: list[jax.Array], starts: range, rows: int) -> jax.Array:
    """So many rows from each start on, their channels after each other: [P,...,nC]."""
    windows = jnp.stack(
        [
            jnp.stack([point[:, u : u + rows] for u in starts], axis=-2)
            for point in points
        ]
    )
    return windows.reshape(*windows.shape[:-2], -1)


def _sum(factors: np.ndarray, terms: Sequence[jax.Array] | jax.Array) -> jax.Array:
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
