"""Convolution with a stride of one, with fast gradients of every order.

The convolution y = conv(x, k) and its gradients with respect to x and k come from one
trilinear form, so the gradients of each of the three are again among the three:

    with respect to x: conv(y, adjoint(k)), to k: kernel_gradient(x, y).

The implementations here are XLA's own; on a CPU, `conv2d_cpu` replaces them with faster
ones. Forward-mode differentiation (jvp) is not defined.

The kernel is cast to the dtype of x. If it is float32, so is its gradient: TPUs
accumulate it, and devices sum their parts, before anything rounds it to bfloat16.
"""

import functools

import chex
import jax
import jax.numpy as jnp

from stylegan_jax.layers import conv2d_cpu
from stylegan_jax.layers.matmul import EXACT, Arithmetic, matmul, precision

DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def conv2d(
    x: jax.Array, kernel: jax.Array, arithmetic: Arithmetic = EXACT
) -> jax.Array:
    """Convolve (cross-correlate) with zero padding that keeps the size.

    Args:
      x: [B,H,W,I].
      kernel: [k,k,I,O], odd k.
      arithmetic: precision and forms of the products.

    Returns:
      [B,H,W,O].
    """
    chex.assert_rank(x, 4)
    chex.assert_shape(kernel, (None, None, x.shape[-1], None))
    if kernel.shape[:2] == (1, 1):
        return matmul(x, kernel[0, 0], arithmetic)
    return conv2d_padded(x, kernel, (kernel.shape[0] - 1) // 2, arithmetic)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv2d_padded(
    x: jax.Array, kernel: jax.Array, padding: int, arithmetic: Arithmetic
) -> jax.Array:
    """Convolve with `padding` zeros on every side.

    Args:
      x: [B,H,W,I].
      kernel: [k,k,I,O], of any floating dtype.
      padding: p, less than k.
      arithmetic: precision and forms of the products.

    Returns:
      [B,H+2p-k+1,W+2p-k+1,O], of the dtype of x.
    """
    return conv2d_cpu.dispatch(
        "conv", _plain_conv, x, kernel.astype(x.dtype), arithmetic, padding=padding
    )


def _plain_conv(
    x: jax.Array, kernel: jax.Array, padding: int, arithmetic: Arithmetic = EXACT
) -> jax.Array:
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (1, 1),
        ((padding, padding), (padding, padding)),
        dimension_numbers=DIMENSIONS,
        precision=precision(x, arithmetic),
    )


def _adjoint(kernel: jax.Array) -> jax.Array:
    """Return the kernel [k,k,O,I] that maps the gradient of y to that of x."""
    return kernel[::-1, ::-1].swapaxes(2, 3)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4, 5))
def _kernel_gradient(
    x: jax.Array,
    y: jax.Array,
    size: int,
    padding: int,
    arithmetic: Arithmetic,
    dtype: jnp.dtype,
) -> jax.Array:
    """Return d/dk sum(y * conv(x, k, padding)): [k,k,I,O], for kernels k of `dtype`."""
    return conv2d_cpu.dispatch(
        "kernel_gradient",
        _plain_kernel_gradient,
        x,
        y,
        arithmetic,
        tpu=_float32_kernel_gradient,
        size=size,
        padding=padding,
    ).astype(dtype)


def _plain_kernel_gradient(
    x: jax.Array,
    y: jax.Array,
    size: int,
    padding: int,
    arithmetic: Arithmetic = EXACT,
) -> jax.Array:
    if y.shape[1] > x.shape[1]:
        # XLA would swap the operands, and call cuDNN with a filter as large as x.
        padding = size - 1 - padding
        return _adjoint(_plain_kernel_gradient(y, x, size, padding, arithmetic))
    kernel = jax.ShapeDtypeStruct((size, size, x.shape[-1], y.shape[-1]), x.dtype)
    conv = functools.partial(_plain_conv, x, padding=padding, arithmetic=arithmetic)
    return jax.linear_transpose(conv, kernel)(y)[0]


def _float32_kernel_gradient(
    x: jax.Array,
    y: jax.Array,
    size: int,
    padding: int,
    arithmetic: Arithmetic = EXACT,
) -> jax.Array:
    """Form of `_plain_kernel_gradient` with a float32 result.

    The larger image is the first operand: otherwise, XLA would swap the operands and
    flip the second one. Here, only the result is flipped.
    """
    flip = y.shape[1] > x.shape[1]
    if flip:
        x, y, padding = y, x, size - 1 - padding
    gradient = jax.lax.conv_general_dilated(
        x,
        y,
        (1, 1),
        ((padding, padding), (padding, padding)),
        dimension_numbers=("CHWN", "IHWO", "HWCN" if flip else "HWNC"),
        precision=precision(x, arithmetic),
        preferred_element_type=jnp.float32,
    )
    return gradient[::-1, ::-1] if flip else gradient


def _conv_forward(
    x: jax.Array, kernel: jax.Array, padding: int, arithmetic: Arithmetic
) -> tuple[jax.Array, tuple]:
    return conv2d_padded(x, kernel, padding, arithmetic), (x, kernel)


def _conv_backward(
    padding: int, arithmetic: Arithmetic, residuals: tuple, y: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = residuals
    size = kernel.shape[0]
    return (
        conv2d_padded(y, _adjoint(kernel), size - 1 - padding, arithmetic),
        _kernel_gradient(x, y, size, padding, arithmetic, kernel.dtype),
    )


def _kernel_gradient_forward(
    x: jax.Array,
    y: jax.Array,
    size: int,
    padding: int,
    arithmetic: Arithmetic,
    dtype: jnp.dtype,
) -> tuple[jax.Array, tuple]:
    return _kernel_gradient(x, y, size, padding, arithmetic, dtype), (x, y)


def _kernel_gradient_backward(
    size: int,
    padding: int,
    arithmetic: Arithmetic,
    dtype: jnp.dtype,
    residuals: tuple,
    kernel: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    x, y = residuals
    return (
        conv2d_padded(y, _adjoint(kernel), size - 1 - padding, arithmetic),
        conv2d_padded(x, kernel, padding, arithmetic),
    )


conv2d_padded.defvjp(_conv_forward, _conv_backward)
_kernel_gradient.defvjp(_kernel_gradient_forward, _kernel_gradient_backward)
