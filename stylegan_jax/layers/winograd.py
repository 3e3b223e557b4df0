"""Convolutions of stride one in half the multiplications, for processors.

Along a row, four neighbouring results of a filter with three taps take twelve products;
Toom and Cook's way of multiplying polynomials takes six: with x and k the six pixels
and the three taps, y = A' [(G k) * (B' x)], and A, B and G are small matrices whose
products are additions (Winograd, "Arithmetic Complexity of Computations", 1980; Lavin
and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4).
The columns of the kernel are summed as ever: tiles of both directions save more
multiplications, but read and write more, and were not faster (docs/performance.md).

Float32 only: the additions cost about three bits of precision. The gradients are in
`convolution`, which decides when to come here.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

TILE = 4  # neighbouring results that are computed together
_POINTS = (0, 1, -1, 2, -2)  # where the polynomials are multiplied; and at infinity


def suits(x: jax.Array, size: int, padding: int) -> bool:
    """Whether a convolution with [size,size] taps is to be done in this way."""
    width = x.shape[2] + 2 * padding - size + 1
    return size in (2, 3) and x.dtype == jnp.float32 and width >= 2 * TILE


@functools.partial(jax.jit, static_argnames="padding")  # traced once for each shape
def conv(x: jax.Array, kernel: jax.Array, padding: int) -> jax.Array:
    """The same as `convolution.conv2d_padded`, see there."""
    size, _, inputs, outputs = kernel.shape
    combine, weight, evaluate = _matrices(size)
    width = x.shape[2] + 2 * padding - size + 1
    windows = _windows(x, combine, size, padding)
    kernel = jnp.einsum("pv,uvio->puio", weight, kernel, precision="highest")
    kernel = kernel.reshape(-1, size * inputs, outputs)
    products = jnp.einsum("pbhti,pio->pbhto", windows, kernel, precision="highest")
    y = jnp.stack([_sum(row, products) for row in evaluate], axis=3)
    return y.reshape(*y.shape[:2], -1, outputs)[:, :, :width]


@functools.partial(jax.jit, static_argnames=("size", "padding"))
def kernel_gradient(x: jax.Array, y: jax.Array, size: int, padding: int) -> jax.Array:
    """Gradient [k,k,I,O] by the kernel of sum(y * conv(x, kernel, padding))."""
    inputs, outputs = x.shape[-1], y.shape[-1]
    combine, weight, evaluate = _matrices(size)
    windows = _windows(x, combine, size, padding)
    y = jnp.pad(y, ((0, 0), (0, 0), (0, -y.shape[2] % TILE), (0, 0)))
    y = y.reshape(*y.shape[:2], -1, TILE, outputs)
    y = jnp.stack(
        [_sum(row, [y[:, :, :, i] for i in range(TILE)]) for row in evaluate.T]
    )
    windows, y = (a.reshape(len(a), -1, a.shape[-1]) for a in (windows, y))
    gradient = jnp.einsum("pni,pno->pio", windows, y, precision="highest")
    gradient = gradient.reshape(-1, size, inputs, outputs)
    return jnp.einsum("pv,puio->uvio", weight, gradient, precision="highest")


def _windows(x: jax.Array, combine: np.ndarray, size: int, padding: int) -> jax.Array:
    """B' x of every tile, all rows of the kernel side by side: [P,B,H,T,kI]."""
    height, width = (n + 2 * padding - size + 1 for n in x.shape[1:3])
    tiles = -(-width // TILE)
    right = padding + tiles * TILE - width
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, right), (0, 0)))
    last = TILE * (tiles - 1) + 1
    columns = [x[:, :, i : i + last : TILE] for i in range(len(combine))]
    points = [_sum(row, columns) for row in combine]
    windows = [
        jnp.stack([point[:, u : u + height] for u in range(size)], axis=-2)
        for point in points
    ]
    windows = jnp.stack(windows)
    return windows.reshape(*windows.shape[:-2], -1)


def _sum(factors: np.ndarray, terms) -> jax.Array:
    """The sum of factors [n] times terms; zeros and ones cost nothing."""
    terms = [
        term if factor == 1 else float(factor) * term
        for factor, term in zip(factors, terms, strict=True)
        if factor
    ]
    return functools.reduce(jnp.add, terms)


@functools.cache
def _matrices(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """B' [P,P], G [P,size] and A' [TILE,P] of P = TILE + size - 1 points.

    The last point is infinity, where a polynomial is its leading coefficient.
    """
    points = np.array(_POINTS[: TILE + size - 2], np.float64)
    others = [np.delete(points, i) for i in range(len(points))]
    scale = [np.prod(p - o) for p, o in zip(points, others, strict=True)]

    def values(degree: int) -> np.ndarray:
        """Of 1, x, x^2, ... at every point: [P,degree]."""
        finite = points[:, None] ** np.arange(degree)
        return np.vstack([finite, np.eye(degree)[-1]])

    weight = values(size)
    weight[:-1] /= np.array(scale)[:, None]
    combine = [np.append(np.poly(roots)[::-1], 0.0) for roots in others]
    combine.append(np.poly(points)[::-1])
    return (
        np.array(combine, np.float32),
        weight.astype(np.float32),
        values(TILE).T.astype(np.float32),
    )
