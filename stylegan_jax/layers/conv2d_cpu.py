"""Implementations of convolutions for CPUs; `dispatch` chooses the fastest.

XLA's CPU backend is slow in three cases (docs/notes/performance.md):

  - It runs convolutions with fewer than 128 output channels on one core.
  - The gradient with respect to a kernel becomes a convolution with a window as large
    as the image, 3 to 20 times slower than the convolution itself.
  - The gradient of a strided convolution becomes a dilated convolution, 20 to 40 times
    slower than a plain one.

All of these are matrix products here.

Winograd's form takes fewer multiplications. Along a row, four neighboring results of a
filter with three taps take twelve products. Toom and Cook's method of multiplying
polynomials takes six: with x the six pixels and k the taps,

    y = A' [(G k) * (B' x)],

where A, B and G are small matrices of small numbers. Two taps take five products
instead of eight. With a stride of two, three taps are a filter of two taps on the even
pixels and one of a single tap on the odd ones: nine products instead of twelve. The
rows of the kernel are summed directly: tiles in both directions would save more
multiplications, but read and write more, and are not faster.

Winograd's form is for float32 only, and loses one to two bits of the precision of the
largest pixel of a tile. Where an activation lies on the kink of a leaky ReLU, such bits
decide its gradient, which can take a gradient of a whole network to seven times its
tolerance in a comparison with official numbers. So a caller has to allow this form
(`Arithmetic.winograd`), as training and sampling do; everything else keeps the rounding
of plain convolutions.

Reference: Winograd, "Arithmetic Complexity of Computations", 1980; Lavin and Gray,
"Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.layers.matmul import (
    EXACT,
    Arithmetic,
    matmul,
    over_pixels,
    precision,
    side_by_side,
)

TILE = 4  # neighboring results that Winograd's form computes together
WIDE = 128  # least output channels for which XLA's CPU backend uses all cores
_POINTS = (0, 1, -1, 2, -2)  # where polynomials are evaluated, besides infinity


def dispatch(
    operation: str,
    plain: Callable[..., jax.Array],
    a: jax.Array,
    b: jax.Array,
    arithmetic: Arithmetic,
    tpu: Callable[..., jax.Array] | None = None,
    **sizes: int,
) -> jax.Array:
    """Compute an operation in the form that is fastest on the platform.

    Args:
      operation: "conv" or "kernel_gradient" of `conv2d`; "shrink", "grow" or
        "strided_kernel_gradient" of `conv2d_strided`.
      plain: XLA's form, a function (a, b, arithmetic=arithmetic, **sizes).
      a: first operand.
      b: second operand.
      arithmetic: precision of the products, and whether Winograd's form is allowed.
      tpu: a form like `plain` for TPUs, whose result may have another dtype; None takes
        `plain`.
      **sizes: static arguments of the operation.
    """
    on_cpu = _cpu_form(operation, plain, a, b, arithmetic.winograd, **sizes)
    forms = {"cpu": on_cpu, "default": plain} | ({"tpu": tpu} if tpu else {})
    dtype = jnp.promote_types(a.dtype, jnp.float32) if tpu else a.dtype

    def chosen(form: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
        return lambda a, b: form(a, b, arithmetic=arithmetic, **sizes).astype(dtype)

    return jax.lax.platform_dependent(
        a, b, **{platform: chosen(form) for platform, form in forms.items()}
    )


def _cpu_form(
    operation: str,
    plain: Callable[..., jax.Array],
    a: jax.Array,
    b: jax.Array,
    winograd: bool,
    size: int = 3,
    padding: int = 0,
) -> Callable[..., jax.Array]:
    """Return the form of an operation that is fastest on a CPU."""
    match operation:
        case "conv":
            size = len(b)
            width = a.shape[2] + 2 * padding - size + 1
            direct = plain if b.shape[-1] >= WIDE else _conv_by_matmul
            forms = direct, _conv_by_winograd
        case "kernel_gradient":
            width = b.shape[2]
            # With two taps it is no faster, and devices would exchange 2.5 times as
            # much to sum the gradients.
            winograd = winograd and size == 3
            forms = _kernel_gradient_by_matmul, _kernel_gradient_by_winograd
        case "shrink":
            width = a.shape[2] // 2
            forms = _shrink_by_matmul, _shrink_by_winograd
        case "grow":
            width = a.shape[2]
            forms = _grow_by_matmul, _grow_by_winograd
        case "strided_kernel_gradient":
            width = a.shape[2]
            forms = _strided_gradient_by_matmul, _strided_gradient_by_winograd
        case _:
            raise ValueError(f"unknown operation {operation!r}")
    return forms[winograd and suits_winograd(width, size, a.dtype)]


def suits_winograd(width: int, size: int, dtype: jnp.dtype) -> bool:
    """Return True if Winograd's form is faster: in whole tiles, two or more a row.

    Args:
      width: results in a row; of strided convolutions and their transposes, the width
        of the small image.
      size: height and width of the kernel.
      dtype: of the operands.
    """
    whole_tiles = width % TILE == 0 and width >= 2 * TILE
    return whole_tiles and size in (2, 3) and dtype == jnp.float32


# As matrix products.


def _conv_by_matmul(
    x: jax.Array, kernel: jax.Array, padding: int, arithmetic: Arithmetic = EXACT
) -> jax.Array:
    """Form of `conv2d_padded`: one product for all rows of the kernel.

    x is shifted along the rows; the products of each row of the kernel are then added
    up, shifted along the columns.
    """
    size, _, inputs, outputs = kernel.shape
    h, w = (n + 2 * padding - size + 1 for n in x.shape[1:3])
    kernel = kernel.transpose(1, 2, 0, 3).reshape(size * inputs, size * outputs)
    parts = matmul(_across(x, size, padding), kernel, arithmetic)
    return sum(
        parts[:, u : u + h, :, u * outputs : (u + 1) * outputs] for u in range(size)
    )


def _across(x: jax.Array, size: int, padding: int) -> jax.Array:
    """Return the pixels of x under each row of a kernel: [B,H+2p,W+2p-k+1,kC]."""
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    w = x.shape[2] - size + 1
    return side_by_side([x[:, :, v : v + w] for v in range(size)])


def _kernel_gradient_by_matmul(
    x: jax.Array,
    y: jax.Array,
    size: int,
    padding: int,
    arithmetic: Arithmetic = EXACT,
) -> jax.Array:
    """Form of `conv2d._kernel_gradient`: one product.

    x is shifted along the rows, y along the columns; each of the size^2 blocks of the
    product is the gradient of one tap.
    """
    across = _across(x, size, padding)
    y = jnp.pad(y, ((0, 0), (size - 1, size - 1), (0, 0), (0, 0)))
    rows, starts = across.shape[1], range(size - 1, -1, -1)
    down = side_by_side([y[:, i : i + rows] for i in starts])
    product = over_pixels(down, across, arithmetic)
    product = product.reshape(size, y.shape[-1], size, x.shape[-1])
    return product.transpose(0, 2, 3, 1)


def _taps(big: jax.Array) -> jax.Array:
    """Return the pixels of big [B,2H+1,2W+1,C] under the nine taps: [B,H,W,9C]."""
    h, w = (n - 1 for n in big.shape[1:3])
    taps = [big[:, u : u + h : 2, v : v + w : 2] for u in range(3) for v in range(3)]
    return side_by_side(taps)


def _shrink_by_matmul(
    big: jax.Array, kernel: jax.Array, arithmetic: Arithmetic = EXACT
) -> jax.Array:
    """Form of `conv2d_strided.shrink`: one product of all nine taps."""
    return matmul(_taps(big), kernel.reshape(-1, kernel.shape[-1]), arithmetic)


def _grow_by_matmul(
    small: jax.Array, kernel: jax.Array, arithmetic: Arithmetic = EXACT
) -> jax.Array:
    """Form of `conv2d_strided.grow`: one product, its parts added where they overlap.

    Even rows of the result get taps 0 (of the same row) and 2 (of the row above), odd
    rows tap 1; likewise columns.
    """
    b, h, w, inputs = small.shape
    outputs = kernel.shape[-1]
    kernel = kernel.transpose(2, 0, 1, 3).reshape(inputs, -1)
    parts = matmul(small, kernel, arithmetic).reshape(b, h, w, 3, 3, outputs)
    meets = (((0, 0), (2, 1)), ((1, 0),))  # by parity: (tap, shift down by)

    def place(u: int, down: int, v: int, right: int) -> jax.Array:
        part = parts[:, :, :, u, v]
        return jnp.pad(part, ((0, 0), (down, 1 - down), (right, 1 - right), (0, 0)))

    phases = [
        sum(place(u, down, v, right) for u, down in row for v, right in column)
        for row in meets
        for column in meets
    ]
    y = jnp.stack(phases, axis=3).reshape(b, h + 1, w + 1, 2, 2, outputs)
    y = y.transpose(0, 1, 3, 2, 4, 5).reshape(b, 2 * h + 2, 2 * w + 2, outputs)
    return y[:, :-1, :-1]


def _strided_gradient_by_matmul(
    small: jax.Array, big: jax.Array, arithmetic: Arithmetic = EXACT
) -> jax.Array:
    """Form of `conv2d_strided._kernel_gradient`: one product for all nine taps."""
    product = over_pixels(small, _taps(big), arithmetic)
    product = product.reshape(small.shape[-1], 3, 3, big.shape[-1])
    return product.transpose(1, 2, 0, 3)


# In Winograd's form.


# Traced once for each shape and arithmetic.
@functools.partial(jax.jit, static_argnames=("padding", "arithmetic"))
def _conv_by_winograd(
    x: jax.Array, kernel: jax.Array, padding: int, arithmetic: Arithmetic
) -> jax.Array:
    """Winograd's form of `conv2d_padded`."""
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    return _conv(x, kernel, 1, arithmetic)


