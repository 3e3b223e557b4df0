"""The mean and covariance of w, accumulated over batches of latents."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from stylegan_jax.models import Generator, Variables
from stylegan_jax.sampling.truncation import MAP_BATCH, untruncated_styles


class WMoments(NamedTuple):
    """The first two moments of w.

    Attributes:
      mean: [W] float64.
      covariance: [W,W] float64, the sample covariance (divided by N - 1).
    """

    mean: np.ndarray
    covariance: np.ndarray

    def deviation(self, vector: np.ndarray) -> float:
        """Return the standard deviation of w along a vector.

        Args:
          vector: [W] of unit length; or [L,W] with a mean squared length of 1, for
            which the deviation is the root mean square over the layers.
        """
        rows = np.atleast_2d(np.asarray(vector, np.float64))
        variances = np.einsum("lw,wv,lv->l", rows, self.covariance, rows)
        return float(np.sqrt(max(variances.mean(), 0.0)))


def w_moments(
    generator: Generator,
    variables: Variables,
    samples: int,
    labels: Callable[[int, int], np.ndarray | None] = lambda start, count: None,
    *,
    show: Callable[[int], None] = lambda done: None,
) -> WMoments:
    """Return the mean and covariance of the untruncated w of random latents.

    Only one batch of w is in memory at a time. The sums are in float64 and relative to
    the mean of the first batch, which avoids cancellation.

    Args:
      generator: the network.
      variables: its variables.
      samples: number of latents, `RandomState(0).randn(samples, Z)`.
      labels: function that maps the index of the first latent of a batch and the size
        of the batch to labels [count,label_size], or None for unconditional networks.
      show: called with the number of latents done.

    Raises:
      ValueError: there are fewer than two samples, or w is not finite.
    """
    if samples < 2:
        raise ValueError(
            f"samples (={samples}) must be at least 2 to estimate a covariance"
        )
    random = np.random.RandomState(0)
    size = min(MAP_BATCH, samples)
    origin = first = second = None
    for start in range(0, samples, size):
        count = min(size, samples - start)
        z = np.zeros((size, generator.z_dim), np.float32)
        z[:count] = random.randn(count, generator.z_dim)
        # The last batch is padded so that all batches share one program.
        ws = untruncated_styles(generator, variables, z, labels(start, size))
        w = np.asarray(ws[:count, 0], np.float64)
        if not np.isfinite(w).all():
            raise ValueError(
                "the mapping network returns values that are not finite; use another "
                "checkpoint"
            )
        if origin is None:
            origin = w.mean(0)
            first, second = np.zeros_like(origin), np.zeros((len(origin),) * 2)
        difference = w - origin
        first += difference.sum(0)
        second += difference.T @ difference
        show(start + count)
    mean = first / samples
    covariance = (second - samples * np.outer(mean, mean)) / (samples - 1)
    return WMoments(origin + mean, covariance)
