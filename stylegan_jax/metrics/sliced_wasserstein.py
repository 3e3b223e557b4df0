"""Sliced Wasserstein distance between patches, for each level of detail.

It needs no network: the images are split into frequency bands (a Laplacian pyramid),
and the distributions of 7x7 patches of each band are compared by the differences of
their sorted projections onto random directions.

Reference: Karras et al., "Progressive Growing of GANs" (2018), section 5; Rabin et
    al., "Wasserstein Barycenter and its Application to Texture Mixing" (2011).
"""

import chex
import numpy as np

from stylegan_jax.metrics.results import MetricValue
from stylegan_jax.metrics.statistics import Statistic, Statistics

PATCH = 7  # height and width in pixels
PATCHES_PER_IMAGE = 128
SMALLEST_LEVEL = 16  # shorter side in pixels
REPEATS, DIRECTIONS = 4, 128
SCALE = 1e3  # unit of the paper's tables
SEED = 2020  # seed of the directions

_BINOMIAL = np.array([1, 4, 6, 4, 1]) / 16
_DIRECTIONS_AT_ONCE = 16


def levels(height: int, width: int) -> list[int]:
    """Return the shorter side in pixels of each level, from full size down to 16.

    Raises:
      ValueError: the images are too small, or cannot be halved often enough.
    """
    side = min(height, width)
    if side < SMALLEST_LEVEL:
        raise ValueError(
            f"the images are {width}x{height} (width x height); the sliced "
            f"Wasserstein distance needs at least {SMALLEST_LEVEL} pixels in height "
            "and width"
        )
    sides = [side]
    while sides[-1] // 2 >= SMALLEST_LEVEL:
        sides.append(sides[-1] // 2)
    factor = 2 ** (len(sides) - 1)
    if height % factor or width % factor:
        raise ValueError(
            f"the images are {width}x{height} (width x height); the sliced "
            f"Wasserstein distance halves them {len(sides) - 1} times, so both "
            f"must be multiples of {factor}"
        )
    return sides


def laplacian_pyramid(images: np.ndarray, count: int) -> list[np.ndarray]:
    """Split images into frequency bands and a low-pass remainder.

    Args:
      images: [N,H,W,C], any range; height and width divisible by 2^(count - 1).
      count: number of levels.

    Returns:
      `count` arrays float64, each half the size of the previous one; the last is the
      remainder.
    """
    out = [np.asarray(images, np.float64)]
    for _ in range(count - 1):
        smaller = _blur(out[-1])[:, ::2, ::2]
        larger = np.zeros_like(out[-1])
        larger[:, ::2, ::2] = smaller
        out[-1] = out[-1] - 4 * _blur(larger)
        out.append(smaller)
    return out


def patches(level: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Draw random 7x7 patches of a level [N,H,W,3], as [N * 128, 3, column, row].

    All columns are drawn first, then all rows.
    """
    chex.assert_shape(level, (None, None, None, 3))
    count, height, width, _ = level.shape
    reach, total = PATCH // 2, count * PATCHES_PER_IMAGE
    columns = rng.randint(reach, width - reach, size=total)
    rows = rng.randint(reach, height - reach, size=total)
    windows = np.lib.stride_tricks.sliding_window_view(level, (PATCH, PATCH), (1, 2))
    owners = np.arange(total) // PATCHES_PER_IMAGE
    return windows[owners, rows - reach, columns - reach].swapaxes(2, 3)


class Descriptors:
    """Patches of all levels of images that arrive in batches. An `Accumulator`.

    They are kept in float32: 147 numbers per patch, 128 patches per image and level.
    """

    def __init__(self, rng: np.random.RandomState):
        """Start without images; `rng` draws the positions of patches."""
        self._rng = rng
        self._parts: dict[int, list[np.ndarray]] = {}

    def add(self, images: np.ndarray) -> None:
        """Add RGB images [B,H,W,3] in [0, 255], all of one size."""
        sides = levels(*images.shape[1:3])
        pyramid = laplacian_pyramid(images, len(sides))
        for side, level in zip(sides, pyramid, strict=True):
            part = patches(level, self._rng).astype(np.float32)
            self._parts.setdefault(side, []).append(part)

    def result(self) -> dict[int, np.ndarray]:
        """Return the patches [D, 147] float32 of each level, and release them.

        Each color has mean 0 and standard deviation 1.

        Raises:
          ValueError: a color is the same in all patches of a level.
        """
        out = {}
        for side in list(self._parts):
            rows = np.concatenate(self._parts.pop(side))
            axes = (0, 2, 3)
            mean = rows.mean(axes, keepdims=True, dtype=np.float64)
            rows -= mean.astype(np.float32)
            rest = rows.mean(axes, keepdims=True, dtype=np.float64)
            square = np.einsum("ncyx,ncyx->c", rows, rows, dtype=np.float64)
            variance = square / (rows.size / 3) - rest.ravel() ** 2
            if np.any(variance <= 0):
                raise ValueError(
                    f"the images have no detail at all at {side} pixels, so their "
                    "patches cannot be compared"
                )
            rows /= np.sqrt(variance)[:, None, None].astype(np.float32)
            out[side] = rows.reshape(len(rows), -1)
        return out


def sliced_wasserstein(
    a: np.ndarray, b: np.ndarray, rng: np.random.RandomState
) -> np.ndarray:
    """Compute the Wasserstein-1 distances between two sets along random directions.

    Args:
      a: [D, F] float.
      b: [D, F] float.
      rng: draws the directions.

    Returns:
      [REPEATS * DIRECTIONS] float64, whose mean is the sliced distance.
    """
    chex.assert_rank(a, 2)
    chex.assert_equal_shape([a, b])
    out = []
    for _ in range(REPEATS):
        directions = rng.randn(a.shape[1], DIRECTIONS)
        directions /= np.sqrt(np.sum(np.square(directions), axis=0, keepdims=True))
        out.append(along(a, b, directions.astype(np.float32)))
    return np.concatenate(out)


def along(a: np.ndarray, b: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Return the mean difference [K] of sorted projections onto directions [F, K]."""
    out = np.empty(directions.shape[1])
    for start in range(0, len(out), _DIRECTIONS_AT_ONCE):
        some = slice(start, start + _DIRECTIONS_AT_ONCE)
        # Transposed, so that sorting runs along contiguous memory.
        sorted_a, sorted_b = (
            np.sort(directions[:, some].T @ rows.T, axis=1) for rows in (a, b)
        )
        out[some] = np.abs(sorted_a - sorted_b).mean(axis=1, dtype=np.float64)
    return out


def distances(
    real: dict[int, np.ndarray],
    generated: dict[int, np.ndarray],
    rng: np.random.RandomState,
) -> dict[int, np.ndarray]:
    """Compute the distances of every level, in the paper's unit of 1e-3."""
    chex.assert_trees_all_equal_shapes(real, generated)
    return {
        side: SCALE * sliced_wasserstein(real[side], generated[side], rng)
        for side in real
    }


def _blur(images: np.ndarray) -> np.ndarray:
    """Apply the separable five-tap binomial filter, reflecting at the border."""
    for axis in (1, 2):
        widths = [(0, 0)] * 4
        widths[axis] = (2, 2)
        padded = np.pad(images, widths, mode="reflect")
        size = images.shape[axis]
        parts = (
            tap * np.take(padded, range(i, i + size), axis)
            for i, tap in enumerate(_BINOMIAL)
        )
        images = sum(parts)
    return images


PATCHES = Statistic(
    "patches",
    lambda batch: batch.images,
    accumulator=lambda seed: Descriptors(np.random.RandomState(seed)),
    cached=False,  # large, and quick to draw again
)


def measure_swd(reals: Statistics, generated: Statistics) -> list[MetricValue]:
    """Return the mean over levels, with the distance of each level."""
    rng = np.random.RandomState(SEED)
    levels_1e3 = distances(reals[PATCHES], generated[PATCHES], rng)
    means = {str(side): float(np.mean(x)) for side, x in levels_1e3.items()}
    # No standard error: the spread over directions says nothing about other images.
    return [
        MetricValue(float(np.mean(list(means.values()))), details={"levels": means})
    ]
