"""Multi-scale structural similarity: how alike two images are, 1 for equal ones.

Its mean over pairs of generated images says how varied they are: the higher, the less.

Reference: Wang et al., "Multi-Scale Structural Similarity for Image Quality Assessment"
    (2003); Odena et al., "Conditional Image Synthesis with Auxiliary Classifier GANs"
    (2017), section 4.2, for the use as a measure of diversity.
"""

import chex
import numpy as np

# Of the scales, finest first; they sum to 1.0001, as published.
WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])
SMALLEST = 2 ** (len(WEIGHTS) - 1)  # pixels
WINDOW, SIGMA = 11, 1.5  # pixels
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def ms_ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Similarity of each image of a to that of b with the same number.

    Args:
      a: [N,H,W,C], 0 to 255, at least 16 pixels each way.
      b: likewise.

    Returns:
      [N] float64, at most about 1. Contrast and structure of all scales, and luminance
      of the coarsest; what is negative counts as 0.

    Raises:
      ValueError: the images are too small.
    """
    chex.assert_rank([a, b], 4)
    chex.assert_equal_shape([a, b])
    if min(a.shape[1:3]) < SMALLEST:
        raise ValueError(
            f"images are {a.shape[1]}x{a.shape[2]}; MS-SSIM halves them "
            f"{len(WEIGHTS) - 1} times, so both sides need at least {SMALLEST} pixels"
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
    """Structural similarity [N], and its part without luminance [N]."""
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
    """Weighted mean over every window that lies in the image, each way."""
    for axis in (1, 2):
        size = images.shape[axis] - len(window) + 1
        parts = (
            weight * np.take(images, range(i, i + size), axis)
            for i, weight in enumerate(window)
        )
        images = sum(parts)
    return images


def _halved(images: np.ndarray) -> np.ndarray:
    """Means of 2x2 pixels; a last odd row or column is dropped."""
    height, width = (side // 2 * 2 for side in images.shape[1:3])
    even = images[:, :height, :width]
    rows = even[:, ::2] + even[:, 1::2]
    return (rows[:, :, ::2] + rows[:, :, 1::2]) / 4
