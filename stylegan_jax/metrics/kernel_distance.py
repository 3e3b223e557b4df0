"""Kernel inception distance: squared maximum mean discrepancy of features.

Reference: Binkowski et al., "Demystifying MMD GANs" (2018), section 4.
"""

import dataclasses
import math

import chex
import numpy as np

SUBSETS, SUBSET_SIZE = 100, 1000


@dataclasses.dataclass(frozen=True)
class KernelDistance:
    """What `kernel_distance` found.

    Attributes:
      value: mean over the subsets; of equal sets it is around, also below, zero.
      of_subsets: [subsets], what they gave.
      standard_error: of `value`; None where a subset was the whole set.
    """

    value: float
    of_subsets: np.ndarray
    standard_error: float | None


def polynomial_kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(x.y / F + 1)^3 of all pairs of rows of a [N, F] and b [M, F], as [N, M]."""
    inner = a @ b.T / a.shape[1] + 1
    return inner * inner * inner  # a power is ten times slower


def squared_discrepancy(a: np.ndarray, b: np.ndarray) -> float:
    """Unbiased estimate from two sets of m rows: pairs of a row with itself left out.

    The cross term takes all m^2 pairs, as all published codes do.
    """
    chex.assert_equal_shape([a, b])
    m = len(a)
    own = 0.0
    for rows in (a, b):
        kernel = polynomial_kernel(rows, rows)
        own += (kernel.sum() - np.trace(kernel)) / (m * (m - 1))
    return float(own - 2 * polynomial_kernel(a, b).mean())


def kernel_distance(
    first: np.ndarray,
    second: np.ndarray,
    rng: np.random.RandomState,
    subsets: int = SUBSETS,
    subset_size: int = SUBSET_SIZE,
) -> KernelDistance:
    """Mean of the discrepancy over random subsets, in float64.

    Args:
      first: features [N, F]; a subset of it is drawn first.
      second: features [M, F]. torch-fidelity and the authors put the reals first or
        second as the caller has it; NVIDIA's code draws from the generated set first.
      rng: where the subsets come from.
      subsets: how many; 100 in all codes.
      subset_size: rows of each, at most N and M.

    Returns:
      The distance. Its standard error is that of the jackknife that leaves out all but
      `subset_size` of the rows (Shao and Wu 1989): the spread over the subsets times
      sqrt(m / (N - m)).

    Raises:
      ValueError: there are not so many rows.
    """
    smaller = min(len(first), len(second))
    if not 2 <= subset_size <= smaller:
        raise ValueError(
            f"`subset_size` (={subset_size}) must be from 2 to {smaller}, the images "
            "of the smaller set"
        )
    values = np.array(
        [
            squared_discrepancy(
                *(
                    features[
                        rng.choice(len(features), subset_size, replace=False)
                    ].astype(np.float64)
                    for features in (first, second)
                )
            )
            for _ in range(subsets)
        ]
    )
    error = None
    if subset_size < smaller and subsets > 1:
        ratio = subset_size / (smaller - subset_size)
        error = float(np.std(values)) * math.sqrt(ratio)
    return KernelDistance(float(np.mean(values)), values, error)
