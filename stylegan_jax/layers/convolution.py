"""Convolution of stride one, fast in its gradients of every order on every platform.

The convolution y = conv(x, k), its gradient by x and that by k are three faces of one
trilinear form, so the gradients of each are again among the three:

    by x: conv(y, turned(k)), by k: kernel_gradient(x, y).

XLA derives the gradient by k as a convolution with a window as large as the image,
which its CPU backend runs 5 to 30 times slower than the convolution itself, on one core
(docs/performance.md). There it is one product of matrices here, and elsewhere
XLA's own. Forward-mode differentiation (jvp) is not defined.
"""

import functools

import jax
import jax.numpy as jnp

WIDE = 128  # output channels from which XLA's CPU backend uses all cores
DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def precision(x: jax.Array) -> jax.lax.Precision:
    """Float32 means float32: TPUs and newer GPUs would multiply it in less.

    Who wants speed there chooses bfloat16 activations.
    """
    if x.dtype == jnp.float32:
        return jax.lax.Precision.HIGHEST
    return jax.lax.Precision.DEFAULT


def matmul(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """X [..., I] times kernel [I,O], in the dtype of x; see `precision`."""
    return jnp.matmul(x, kernel.astype(x.dtype), precision=precision(x))


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
    return _conv(x, kernel)


@jax.custom_vjp
def _conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    narrow = kernel.shape[-1] < WIDE
    on_cpu = _conv_by_matmul if narrow else _plain_conv
    return jax.lax.platform_dependent(x, kernel, cpu=on_cpu, default=_plain_conv)


def _plain_conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (1, 1),
        "SAME",
        dimension_numbers=DIMENSIONS,
        precision=precision(x),
    )


def _conv_by_matmul(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """One product: x shifted along the rows, for all rows of the kernel side by side.

    Their parts are then added up, shifted along the columns.
    """
    size, _, inputs, outputs = kernel.shape
    h, w = x.shape[1:3]
    before = (size - 1) // 2
    x = jnp.pad(x, ((0, 0), (before, before), (before, before), (0, 0)))
    across = jnp.concatenate([x[:, :, v : v + w] for v in range(size)], axis=-1)
    kernel = kernel.transpose(1, 2, 0, 3).reshape(size * inputs, size * outputs)
    parts = matmul(across, kernel)
    return sum(
        parts[:, u : u + h, :, u * outputs : (u + 1) * outputs] for u in range(size)
    )


def _turned(kernel: jax.Array) -> jax.Array:
    """The kernel [k,k,O,I] that takes the gradient by y to that by x."""
    return kernel[::-1, ::-1].swapaxes(2, 3)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _kernel_gradient(x: jax.Array, y: jax.Array, size: int) -> jax.Array:
    """Gradient [size,size,I,O] by the kernel of sum(y * conv(x, kernel))."""
    return jax.lax.platform_dependent(
        x,
        y,
        cpu=functools.partial(_kernel_gradient_by_matmul, size=size),
        default=functools.partial(_kernel_gradient_by_conv, size=size),
    )


def _kernel_gradient_by_conv(x: jax.Array, y: jax.Array, size: int) -> jax.Array:
    kernel = jax.ShapeDtypeStruct((size, size, x.shape[-1], y.shape[-1]), x.dtype)
    (gradient,) = jax.linear_transpose(lambda k: _plain_conv(x, k), kernel)(y)
    return gradient


def _kernel_gradient_by_matmul(x: jax.Array, y: jax.Array, size: int) -> jax.Array:
    """One product: x shifted along the rows, times y shifted along the columns.

    Each of the size^2 blocks of its result is the gradient by one tap.
    """
    b, h, w, inputs = x.shape
    before = (size - 1) // 2
    outputs = y.shape[-1]
    x = jnp.pad(x, ((0, 0), (before, before), (before, before), (0, 0)))
    y = jnp.pad(y, ((0, 0), (size - 1, size - 1), (0, 0), (0, 0)))
    rows = h + size - 1
    across = jnp.concatenate([x[:, :, v : v + w] for v in range(size)], axis=-1)
    down = jnp.concatenate(
        [y[:, size - 1 - u : size - 1 - u + rows] for u in range(size)], axis=-1
    )
    product = jax.lax.dot_general(
        down.reshape(b * rows * w, size * outputs),
        across.reshape(b * rows * w, size * inputs),
        (((0,), (0,)), ((), ())),
        precision=precision(x),
    )
    return product.reshape(size, outputs, size, inputs).transpose(0, 2, 3, 1)


def _conv_forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple]:
    return _conv(x, kernel), (x, kernel)


def _conv_backward(residuals: tuple, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = residuals
    return _conv(y, _turned(kernel)), _kernel_gradient(x, y, kernel.shape[0])


def _kernel_gradient_forward(
    x: jax.Array, y: jax.Array, size: int
) -> tuple[jax.Array, tuple]:
    return _kernel_gradient(x, y, size), (x, y)


def _kernel_gradient_backward(
    size: int, residuals: tuple, kernel: jax.Array
) -> tuple[jax.Array, jax.Array]:
    del size
    x, y = residuals
    return _conv(y, _turned(kernel)), _conv(x, kernel)


_conv.defvjp(_conv_forward, _conv_backward)
_kernel_gradient.defvjp(_kernel_gradient_forward, _kernel_gradient_backward)
