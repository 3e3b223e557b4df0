"""Convolutions of stride two and their transposes, fast in every order of gradient.

With "small" images s [B,H,W,S] and "big" ones b [B,2H+1,2W+1,C], tap (u,v) of a kernel
connects pixel (i,j) of the small one with pixel (2i+u, 2j+v) of the big one. `shrink`,
`grow` and `_kernel_gradient` are three faces of one trilinear form, so the gradients of
each are again among the three. XLA's CPU backend runs dilated convolutions, which it
derives as gradients, 20 to 40 times slower than plain ones; there they are products of
matrices here, in fewer multiplications if `winograd` suits, and elsewhere XLA's own
(docs/performance.md). Forward-mode differentiation (jvp) is not defined.
"""

import jax
import jax.numpy as jnp

from stylegan_jax.layers import conv2d_cpu
from stylegan_jax.layers.conv2d import DIMENSIONS
from stylegan_jax.layers.matmul import matmul, over_pixels, precision, side_by_side

SIZE = 3  # of the kernels


@jax.custom_vjp
def shrink(big: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolution (cross-correlation) of stride two.

    Args:
      big: [B,2H+1,2W+1,I].
      kernel: [3,3,I,O], of the dtype of `big`.

    Returns:
      [B,H,W,O].
    """
    assert kernel.shape[:2] == (SIZE, SIZE), kernel.shape
    assert big.shape[1] % 2 == big.shape[2] % 2 == 1, big.shape
    fewer = conv2d_cpu.suits(big.shape[2] // 2, SIZE, big.dtype)
    on_cpu = conv2d_cpu.shrink if fewer else _shrink_by_matmul
    return jax.lax.platform_dependent(big, kernel, cpu=on_cpu, default=_plain_shrink)


@jax.custom_vjp
def grow(small: jax.Array, kernel: jax.Array) -> jax.Array:
    """Transposed convolution of stride two.

    Args:
      small: [B,H,W,I].
      kernel: [3,3,I,O], of the dtype of `small`.

    Returns:
      [B,2H+1,2W+1,O].
    """
    assert kernel.shape[:2] == (SIZE, SIZE), kernel.shape
    fewer = conv2d_cpu.suits(small.shape[2], SIZE, small.dtype)
    on_cpu = conv2d_cpu.grow if fewer else _grow_by_matmul
    return jax.lax.platform_dependent(small, kernel, cpu=on_cpu, default=_plain_grow)


@jax.custom_vjp
def _kernel_gradient(small: jax.Array, big: jax.Array) -> jax.Array:
    """Gradient [3,3,S,C] by the kernel of sum(big * grow(small, kernel))."""
    fewer = conv2d_cpu.suits(small.shape[2], SIZE, small.dtype)
    on_cpu = conv2d_cpu.strided_kernel_gradient if fewer else _kernel_gradient_by_matmul
    return jax.lax.platform_dependent(
        small, big, cpu=on_cpu, default=_plain_kernel_gradient
    )


def _plain_shrink(big: jax.Array, kernel: jax.Array) -> jax.Array:
    return jax.lax.conv_general_dilated(
        big,
        kernel,
        (2, 2),
        "VALID",
        dimension_numbers=DIMENSIONS,
        precision=precision(big),
    )


def _plain_grow(small: jax.Array, kernel: jax.Array) -> jax.Array:
    return jax.lax.conv_general_dilated(
        small,
        kernel[::-1, ::-1],
        (1, 1),
        ((SIZE - 1, SIZE - 1), (SIZE - 1, SIZE - 1)),
        lhs_dilation=(2, 2),
        dimension_numbers=DIMENSIONS,
        precision=precision(small),
    )


def _plain_kernel_gradient(small: jax.Array, big: jax.Array) -> jax.Array:
    shape = (SIZE, SIZE, small.shape[-1], big.shape[-1])
    kernel = jax.ShapeDtypeStruct(shape, small.dtype)
    (gradient,) = jax.linear_transpose(lambda k: _plain_grow(small, k), kernel)(big)
    return gradient


def _windows(big: jax.Array) -> jax.Array:
    """What the nine taps meet of big [B,2H+1,2W+1,C]: [B,H,W,9C]."""
    h, w = (n - 1 for n in big.shape[1:3])
    taps = [
        big[:, u : u + h : 2, v : v + w : 2] for u in range(SIZE) for v in range(SIZE)
    ]
    return side_by_side(taps)


def _shrink_by_matmul(big: jax.Array, kernel: jax.Array) -> jax.Array:
    return matmul(_windows(big), kernel.reshape(-1, kernel.shape[-1]))


def _grow_by_matmul(small: jax.Array, kernel: jax.Array) -> jax.Array:
    """The parts of all taps in one product, added up where they overlap.

    Even rows of the result get taps 0 (of the same row) and 2 (of the row above), odd
    rows tap 1; likewise columns.
    """
    b, h, w, inputs = small.shape
    outputs = kernel.shape[-1]
    kernel = kernel.transpose(2, 0, 1, 3).reshape(inputs, -1)
    parts = matmul(small, kernel).reshape(b, h, w, SIZE, SIZE, outputs)
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


def _kernel_gradient_by_matmul(small: jax.Array, big: jax.Array) -> jax.Array:
    product = over_pixels(small, _windows(big))
    product = product.reshape(small.shape[-1], SIZE, SIZE, big.shape[-1])
    return product.transpose(1, 2, 0, 3)


def _swapped(kernel: jax.Array) -> jax.Array:
    return kernel.swapaxes(2, 3)


def _shrink_backward(residuals: tuple, small: jax.Array) -> tuple:
    big, kernel = residuals
    return grow(small, _swapped(kernel)), _swapped(_kernel_gradient(small, big))


def _grow_backward(residuals: tuple, big: jax.Array) -> tuple:
    small, kernel = residuals
    return shrink(big, _swapped(kernel)), _kernel_gradient(small, big)


def _kernel_gradient_backward(residuals: tuple, kernel: jax.Array) -> tuple:
    small, big = residuals
    return shrink(big, _swapped(kernel)), grow(small, kernel)


def _with_arguments(function):
    return lambda a, b: (function(a, b), (a, b))


shrink.defvjp(_with_arguments(shrink), _shrink_backward)
grow.defvjp(_with_arguments(grow), _grow_backward)
_kernel_gradient.defvjp(_with_arguments(_kernel_gradient), _kernel_gradient_backward)
