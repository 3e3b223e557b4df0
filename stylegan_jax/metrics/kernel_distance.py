"""The squared maximum mean discrepancy of features: KID with Inception's.

Reference: Binkowski et al., "Demystifying MMD GANs" (2018), section 4. Gretton et al.,
    "A Kernel Two-Sample Test" (2012), lemma 6, for sets of different sizes.
"""

import dataclasses
import math

import chex
import numpy as np

from stylegan_jax.metrics.results import MetricValue
from stylegan_jax.metrics.statistics import EFFICIENTNET_POOL, POOL, Statistics

SUBSETS, SUBSET_SIZE = 100, 1000
SEED = 2020  # seed of the subsets, as in torch-fidelity
BLOCK_ROWS = 512  # rows of a kernel matrix that are computed at a time


def measure_kid(reals: Statistics, generated: Statistics) -> list[MetricValue]:
    """Return the distance of the generated images to the reals."""
    size = min(SUBSET_SIZE, reals.count, generated.count)
    rng = np.random.RandomState(SEED)
    distance = kernel_distance(generated[POOL], reals[POOL], rng, subset_size=size)
    details = {
        "subsets": len(distance.subset_values),
        "subset_size": size,
        "standard_deviation_over_subsets": float(np.std(distance.subset_values)),
    }
    return [MetricValue(distance.value, distance.standard_error, details)]


def measure_kid_efficientnet(
    reals: Statistics, generated: Statistics
) -> list[MetricValue]:
    """Return the distance of all pairs of images, in EfficientNet-Lite0's features."""
    value, error = all_pairs_distance(
        generated[EFFICIENTNET_POOL], reals[EFFICIENTNET_POOL]
    )
    return [MetricValue(value, error)]


@dataclasses.dataclass(frozen=True)
class KernelDistance:
    """The distance between two sets, and its uncertainty.

    Attributes:
      value: mean over the subsets; around zero, possibly negative, for equal sets.
      subset_values: [subsets] discrepancy of each pair of subsets.
      standard_error: standard error of `value`; None if a subset is the whole set.
    """

    value: float
    subset_values: np.ndarray
    standard_error: float | None


def polynomial_kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compute (x.y / F + 1)^3 for all rows x of a [N, F] and y of b [M, F]: [N, M]."""
    inner = a @ b.T
    inner /= a.shape[1]
    inner += 1
    cube = inner * inner  # a power is ten times slower
    cube *= inner
    return cube


def squared_discrepancy(a: np.ndarray, b: np.ndarray) -> float:
    """Estimate the squared discrepancy between two sets of m rows without bias.

    Pairs of a row with itself are left out; the cross term takes all m^2 pairs, as in
    all published implementations.
    """
    chex.assert_equal_shape([a, b])
    m = len(a)
    within = 0.0
    for rows in (a, b):
        kernel = polynomial_kernel(rows, rows)
        within += (kernel.sum() - np.trace(kernel)) / (m * (m - 1))
    return float(within - 2 * polynomial_kernel(a, b).mean())


def kernel_distance(
    first: np.ndarray,
    second: np.ndarray,
    rng: np.random.RandomState,
    subsets: int = SUBSETS,
    subset_size: int = SUBSET_SIZE,
) -> KernelDistance:
    """Average the squared discrepancy over random subsets, in float64.

    Args:
      first: features [N, F]; its subset is drawn first.
      second: features [M, F]. torch-fidelity and the authors leave the order of reals
        and generated images to the caller; NVIDIA's code draws from the generated set
        first.
      rng: draws the subsets.
      subsets: number of subsets; 100 in all published implementations.
      subset_size: rows of each subset, at most N and M.

    Returns:
      The distance. Its standard error is the jackknife's, which leaves out all but
      `subset_size` of the rows (Shao and Wu 1989): the spread over the subsets times
      sqrt(m / (N - m)).

    Raises:
      ValueError: `subset_size` does not fit the sets.
    """
    chex.assert_rank([first, second], 2)
    smaller = min(len(first), len(second))
    if not 2 <= subset_size <= smaller:
        raise ValueError(
            f"`subset_size` (={subset_size}) must be from 2 to {smaller}, the number "
            "of images of the smaller set"
        )

    def draw(features: np.ndarray) -> np.ndarray:
        chosen = rng.choice(len(features), subset_size, replace=False)
        return features[chosen].astype(np.float64)

    values = np.array(
        [squared_discrepancy(draw(first), draw(second)) for _ in range(subsets)]
    )
    error = None
    if subset_size < smaller and subsets > 1:
        ratio = subset_size / (smaller - subset_size)
        error = float(np.std(values)) * math.sqrt(ratio)
    return KernelDistance(float(np.mean(values)), values, error)


def all_pairs_distance(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Estimate the squared discrepancy without bias from all pairs, in float64.

    The expected value is that of `kernel_distance`, which draws subsets of one size
    from both sets and thereby uses less of the larger one.

    Args:
      first: features [N, F], N at least 3.
      second: features [M, F], M at least 3.

    Returns:
      The discrepancy, and its standard error by the jackknife over both sets, which
      leaves out one row at a time (Efron and Stein 1981).
    """
    chex.assert_rank([first, second], 2)
    a, b = (np.asarray(x, np.float64) for x in (first, second))
    n, m = len(a), len(b)
    in_a, in_b = _sums_over_others(a), _sums_over_others(b)
    cross_a, cross_b = np.zeros(n), np.zeros(m)
    for start in range(0, n, BLOCK_ROWS):
        kernel = polynomial_kernel(a[start : start + BLOCK_ROWS], b)
        cross_a[start : start + BLOCK_ROWS] = kernel.sum(1)
        cross_b += kernel.sum(0)

    within_a, within_b, cross = in_a.sum(), in_b.sum(), cross_a.sum()
    mean_a, mean_b = within_a / (n * (n - 1)), within_b / (m * (m - 1))
    value = mean_a + mean_b - 2 * cross / (n * m)
    # Jackknife: the values that leave out each row of one set in turn.
    without_a = (within_a - 2 * in_a) / ((n - 1) * (n - 2)) + mean_b
    without_a -= 2 * (cross - cross_a) / ((n - 1) * m)
    without_b = (within_b - 2 * in_b) / ((m - 1) * (m - 2)) + mean_a
    without_b -= 2 * (cross - cross_b) / ((m - 1) * n)
    variance = (n - 1) * np.var(without_a) + (m - 1) * np.var(without_b)
    return float(value), float(np.sqrt(variance))


def _sums_over_others(rows: np.ndarray) -> np.ndarray:
    """Return the sum of the kernel of each row with the others [N]."""
    sums = np.empty(len(rows))
    for start in range(0, len(rows), BLOCK_ROWS):
        block = rows[start : start + BLOCK_ROWS]
        kernel = polynomial_kernel(block, rows)
        own = kernel[np.arange(len(block)), start + np.arange(len(block))]
        sums[start : start + BLOCK_ROWS] = kernel.sum(1) - own
    return sums
