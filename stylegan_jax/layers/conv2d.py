"""Convolution of stride one, fast in its gradients of every order on every platform.

The convolution y = conv(x, k), its gradient by x and that by k are three faces of one
trilinear form, so the gradients of each are again among the three:

    by x: conv(y, turned(k)), by k: kernel_gradient(x, y).

XLA derives the gradient by k as a convolution with a window as large as the image,
which its CPU backend runs 3 to 20 times slower than the convolution itself, on one core
(docs/performance.md). There it is a product of matrices here, and so is the convolution
where that is faster, in half the multiplications if `winograd` suits; elsewhere both
are XLA's own. Forward-mode differentiation (jvp) is not defined.
"""

import functools

import jax
import jax.numpy as jnp

from stylegan_jax.layers import conv2d_cpu
from stylegan_jax.layers.matmul import matmul, over_pixels, precision, side_by_side

WIDE = 128  # output channels from which XLA's CPU backend uses all cores
DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def conv2d(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolution (cross-correlation) with zero padding that keeps the size.

    Args:
      x: [B,H,W,I].
      kernel: [k,k,I,O], odd k.

    Returns:
      [B,H,W,O].
    """
    kernel = kernel.astype(x.dtype)
    if kernel.shape[:2] == (1, 1):
        return matmul(x, kernel[0, 0])
    return conv2d_padded(x, kernel, (kernel.shape[0] - 1) // 2)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv2d_padded(x: jax.Array, kernel: jax.Array, padding: int) -> jax.Array:
    """Convolution with so many zeros on every side.

    Args:
      x: [B,H,W,I].
      kernel: [k,k,I,O], of the dtype of x.
      padding: p, less than k.

    Returns:
      [B,H+2p-k+1,W+2p-k+1,O].
    """
    size = len(kernel)
    if conv2d_cpu.suits(x.shape[2] + 2 * padding - size + 1, size, x.dtype):
        on_cpu = conv2d_cpu.conv
    else:
        on_cpu = _conv_by_matmul if kernel.shape[-1] < WIDE else _plain_conv
    return jax.lax.platform_dependent(
        x,
        kernel,
        cpu=functools.partial(on_cpu, padding=padding),
        default=functools.partial(_plain_conv, padding=padding),
    )


def _plain_conv(x: jax.Array, kernel: jax.Array, padding: int) -> jax.Array:
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (1, 1),
        ((padding, padding), (padding, padding)),
        dimension_numbers=DIMENSIONS,
        precision=precision(x),
    )


def _conv_by_matmul(x: jax.Array, kernel: jax.Array, padding: int) -> jax.Array:
    """One product: x shifted along the rows, for all rows of the kernel side by side.

    Their parts are then added up, shifted along the columns.
    """
    size, _, inputs, outputs = kernel.shape
    h, w = (n + 2 * padding - size + 1 for n in x.shape[1:3])
    kernel = kernel.transpose(1, 2, 0, 3).reshape(size * inputs, size * outputs)
    parts = matmul(_across(x, size, padding), kernel)
    return sum(
        parts[:, u : u + h, :, u * outputs : (u + 1) * outputs] for u in range(size)
    )


def _across(x: jax.Array, size: int, padding: int) -> jax.Array:
    """What each row of a kernel meets of x [B,H,W,C]: [B,H+2p,W+2p-k+1,kC]."""
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    w = x.shape[2] - size + 1
    return side_by_side([x[:, :, v : v + w] for v in range(size)])


def _turned(kernel: jax.Array) -> jax.Array:
    """The kernel [k,k,O,I] that takes the gradient by y to that by x."""
    return kernel[::-1, ::-1].swapaxes(2, 3)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _kernel_gradient(x: jax.Array, y: jax.Array, size: int, padding: int) -> jax.Array:
    """Gradient [k,k,I,O] by the kernel of sum(y * conv(x, kernel, padding))."""
    # Not of two taps: no faster, and devices would have to sum 2.5 times as much.
    if size == 3 and conv2d_cpu.suits(y.shape[2], size, y.dtype):
        on_cpu = conv2d_cpu.kernel_gradient
    else:
        on_cpu = _kernel_gradient_by_matmul
    return jax.lax.platform_dependent(
        x,
        y,
        cpu=functools.partial(on_cpu, size=size, padding=padding),
        default=functools.partial(_plain_kernel_gradient, size=size, padding=padding),
    )


def _plain_kernel_gradient(
    x: jax.Array, y: jax.Array, size: int, padding: int
) -> jax.Array:
    kernel = jax.ShapeDtypeStruct((size, size, x.shape[-1], y.shape[-1]), x.dtype)
    conv = functools.partial(_plain_conv, x, padding=padding)
    return jax.linear_transpose(conv, kernel)(y)[0]


def _kernel_gradient_by_matmul(
    x: jax.Array, y: jax.Array, size: int, padding: int
) -> jax.Array:
    """One product: x shifted along the rows, times y shifted along the columns.

    Each of the size^2 blocks of its result is the gradient by one tap.
    """
    across = _across(x, size, padding)
    y = jnp.pad(y, ((0, 0), (size - 1, size - 1), (0, 0), (0, 0)))
    rows, starts = across.shape[1], range(size - 1, -1, -1)
    down = side_by_side([y[:, i : i + rows] for i in starts])
    product = over_pixels(down, across)
    product = product.reshape(size, y.shape[-1], size, x.shape[-1])
    return product.transpose(0, 2, 3, 1)


def _conv_forward(
    x: jax.Array, kernel: jax.Array, padding: int
) -> tuple[jax.Array, tuple]:
    return conv2d_padded(x, kernel, padding), (x, kernel)


def _conv_backward(
    padding: int, residuals: tuple, y: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = residuals
    size = kernel.shape[0]
    return (
        conv2d_padded(y, _turned(kernel), size - 1 - padding),
        _kernel_gradient(x, y, size, padding),
    )


def _kernel_gradient_forward(
    x: jax.Array, y: jax.Array, size: int, padding: int
) -> tuple[jax.Array, tuple]:
    return _kernel_gradient(x, y, size, padding), (x, y)


def _kernel_gradient_backward(
    size: int, padding: int, residuals: tuple, kernel: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, y = residuals
    return (
        conv2d_padded(y, _turned(kernel), size - 1 - padding),
        conv2d_padded(x, kernel, padding),
    )


conv2d_padded.defvjp(_conv_forward, _conv_backward)
_kernel_gradient.defvjp(_kernel_gradient_forward, _kernel_gradient_backward)
