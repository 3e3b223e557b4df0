"""Implementations of convolutions for CPUs; `dispatch` chooses the fastest.

XLA's CPU backend is slow in three cases (docs/notes/performance.md):

  - It runs convolutions with fewer than 128 output channels on one core.
  - The gradient with respect to a kernel becomes a convolution with a window as large
    as the image, 3 to 20 times slower than the convolution itself.
  - The gradient of a strided convolution becomes a dilated convolution, 20 to 40 times
    slower than a plain one.

All of them are matrix products here, or take Winograd's form (`conv2d_winograd`).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from stylegan_jax.layers import conv2d_winograd
from stylegan_jax.layers.matmul import (
    EXACT,
    Arithmetic,
    matmul,
    over_pixels,
    side_by_side,
)

WIDE = 128  # minimum output channels for XLA's CPU backend to use all cores


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
      tpu: a form like `plain` for TPUs, whose result may have another dtype; None is
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
            forms = direct, conv2d_winograd.conv
        case "kernel_gradient":
            width = b.shape[2]
            # With two taps it is no faster, and devices would exchange 2.5 times as
            # much to sum the gradients.
            winograd = winograd and size == 3
            forms = _kernel_gradient_by_matmul, conv2d_winograd.kernel_gradient
        case "shrink":
            width = a.shape[2] // 2
            forms = _shrink_by_matmul, conv2d_winograd.shrink
        case "grow":
            width = a.shape[2]
            forms = _grow_by_matmul, conv2d_winograd.grow
        case "strided_kernel_gradient":
            width = a.shape[2]
            forms = _strided_gradient_by_matmul, conv2d_winograd.strided_kernel_gradient
        case _:
            raise ValueError(f"unknown operation {operation!r}")
    return forms[winograd and conv2d_winograd.suits(width, size, a.dtype)]


def _conv_by_matmul(
    x: jax.Array, kernel: jax.Array, padding: int, arithmetic: Arithmetic = EXACT
) -> jax.Array:
    """Form of `conv2d_padded`: one product for all rows of the kernel.

    x is shifted along the rows; the products of each row of the kernel are then summed
    with shifts along the columns.
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