@functools.partial(jax.jit, static_argnames=("size", "padding", "arithmetic"))
def _kernel_gradient_by_winograd(
    x: jax.Array, y: jax.Array, size: int, padding: int, arithmetic: Arithmetic
) -> jax.Array:
    """Winograd's form of `conv2d._kernel_gradient`."""
    a, b, g = _matrices(size)
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    # The rows of y side by side, not those of x as in `conv`: XLA would find the same
    # windows there, and keep them from the forward to the backward pass.
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
def _shrink_by_winograd(
    big: jax.Array, kernel: jax.Array, arithmetic: Arithmetic
) -> jax.Array:
    """Winograd's form of `conv2d_strided.shrink`."""
    even, odd = big[:, :, ::2], big[:, :, 1::2]
    y = _conv(even, kernel[:, ::2], 2, arithmetic)
    windows = _windows(odd, range(len(kernel)), y.shape[1], stride=2)
    middle = kernel[:, 1].reshape(-1, kernel.shape[-1])
    return y + matmul(windows, middle, arithmetic)


@functools.partial(jax.jit, static_argnames="arithmetic")
def _grow_by_winograd(
    small: jax.Array, kernel: jax.Array, arithmetic: Arithmetic
) -> jax.Array:
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
def _strided_gradient_by_winograd(
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


def _conv(
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
    """Return B' x of every tile of x [B,H,W,I]: P arrays [B,H,T,I]."""
    end = x.shape[2] - len(b) + 1
    columns = [x[:, :, i : i + end : TILE] for i in range(len(b))]
    return [_sum(row, columns) for row in b.T]


def _tiles(y: jax.Array, a: np.ndarray) -> list[jax.Array]:
    """Return A y of every tile of y [B,H,4T,O]: P arrays [B,H,T,O]."""
    columns = [y[:, :, i::TILE] for i in range(TILE)]
    return [_sum(row, columns) for row in a]


def _windows(x: jax.Array, starts: range, rows: int, stride: int = 1) -> jax.Array:
    """Return rows of x [B,H,T,C] from each of n starts on, side by side: [...,nC]."""
    end = stride * (rows - 1) + 1
    return side_by_side([x[:, u : u + end : stride] for u in starts])


def _overlapping(parts: list[jax.Array], axis: int) -> jax.Array:
    """Interleave n parts of N; the last is added to the first, one later: N(n-1)+1."""

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
