"""Interpolation of latents: along the sphere in z, along a line in w."""

import jax
import jax.numpy as jnp

# The smallest normal float32: dividing a zero vector by it gives zero, not NaN.
_TINY = 1.1754944e-38


def normalize(v: jax.Array) -> jax.Array:
    """Scale vectors to length one; a zero vector stays zero.

    Args:
      v: [..., N] float, vectors on the last axis.

    Returns:
      [..., N], of unit length on the last axis.
    """
    return v / jnp.maximum(_length(v), _TINY)


def slerp(a: jax.Array, b: jax.Array, t: jax.Array | float) -> jax.Array:
    """Interpolate along the great circle from a to b, projected to the unit sphere.

        a sin((1 - t) theta) / sin(theta) + b sin(t theta) / sin(theta)

    written as a cos(t theta) + c sin(t theta), where c is the direction of the part of
    b that is orthogonal to a: this neither divides by sin(theta) nor loses a small
    theta. Opposite vectors have no unique great circle; the result is then an arbitrary
    unit vector.

    The mapping network normalizes z, so only its direction counts; a straight line
    between latents would pass through the improbable region near zero.

    Args:
      a: [..., Z] float, start.
      b: [..., Z] float, end.
      t: position, 0 at a and 1 at b; a scalar, or an array with the leading axes of a.

    Returns:
      [..., Z], of unit length.

    Reference: Shoemake 1985, "Animating Rotation with Quaternion Curves", section 3.3;
    Karras et al. 2019, section 4.1 (perceptual path length in Z).
    """
    a, b = normalize(jnp.asarray(a)), normalize(jnp.asarray(b))
    cosine = jnp.sum(a * b, axis=-1, keepdims=True)
    across = b - cosine * a
    theta = _per_vector(t, a) * jnp.arctan2(_length(across), cosine)
    return normalize(a * jnp.cos(theta) + normalize(across) * jnp.sin(theta))


def lerp(a: jax.Array, b: jax.Array, t: jax.Array | float) -> jax.Array:
    """Interpolate along the straight line from a to b: a + (b - a) t.

    Args:
      a: [..., W] or [..., L, W] float, start.
      b: like a, end.
      t: position, 0 at a and 1 at b; a scalar, or an array with the leading axes of a.

    Returns:
      An array like a.

    Reference: Karras et al. 2019, section 4.1 (perceptual path length in W).
    """
    a, b = jnp.asarray(a), jnp.asarray(b)
    return a + (b - a) * _per_vector(t, a)


def _length(v: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.sum(jnp.square(v), axis=-1, keepdims=True))


def _per_vector(t: jax.Array | float, a: jax.Array) -> jax.Array:
    """Reshape t to the rank of a, so that its axes align with the leading ones."""
    t = jnp.asarray(t, a.dtype)
    if t.ndim >= a.ndim or t.shape != a.shape[: t.ndim]:
        raise ValueError(
            f"t has shape {t.shape}; it must be a scalar or have the leading axes of "
            f"the latents, which have shape {a.shape}"
        )
    return t.reshape(t.shape + (1,) * (a.ndim - t.ndim))
