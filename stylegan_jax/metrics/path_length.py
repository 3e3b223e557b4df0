"""Perceptual path length: the change of the image per small step in latent space.

Reference: Karras et al., StyleGAN (2019), section 4.1.
"""

import dataclasses
import functools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.models import Generator, LevelOfDetail, Variables
from stylegan_jax.sampling.interpolation import lerp, slerp

EPSILON = 1e-4  # length of a step, as a fraction of the path
DISTANCE_PIXELS = 256  # larger images are averaged down to about this size


@dataclasses.dataclass(frozen=True)
class Path:
    """The kind of path whose length is measured.

    Attributes:
      space: "z", along the sphere, or "w", along a line.
      whole: True for steps anywhere along the path ("full" in the paper), False for
        steps at its start ("end"), where w is an output of the mapping network.
      crop: True to crop to the face, see `crop_face`.
      epsilon: length of a step, as a fraction of the path.
    """

    space: str
    whole: bool
    crop: bool
    epsilon: float = EPSILON

    def times(self, count: int, rng: np.random.RandomState) -> np.ndarray:
        """Draw the position on each path where its step begins, [count] in [0, 1]."""
        draws = rng.uniform(size=count) if self.whole else np.zeros(count)
        return draws.astype(np.float32)


@functools.partial(jax.jit, static_argnums=(0, 6))
def step_images(
    generator: Generator,
    variables: Variables,
    z_from: jax.Array,
    z_to: jax.Array,
    labels: jax.Array | None,
    times: jax.Array,
    path: Path,
    *,
    lod: LevelOfDetail | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Generate the images at both ends of small steps.

    Args:
      generator: the network, used without truncation.
      variables: its variables; both ends use the noise maps in them.
      z_from: [B, Z], starts of the paths.
      z_to: [B, Z], ends of the paths.
      labels: [B, label_size] of both ends; None for unconditional networks.
      times: [B] in [0, 1], position along its path where each step begins.
      path: the kind of path.
      lod: the resolution and its fade, from which images are enlarged to the full
        resolution by repeating pixels; None for the full resolution.

    Returns:
      Two batches of images [B,h,w,3] float32, about [-1, 1]. `trim_outliers` takes
      their distance over `path.epsilon` squared.
    """
    chex.assert_equal_shape([z_from, z_to])
    chex.assert_shape(times, (len(z_from),))
    times_after = times + path.epsilon
    if path.space == "z":
        steps = [slerp(z_from, z_to, t) for t in (times, times_after)]
        ws = [generator.apply(variables, z, labels, method="map") for z in steps]
    else:
        ends = [
            generator.apply(variables, z, labels, method="map") for z in (z_from, z_to)
        ]
        ws = [lerp(*ends, t) for t in (times, times_after)]
    images = generator.apply(
        variables,
        jnp.concatenate(ws),
        lod=lod,
        method="synthesize",
    )
    factor = 1 if lod is None else generator.resolution // lod.resolution
    images = jnp.repeat(jnp.repeat(images, factor, axis=1), factor, axis=2)
    images = rgb_over_white(images)
    if path.crop:
        images = crop_face(images)
    return tuple(jnp.split(average_down(images), 2))


def rgb_over_white(images: jax.Array) -> jax.Array:
    """Convert images [B,H,W,C], C of 1, 3 or 4, about [-1, 1], to RGB over white."""
    chex.assert_rank(images, 4)
    if images.shape[-1] == 1:
        return jnp.repeat(images, 3, axis=-1)
    if images.shape[-1] == 3:
        return images
    alpha = jnp.clip((images[..., 3:] + 1) / 2, 0, 1)
    return images[..., :3] * alpha + (1 - alpha)


def average_down(images: jax.Array) -> jax.Array:
    """Average images [B,H,W,C] down to about `DISTANCE_PIXELS` on the shorter side.

    The blocks have the largest size that divides both sides and leaves at least that
    many pixels: 4 for 1024x1024, as in the official code; 2 for 768x1024, which 3
    does not divide.
    """
    chex.assert_rank(images, 4)
    count, height, width, channels = images.shape
    most = max(1, min(height, width) // DISTANCE_PIXELS)
    common = math.gcd(height, width)
    factor = max(f for f in range(1, most + 1) if common % f == 0)
    if factor == 1:
        return images
    blocks = (count, height // factor, factor, width // factor, factor, channels)
    return jnp.mean(images.reshape(blocks), axis=(2, 4))


def with_new_noise(variables: Variables, key: jax.Array) -> Variables:
    """Return the variables with newly drawn noise maps."""
    maps, structure = jax.tree.flatten(variables.get("noise", {}))
    keys = jax.random.split(key, max(1, len(maps)))
    drawn = [
        jax.random.normal(k, x.shape, x.dtype) for k, x in zip(keys, maps, strict=False)
    ]
    return {**variables, "noise": jax.tree.unflatten(structure, drawn)}


def crop_face(images: jax.Array) -> jax.Array:
    """Crop aligned FFHQ or CelebA-HQ images to the face.

    Keep rows 3/8 to 7/8 and columns 2/8 to 6/8, so that the distance is that of the
    face and not of the background.

    Args:
      images: [B, R, R, C], any range.

    Returns:
      [B, R/2, R/2, C].

    Raises:
      ValueError: see `check_crop`.
    """
    chex.assert_rank(images, 4)
    _, height, width, _ = images.shape
    check_crop(height, width)
    eighth = height // 8
    return images[:, 3 * eighth : 7 * eighth, 2 * eighth : 6 * eighth, :]


def check_crop(height: int, width: int) -> None:
    """Raise ValueError for image sizes that `crop_face` does not support."""
    if height != width or height % 8:
        raise ValueError(
            f"the images are {width}x{height} (width x height); cropping to "
            "the face needs square images with a resolution that is a multiple of 8"
        )


def trim_outliers(distances: np.ndarray) -> np.ndarray:
    """Drop the distances beyond the 1st and 99th percentile.

    A percentile between two distances is rounded to the outer one, and the bounds
    themselves are kept.

    Args:
      distances: [N] float, distance of each pair over epsilon squared.

    Returns:
      [M] with M up to N; their mean is the perceptual path length.

    Raises:
      ValueError: there are no distances, or some are not finite.
    """
    distances = np.asarray(distances)
    chex.assert_rank(distances, 1)
    if not distances.size or not np.all(np.isfinite(distances)):
        bad = int(np.sum(~np.isfinite(distances)))
        raise ValueError(
            f"{bad} of {distances.size} distances are not finite; a path length needs "
            "at least one distance, and all of them finite"
        )
    low = np.percentile(distances, 1, method="lower")
    high = np.percentile(distances, 99, method="higher")
    return distances[(low <= distances) & (distances <= high)]
