"""Matrix products of a chosen precision, and the memory layout that makes them fast."""

import dataclasses
import functools

import jax
import jax.numpy as jnp

FLOAT32_PRECISIONS = {
    "highest": jax.lax.Precision.HIGHEST,
    "high": jax.lax.Precision.HIGH,
    "default": jax.lax.Precision.DEFAULT,
}


@dataclasses.dataclass(frozen=True)
class Arithmetic:
    """The arithmetic of a network's convolutions and matrix products.

    It is static, an attribute of modules and an argument of functions, so `jax.jit`
    compiles a program for each value.

    Attributes:
      float32_precision: precision of products of float32, one of FLOAT32_PRECISIONS.
        "highest" is float32. "high" is TF32 on NVIDIA GPUs and three passes of
        bfloat16 on TPUs; "default" is TF32 and one pass. A CPU computes in float32.
      winograd: allow Winograd's form on CPUs, see `conv2d_cpu`.
      pixel_blocks: use the forms for TPUs: narrow images in blocks of pixels,
        convolutions fused with their filter, and filters of images as matrices; see
        `blocks`.
      fused_columns: use the form of StyleGAN3's activation for GPUs, see
        `filtered_lrelu_gpu`.
    """

    float32_precision: str = "highest"
    winograd: bool = False
    pixel_blocks: bool = False
    fused_columns: bool = False

    def __post_init__(self):
        """Raise ValueError for an unknown precision."""
        if self.float32_precision not in FLOAT32_PRECISIONS:
            raise ValueError(
                f"float32_precision (={self.float32_precision!r}) must be one of "
                f"{tuple(FLOAT32_PRECISIONS)}"
            )


def fastest_forms(platform: str) -> dict[str, bool]:
    """Return the attributes of `Arithmetic` that select the fastest forms.

    Training and sampling set them; networks have attributes of the same names.

    Args:
      platform: "cpu", "gpu" or "tpu", as `jax.default_backend` returns it.
    """
    return {
        "winograd": True,
        "pixel_blocks": platform == "tpu",
        "fused_columns": platform == "gpu",
    }


# Attributes of networks, too; all forms for a platform turned off.
PLAIN_FORMS = dict.fromkeys(fastest_forms("cpu"), False)


EXACT = Arithmetic()  # products of float32 in float32, in the plain forms


def precision(x: jax.Array, arithmetic: Arithmetic = EXACT) -> jax.lax.Precision:
    """Return the precision of the products of x: the chosen one if x is float32.

    By default, TPUs and newer GPUs multiply float32 in a lower precision.
    """
    if x.dtype == jnp.float32:
        return FLOAT32_PRECISIONS[arithmetic.float32_precision]
    return jax.lax.Precision.DEFAULT


def matmul(
    x: jax.Array, kernel: jax.Array, arithmetic: Arithmetic = EXACT
) -> jax.Array:
    """Multiply x [...,I] by kernel [I,O], or each image by its own kernel.

    The gradient of the kernel is accumulated in the kernel's dtype.

    Args:
      x: [...,I], or images [B,...,I].
      kernel: [I,O], or [B,I,O] with a kernel for each image.
      arithmetic: precision of the product.

    Returns:
      [...,O], in the dtype of x.
    """
    if kernel.dtype != x.dtype:
        return _mixed_matmul(x, kernel, arithmetic)
    if kernel.ndim == 2:
        return jnp.matmul(x, kernel, precision=precision(x, arithmetic))
    pixels = x.reshape(x.shape[0], -1, x.shape[-1])
    y = jnp.matmul(pixels, kernel, precision=precision(x, arithmetic))
    return y.reshape(*x.shape[:-1], y.shape[-1])


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _mixed_matmul(x: jax.Array, kernel: jax.Array, arithmetic: Arithmetic) -> jax.Array:
    return matmul(x, kernel.astype(x.dtype), arithmetic)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _mixed_gradient(
    x: jax.Array,
    y: jax.Array,
    arithmetic: Arithmetic,
    dtype: jnp.dtype,
    per_image: bool,
) -> jax.Array:
    """Return d/dk sum(y * (x @ k)) for kernels k of `dtype`; see `over_pixels`."""
    return over_pixels(x, y, arithmetic, dtype, per_image)


def _mixed_matmul_backward(
    arithmetic: Arithmetic, residuals: tuple, y: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = residuals
    return (
        _mixed_matmul(y, kernel.swapaxes(-1, -2), arithmetic),
        _mixed_gradient(x, y, arithmetic, kernel.dtype, kernel.ndim == 3),
    )


def _mixed_gradient_backward(
    arithmetic: Arithmetic,
    dtype: jnp.dtype,
    per_image: bool,
    residuals: tuple,
    kernel: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    x, y = residuals
    return (
        _mixed_matmul(y, kernel.swapaxes(-1, -2), arithmetic),
        _mixed_matmul(x, kernel, arithmetic),
    )


_mixed_matmul.defvjp(
    lambda x, kernel, arithmetic: (_mixed_matmul(x, kernel, arithmetic), (x, kernel)),
    _mixed_matmul_backward,
)
_mixed_gradient.defvjp(
    lambda x, y, arithmetic, dtype, per_image: (
        _mixed_gradient(x, y, arithmetic, dtype, per_image),
        (x, y),
    ),
    _mixed_gradient_backward,
)


def over_pixels(
    x: jax.Array,
    y: jax.Array,
    arithmetic: Arithmetic = EXACT,
    dtype: jnp.dtype | None = None,
    per_image: bool = False,
) -> jax.Array:
    """Sum the outer products of x [...,I] and y [...,O] over all pixels: [I,O].

    The sum has the given dtype, by default that of x and y. With `per_image`, there is
    a sum for each image [B,...,I], over its pixels: [B,I,O].
    """
    images = x.shape[:1] if per_image else ()
    x, y = (array.reshape(*images, -1, array.shape[-1]) for array in (x, y))
    contract = (((1,), (1,)), ((0,), (0,))) if per_image else (((0,), (0,)), ((), ()))
    return jax.lax.dot_general(
        x,
        y,
        contract,
        precision=precision(x, arithmetic),
        preferred_element_type=dtype,
    )


def side_by_side(parts: list[jax.Array]) -> jax.Array:
    """Concatenate the channels of n parts [...,C]: [...,nC].

    The parts are stacked: for a concatenation along the last axis, XLA's CPU backend
    would materialize every part first.
    """
    stack = jnp.stack(parts, axis=-2)
    return stack.reshape(*stack.shape[:-2], -1)
