"""The equations of a drag: motion supervision and point tracking.

Points are (x, y) in pixels of the image, from the center of the top-left pixel.

Reference: Pan et al. 2023, "Drag Your GAN: Interactive Point-based Manipulation on the
Generative Image Manifold", sections 3.2 and 3.3.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Grid(NamedTuple):
    """The position of features [h,w,C] in an image, whose center they share.

    Attributes:
      size: height and width of the image.
      scale: feature positions per pixel.
    """

    size: tuple[int, int]
    scale: float

    def sample(self, features: jax.Array, points: jax.Array) -> jax.Array:
        """Return the features [...,C] at points [...,2]."""
        height, width, _ = features.shape
        rows, columns = self.size
        x = (points[..., 0] - (columns - 1) / 2) * self.scale + (width - 1) / 2
        y = (points[..., 1] - (rows - 1) / 2) * self.scale + (height - 1) / 2
        return bilinear(features, x, y)


def bilinear(features: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    """Interpolate features [h,w,C] at columns x and rows y [...]: [...,C].

    Positions outside are clamped to the edge.
    """
    height, width, _ = features.shape
    x, y = jnp.clip(x, 0, width - 1), jnp.clip(y, 0, height - 1)
    left = jnp.clip(jnp.floor(x), 0, max(width - 2, 0)).astype(jnp.int32)
    top = jnp.clip(jnp.floor(y), 0, max(height - 2, 0)).astype(jnp.int32)
    right, bottom = jnp.minimum(left + 1, width - 1), jnp.minimum(top + 1, height - 1)
    u, v = (x - left)[..., None], (y - top)[..., None]
    upper = features[top, left] * (1 - u) + features[top, right] * u
    lower = features[bottom, left] * (1 - u) + features[bottom, right] * u
    return upper * (1 - v) + lower * v


def square(radius: int) -> np.ndarray:
    """Return all integer offsets (x, y) from -radius to radius, [n,2] float32.

    They are sorted by length, so that `track` prefers the nearest of equal matches.
    """
    side = np.arange(-radius, radius + 1)
    pairs = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    order = np.argsort(np.square(pairs).sum(1), kind="stable")
    return pairs[order].astype(np.float32)


def disk(radius: int) -> np.ndarray:
    """Return the offsets of `square` whose length is less than the radius."""
    pairs = square(radius)
    return pairs[np.square(pairs).sum(1) < radius**2]


def track(
    grid: Grid,
    features: jax.Array,
    points: jax.Array,
    pattern: jax.Array,
    radius: int,
) -> jax.Array:
    """Return the points whose features are nearest to those of the handles.

        p <- argmin of |F(q) - f|_1 over all q in the image, in the square around p

    Args:
      grid: see `Grid`.
      features: F [h,w,C].
      points: p [N,2], the positions of the handles in the last step.
      pattern: f [N,C], the features at the handles in the first image.
      radius: half the side of the square, in pixels.

    Returns:
      The new positions [N,2].

    Reference: equation 2.
    """
    last = jnp.array([grid.size[1] - 1, grid.size[0] - 1], jnp.float32)
    near = points[:, None] + square(radius)
    inside = jnp.all((near >= 0) & (near <= last), axis=-1)
    difference = grid.sample(features, near) - pattern[:, None]
    distance = jnp.where(inside, jnp.sum(jnp.abs(difference), axis=-1), jnp.inf)
    best = jnp.argmin(distance, axis=1)
    return jnp.take_along_axis(near, best[:, None, None], axis=1)[:, 0]


def motion_loss(
    grid: Grid,
    features: jax.Array,
    points: jax.Array,
    targets: jax.Array,
    valid: jax.Array,
    radius: int,
) -> jax.Array:
    """Return the difference between features at the handles and one pixel further.

        sum over handles i of mean over q in the disk around p_i of
        |F(q + d_i) - sg(F(q))|_1 / C

    where d_i points from p_i to its target and is at most one pixel long, and sg stops
    the gradient.

    Args:
      grid: see `Grid`.
      features: F [h,w,C].
      points: p [N,2].
      targets: [N,2].
      valid: [N] bool, False for padding.
      radius: radius of the disks, in pixels.

    Reference: equation 1, with means in place of sums as in the official code.
    """
    path = targets - points
    d = path / jnp.maximum(jnp.linalg.norm(path, axis=1, keepdims=True), 1.0)
    disks = points[:, None] + disk(radius)
    here = jax.lax.stop_gradient(grid.sample(features, disks))
    there = grid.sample(features, disks + d[:, None])
    return jnp.sum(jnp.mean(jnp.abs(there - here), axis=(1, 2)) * valid)


def mask_loss(features: jax.Array, before: jax.Array, fixed: jax.Array) -> jax.Array:
    """Return the mean change of features [h,w,C] where `fixed` [h,w] is 1.

    Reference: the second term of equation 1, with a mean as in the official code.
    """
    return jnp.mean(jnp.abs(features - before) * fixed[..., None])


def fixed_features(mask: np.ndarray, grid: Grid, shape: tuple[int, ...]) -> jax.Array:
    """Return a mask of the features that must not change.

    Args:
      mask: [H,W] bool, True where the image may change.
      grid: see `Grid`.
      shape: shape of the features [h,w,C].

    Returns:
      [h,w] in [0,1], 1 where they must not change. Features beyond the edge of the
      image take the value at the edge.
    """
    inside = tuple(round(side * grid.scale) for side in grid.size)
    fixed = jnp.asarray(~mask, jnp.float32)
    fixed = jax.image.resize(fixed, inside, "linear")
    margins = [(n - m) // 2 for n, m in zip(shape[:2], inside, strict=True)]
    return jnp.pad(fixed, [(m, m) for m in margins], mode="edge")
