"""Multi-scale structural similarity between two images, 1 if they are equal.

Its mean over pairs of generated images measures diversity: high values mean low
diversity.

Reference: Wang et al., "Multi-Scale Structural Similarity for Image Quality Assessment"
    (2003); Odena et al., "Conditional Image Synthesis with Auxiliary Classifier GANs"
    (2017), section 4.2, for the use as a measure of diversity.
"""

import dataclasses

import chex
import numpy as np

from stylegan_jax.metrics.results import MetricValue
from stylegan_jax.metrics.statistics import ImageBatch, Statistic, Statistics

# Weights of the scales, finest first; as published, they sum to 1.0001.
WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])
MIN_PIXELS = 2 ** (len(WEIGHTS) - 1)
WINDOW, SIGMA = 11, 1.5  # pixels
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def pair_similarity(batch: ImageBatch) -> np.ndarray:
    """Return the similarity [b / 2] of images 0 and 1, 2 and 3, and so on."""
    return ms_ssim(batch.images[::2], batch.images[1::2])


SIMILARITY = Statistic("similarity", pair_similarity, images_per_row=2)


def measure_ms_ssim(
    reals: Statistics | None, generated: Statistics
) -> list[MetricValue]:
    """Return the mean over pairs of generated images, compared with pairs of reals."""
    found = MetricValue.mean(generated[SIMILARITY])
    if reals is None:
        return [found]
    real = float(np.mean(reals[SIMILARITY]))
    details = {"of_reals": real, "above_reals": found.value - real}
    return [dataclasses.replace(found, details=details)]


def ms_ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compute the similarity of each image of a to the image of b at the same index.

    Combine contrast and structure of all scales and the luminance of the coarsest;
    negative means count as 0.

    Args:
      a: [N,H,W,C] in [0, 255], height and width at least 16.
      b: the same shape.

    Returns:
      [N] float64, at most about 1.

    Raises:
      ValueError: the images are too small.
    """
    chex.assert_rank([a, b], 4)
    chex.assert_equal_shape([a, b])
    if min(a.shape[1:3]) < MIN_PIXELS:
        raise ValueError(
            f"the images are {a.shape[1]}x{a.shape[2]}; MS-SSIM halves them "
            f"{len(WEIGHTS) - 1} times, so both sides need at least {MIN_PIXELS} "
            "pixels"
        )
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    score = np.ones(len(a))
    for scale, weight in enumerate(WEIGHTS):
        similarity, structure = _ssim(a, b)
        last = scale == len(WEIGHTS) - 1
        score *= np.maximum(similarity if last else structure, 0) ** weight
        a, b = _halved(a), _halved(b)
    return score


def _ssim(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the structural similarity [N], and the same without luminance [N]."""
    size = min(WINDOW, *a.shape[1:3])
    offsets = np.arange(size) - (size - 1) / 2
    window = np.exp(-(offsets**2) / (2 * (SIGMA * size / WINDOW) ** 2))
    window /= window.sum()
    mean_a, mean_b = _filter(a, window), _filter(b, window)
    variances = _filter(a * a + b * b, window) - mean_a**2 - mean_b**2
    covariance = _filter(a * b, window) - mean_a * mean_b
    structure = (2 * covariance + _C2) / (variances + _C2)
    luminance = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    axes = (1, 2, 3)
    return np.mean(luminance * structure, axes), np.mean(structure, axes)


def _filter(images: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Average every window inside the image with separable weights."""
    for axis in (1, 2):
        size = images.shape[axis] - len(window) + 1
        parts = (
            weight * np.take(images, range(i, i + size), axis)
            for i, weight in enumerate(window)
        )
        images = sum(parts)
    return images


def _halved(images: np.ndarray) -> np.ndarray:
    """Average blocks of 2x2 pixels, dropping a last odd row or column."""
    height, width = (side // 2 * 2 for side in images.shape[1:3])
    even = images[:, :height, :width]
    rows = even[:, ::2] + even[:, 1::2]
    return (rows[:, :, ::2] + rows[:, :, 1::2]) / 4
