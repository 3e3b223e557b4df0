"""Perceptual path length: how much the image changes per small step in latent space.

Reference: Karras et al., StyleGAN (2019), section 4.1.
"""

import dataclasses
import functools
import math
from typing import Protocol

import chex
import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.models import Generator, LevelOfDetail, Variables
from stylegan_jax.sampling.interpolation import lerp, slerp

EPSILON = 1e-4  # the step along the way from one latent to another
DISTANCE_PIXELS = 256  # larger images are averaged down to about this before


class PerceptualDistance(Protocol):
    """How different images look, e.g. LPIPS.

    Attributes:
      name: of the network.
      digest: of its weights.
    """

    name: str
    digest: str

    def __call__(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Distances [B] of images [B,h,w,3] float32, about [-1, 1]."""


@dataclasses.dataclass(frozen=True)
class Path:
    """Which path it is whose length is measured.

    Attributes:
      space: "z", along the sphere, or "w", along a line.
      whole: steps anywhere on the way ("full" in the paper), or only at its beginning
        ("end"), where w is one that the mapping network made.
      crop: to the face, see `crop_face`.
      epsilon: length of the step, of a way of length 1.
    """

    space: str
    whole: bool
    crop: bool
    epsilon: float = EPSILON

    def times(self, count: int, rng: np.random.RandomState) -> np.ndarray:
        """Where on their ways the steps of `count` pairs begin, [count] float32."""
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
    """The images at both ends of a step; how far apart they are is for LPIPS to say.

    Args:
      generator: the network, used without truncation.
      variables: its variables; both ends see the same noise maps, those in there.
      z_from: where the ways begin, [B, Z].
      z_to: where they end, [B, Z].
      labels: [B, label_size] of both, None for unconditional networks.
      times: [B], where on its way each step begins, 0 to 1.
      path: what is measured.
      lod: the resolution and its fade; None is the full resolution, to which images of
        others are enlarged by repeating pixels.

    Returns:
      Two batches of images [B,h,w,3] float32, about [-1, 1]. The distance of each pair
      over `path.epsilon` squared is what `kept_distances` takes.
    """
    times_after = times + path.epsilon
    if path.space == "z":
        steps = [slerp(z_from, z_to, t) for t in (times, times_after)]
        ws = [generator.apply(variables, z, labels, method="map") for z in steps]
    else:
        ways = [
            generator.apply(variables, z, labels, method="map") for z in (z_from, z_to)
        ]
        ws = [lerp(*ways, t) for t in (times, times_after)]
    images = generator.apply(
        variables,
        jnp.concatenate(ws),
        lod=lod,
        method="synthesize",
    )
    factor = 1 if lod is None else generator.resolution // lod.resolution
    images = jnp.repeat(jnp.repeat(images, factor, axis=1), factor, axis=2)
    images = on_white(images)
    if path.crop:
        images = crop_face(images)
    return tuple(jnp.split(averaged_down(images), 2))


def on_white(images: jax.Array) -> jax.Array:
    """Images [B,H,W,C], C 1, 3 or 4, about [-1, 1] -> RGB, what is clear over white."""
    if images.shape[-1] == 1:
        return jnp.repeat(images, 3, axis=-1)
    if images.shape[-1] == 3:
        return images
    alpha = jnp.clip((images[..., 3:] + 1) / 2, 0, 1)
    return images[..., :3] * alpha + (1 - alpha)


def averaged_down(images: jax.Array) -> jax.Array:
    """Images [B,H,W,C] -> about `DISTANCE_PIXELS` on the shorter side, or more.

    Means of blocks of the largest size that divides both sides and leaves no fewer: 4
    of 1024x1024, as officially; 2 of 768x1024, which 3 does not divide.
    """
    count, height, width, channels = images.shape
    most = max(1, min(height, width) // DISTANCE_PIXELS)
    common = math.gcd(height, width)
    factor = max(f for f in range(1, most + 1) if common % f == 0)
    if factor == 1:
        return images
    blocks = (count, height // factor, factor, width // factor, factor, channels)
    return jnp.mean(images.reshape(blocks), axis=(2, 4))


def with_new_noise(variables: Variables, key: jax.Array) -> Variables:
    """The variables with other noise maps, for one batch of steps."""
    maps, structure = jax.tree.flatten(variables.get("noise", {}))
    keys = jax.random.split(key, max(1, len(maps)))
    drawn = [
        jax.random.normal(k, x.shape, x.dtype) for k, x in zip(keys, maps, strict=False)
    ]
    return {**variables, "noise": jax.tree.unflatten(structure, drawn)}


def crop_face(images: jax.Array) -> jax.Array:
    """Cuts out the face of an aligned FFHQ or CelebA-HQ image: half of each side.

    Rows 3/8 to 7/8 and columns 2/8 to 6/8, so that the distance is that of the
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
    """Raises ValueError of images that `crop_face` does not take."""
    if height != width or height % 8:
        raise ValueError(
            f"images are {height}x{width}; cropping to the face needs square images "
            "with a resolution that is a multiple of 8"
        )


def kept_distances(distances: np.ndarray) -> np.ndarray:
    """The distances without those beyond the 1st and 99th percentile.

    Where a percentile falls between two distances the outer one bounds, and the
    bounds themselves count.

    Args:
        distances: [N] float, distance of each pair over epsilon squared.

    Returns:
        At most [N]; their mean is the perceptual path length.

    Raises:
        ValueError: if there are none, or one is not finite.
    """
    distances = np.asarray(distances)
    chex.assert_rank(distances, 1)
    if not distances.size or not np.all(np.isfinite(distances)):
        bad = int(np.sum(~np.isfinite(distances)))
        raise ValueError(
            f"{bad} of {distances.size} distances are not finite; expected at least "
            "one distance, and all of them finite"
        )
    low = np.percentile(distances, 1, method="lower")
    high = np.percentile(distances, 99, method="higher")
    return distances[(low <= distances) & (distances <= high)]
