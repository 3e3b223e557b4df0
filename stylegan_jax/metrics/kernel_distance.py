"""Squared maximum mean discrepancy of features: KID with Inception's.

Reference: Binkowski et al., "Demystifying MMD GANs" (2018), section 4.
"""

import dataclasses
import math

import chex
import numpy as np

from stylegan_jax.metrics.results import MetricValue
from stylegan_jax.metrics.statistics import Statistic, Statistics

SUBSETS, SUBSET_SIZE = 100, 1000
SEED = 2020  # of the subsets, as in torch-fidelity


def measure_kid(
    features: Statistic,
    largest_part: float,
    reals: Statistics,
    generated: Statistics,
) -> list[MetricValue]:
    """Return the distance of the generated images to the reals.

    Args:
      features: the features, `POOL` for KID.
      largest_part: largest part of the smaller set that a subset may be. Published
        implementations allow all of it, 1. The expected value is the same with less,
        and there is a standard error for sets that are smaller than `SUBSET_SIZE`, too.
      reals: statistics of the real images.
      generated: statistics of the generated images.
    """
    smaller = min(reals.count, generated.count)
    size = min(SUBSET_SIZE, int(largest_part * smaller))
    rng = np.random.RandomState(SEED)
    distance = kernel_distance(
        generated[features], reals[features], rng, subset_size=size
    )
    details = {
        "subsets": len(distance.subset_values),
        "subset_size": size,
        "standard_deviation_over_subsets": float(np.std(distance.subset_values)),
    }
    return [MetricValue(distance.value, distance.standard_error, details)]


@dataclasses.dataclass(frozen=True)
class KernelDistance:
    """The distance between two sets, and its uncertainty.

    Attributes:
      value: mean over the subsets; around zero, possibly below, if both are equal.
      subset_values: [subsets] discrepancy of each pair of subsets.
      standard_error: of `value`; None if a subset is the whole set.
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
      The distance. Its standard error is that of the jackknife that leaves out all but
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
            "of images of the smaller set."
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
