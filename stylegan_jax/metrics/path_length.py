"""Perceptual path length: how much the image changes per small step in latent space.

Reference: Karras et al., StyleGAN (2019), section 4.1.
"""

import chex
import jax
import numpy as np


def crop_face(images: jax.Array) -> jax.Array:
    """Cuts out the face of an aligned FFHQ or CelebA-HQ image: half of each side.

    Rows 3/8 to 7/8 and columns 2/8 to 6/8, so that the distance is that of the
    face and not of the background.

    Args:
        images: [B, R, R, C], any range.

    Returns:
        [B, R/2, R/2, C].

    Raises:
        ValueError: if the resolution is not a multiple of 8.
    """
    chex.assert_rank(images, 4)
    _, height, width, _ = images.shape
    if height != width or height % 8:
        raise ValueError(
            f"images are {height}x{width}; cropping to the face needs square images "
            "with a resolution that is a multiple of 8"
        )
    eighth = height // 8
    return images[:, 3 * eighth : 7 * eighth, 2 * eighth : 6 * eighth, :]


def reduce_distances(distances: np.ndarray) -> float:
    """Averages the distances, without those beyond the 1st and 99th percentile.

    Where a percentile falls between two distances the outer one bounds, and the
    bounds themselves count.

    Args:
        distances: [N] float, distance of each pair over epsilon squared.

    Returns:
        The perceptual path length.

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
    kept = distances[(low <= distances) & (distances <= high)]
    return float(np.mean(kept))
