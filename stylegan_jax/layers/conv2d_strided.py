"""Convolutions with a stride of two and their transposes, with fast gradients.

Images are "small" [B,H,W,S] or "big" [B,2H+1,2W+1,C]; tap (u,v) of a kernel connects
pixel (i,j) of the small one with pixel (2i+u, 2j+v) of the big one. `shrink`, `grow`
and `_kernel_gradient` come from one trilinear form, so the gradients of each are again
among the three. The implementations here are XLA's own; on a CPU, `conv2d_cpu` replaces
them with faster ones. Forward-mode differentiation (jvp) is not defined. The gradient
of a float32 kernel is float32, see `conv2d`.
"""

import functools

import chex
import jax
import jax.numpy as jnp

from stylegan_jax.layers import conv2d_cpu
from stylegan_jax.layers.conv2d import DIMENSIONS
from stylegan_jax.layers.matmul import EXACT, Arithmetic, precision

SIZE = 3  # height and width of the kernels


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def shrink(big: jax.Array, kernel: jax.Array, arithmetic: Arithmetic) -> jax.Array:
    """Convolve (cross-correlate) with a stride of two.

    Args:
      big: [B,2H+1,2W+1,I].
      kernel: [3,3,I,O], cast to the dtype of `big`.
      arithmetic: precision and forms of the products.

    Returns:
      [B,H,W,O].
    """
    chex.assert_shape(kernel, (SIZE, SIZE, big.shape[-1], None))
    assert big.shape[1] % 2 == big.shape[2] % 2 == 1, big.shape
    kernel = kernel.astype(big.dtype)
    return conv2d_cpu.dispatch("shrink", _plain_shrink, big, kernel, arithmetic)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def grow(small: jax.Array, kernel: jax.Array, arithmetic: Arithmetic) -> jax.Array:
    """Apply the transposed convolution with a stride of two.

    Args:
      small: [B,H,W,I].
      kernel: [3,3,I,O], cast to the dtype of `small`.
      arithmetic: precision and forms of the products.

    Returns:
      [B,2H+1,2W+1,O].
    """
    chex.assert_shape(kernel, (SIZE, SIZE, small.shape[-1], None))
    kernel = kernel.astype(small.dtype)
    return conv2d_cpu.dispatch("grow", _plain_grow, small, kernel, arithmetic)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _kernel_gradient(
    small: jax.Array, big: jax.Array, arithmetic: Arithmetic, dtype: jnp.dtype
) -> jax.Array:
    """Return d/dk sum(big * grow(small, k)): [3,3,S,C], for kernels k of `dtype`."""
    return conv2d_cpu.dispatch(
        "strided_kernel_gradient",
        _plain_kernel_gradient,
        small,
        big,
        arithmetic,
        tpu=_float32_kernel_gradient,
    ).astype(dtype)


def _plain_shrink(
    big: jax.Array, kernel: jax.Array, arithmetic: Arithmetic = EXACT
) -> jax.Array:
    return jax.lax.conv_general_dilated(
        big,
        kernel,
        (2, 2),
        "VALID",
        dimension_numbers=DIMENSIONS,
        precision=precision(big, arithmetic),
    )


def _plain_grow(
    small: jax.Array, kernel: jax.Array, arithmetic: Arithmetic = EXACT
) -> jax.Array:
    return jax.lax.conv_general_dilated(
        small,
        kernel[::-1, ::-1],
        (1, 1),
        ((SIZE - 1, SIZE - 1), (SIZE - 1, SIZE - 1)),
        lhs_dilation=(2, 2),
        dimension_numbers=DIMENSIONS,
        precision=precision(small, arithmetic),
    )


def _plain_kernel_gradient(
    small: jax.Array, big: jax.Array, arithmetic: Arithmetic = EXACT
) -> jax.Array:
    # The transpose of `_plain_shrink`, not of `_plain_grow`, which on a GPU becomes a
    # convolution with a filter as large as the image, and on a TPU a dilated one.
    shape = (SIZE, SIZE, big.shape[-1], small.shape[-1])
    kernel = jax.ShapeDtypeStruct(shape, big.dtype)
    conv = functools.partial(_plain_shrink, big, arithmetic=arithmetic)
    (gradient,) = jax.linear_transpose(conv, kernel)(small)
    return _swapped(gradient)


def _float32_kernel_gradient(
    small: jax.Array, big: jax.Array, arithmetic: Arithmetic = EXACT
) -> jax.Array:
    """Form of `_plain_kernel_gradient` with a float32 result."""
    gradient = jax.lax.conv_general_dilated(
        big,
        small,
        (1, 1),
        "VALID",
        rhs_dilation=(2, 2),
        dimension_numbers=("CHWN", "IHWO", "HWNC"),
        precision=precision(small, arithmetic),
        preferred_element_type=jnp.float32,
    )
    return _swapped(gradient)


def _swapped(kernel: jax.Array) -> jax.Array:
    return kernel.swapaxes(2, 3)


def _shrink_backward(
    arithmetic: Arithmetic, residuals: tuple, small: jax.Array
) -> tuple:
    big, kernel = residuals
    by_kernel = _kernel_gradient(small, big, arithmetic, kernel.dtype)
    return grow(small, _swapped(kernel), arithmetic), _swapped(by_kernel)


def _grow_backward(arithmetic: Arithmetic, residuals: tuple, big: jax.Array) -> tuple:
    small, kernel = residuals
    by_kernel = _kernel_gradient(small, big, arithmetic, kernel.dtype)
    return shrink(big, _swapped(kernel), arithmetic), by_kernel


def _kernel_gradient_backward(
    arithmetic: Arithmetic, dtype: jnp.dtype, residuals: tuple, kernel: jax.Array
) -> tuple:
    small, big = residuals
    return shrink(big, _swapped(kernel), arithmetic), grow(small, kernel, arithmetic)


def _with_arguments(function):
    return lambda a, b, *static: (function(a, b, *static), (a, b))


shrink.defvjp(_with_arguments(shrink), _shrink_backward)
grow.defvjp(_with_arguments(grow), _grow_backward)
_kernel_gradient.defvjp(_with_arguments(_kernel_gradient), _kernel_gradient_backward)
