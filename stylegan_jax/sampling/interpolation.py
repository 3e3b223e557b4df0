"""Interpolation of latents: along the sphere in z, along lines and curves in w."""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
import numpy as np

CURVES = ("cubic", "linear", "slerp")
EASINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "linear": lambda t: t,
    "smooth": lambda t: t * t * (3 - 2 * t),  # at rest at both ends
}
# Positions [F] -> values [F, ...]; 0 is the first keyframe, 1 the second.
Path = Callable[[np.ndarray], np.ndarray]

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


def positions(
    keyframes: int, frames: int, *, closed: bool, easing: str = "linear"
) -> np.ndarray:
    """Return the positions of the frames of a video on its path.

    A closed path ends one frame before the first keyframe, so that its repetition has
    no frame twice; an open one ends with the last keyframe.

    Args:
      keyframes: K, at least 2.
      frames: number of frames from one keyframe to the next.
      closed: True if the last keyframe is followed by the first.
      easing: a key of EASINGS; "smooth" slows down before each keyframe.

    Returns:
      [K * frames] float64 if the path is closed, else [(K - 1) * frames + 1].

    Raises:
      ValueError: there is only one keyframe, or a value is not allowed.
    """
    if keyframes < 2:
        raise ValueError(
            f"the number of keyframes (={keyframes}) must be at least 2, or nothing "
            "moves; add seeds, or use fewer cells"
        )
    if frames < 1 or easing not in EASINGS:
        raise ValueError(
            f"frames (={frames}) must be at least 1, and easing (={easing!r}) one of "
            f"{', '.join(EASINGS)}"
        )
    count = keyframes * frames if closed else (keyframes - 1) * frames + 1
    whole, part = np.divmod(np.arange(count), frames)
    return whole + EASINGS[easing](part / frames)


def path(keyframes: np.ndarray, curve: str, *, closed: bool) -> Path:
    """Return the path through keyframes, as a function of the position.

    Args:
      keyframes: [K, ..., N], w or ws for "cubic" and "linear", z for "slerp".
      curve: "linear" for straight lines; "slerp" for great circles, on which the
        length of the vectors changes linearly; "cubic" for a spline, whose first and
        second derivatives are continuous, also where a closed path begins.
      closed: True if the last keyframe is followed by the first.

    Returns:
      Function from positions [F], at least 0 and up to K - 1 (closed: below K), to
      values [F, ..., N] float32. Position k gives keyframe k exactly.

    Raises:
      ValueError: there is no such curve.

    Reference: Karras et al. 2021, official code of StyleGAN3, gen_video.py, whose
    spline runs through copies of the keyframes, and approaches the periodic one.
    """
    keyframes = np.asarray(keyframes, np.float32)
    if curve not in CURVES:
        raise ValueError(f"curve (={curve!r}) must be one of {', '.join(CURVES)}")
    if curve == "cubic":
        return _spline(keyframes, closed)
    between = lerp if curve == "linear" else _slerp_with_length

    def at(position: np.ndarray) -> np.ndarray:
        chex.assert_rank(position, 1)
        start = np.floor(position).astype(int)
        fraction = (position - start).astype(np.float32)
        a, b = keyframes[start], keyframes[(start + 1) % len(keyframes)]
        on_keyframe = (fraction == 0).reshape((-1,) + (1,) * (a.ndim - 1))
        return np.where(on_keyframe, a, between(a, b, fraction))

    return at


def _spline(keyframes: np.ndarray, closed: bool) -> Path:
    from scipy.interpolate import CubicSpline  # slow to import, and needed only here

    if closed:
        keyframes = np.concatenate([keyframes, keyframes[:1]])
    spline = CubicSpline(
        np.arange(len(keyframes)),
        keyframes.astype(np.float64),
        bc_type="periodic" if closed else "natural",
    )
    return lambda position: spline(position).astype(np.float32)


def _slerp_with_length(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> jax.Array:
    length = lerp(_length(jnp.asarray(a)), _length(jnp.asarray(b)), t)
    return slerp(a, b, t) * length


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
