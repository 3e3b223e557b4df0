"""Inception Score: high if each image has a clear class and all classes occur.

Reference: Salimans et al., "Improved Techniques for Training GANs" (2016), section 4.
"""

import chex
import numpy as np
import scipy.special

from stylegan_jax.metrics.results import MetricValue
from stylegan_jax.metrics.statistics import LOGITS, Statistics

SPLITS = 10


def measure_inception_score(
    reals: Statistics | None, generated: Statistics
) -> list[MetricValue]:
    """Return the mean score of the splits."""
    del reals
    scores = inception_score(generated[LOGITS])
    deviation = float(np.std(scores))
    return [MetricValue.mean(scores, splits=SPLITS, standard_deviation=deviation)]


def inception_score(
    logits: np.ndarray, splits: int = SPLITS, rng: np.random.RandomState | None = None
) -> np.ndarray:
    """Compute exp(mean over images of KL(p(class | image) || p(class))) of each split.

    Args:
      logits: [N, C] float, computed without the bias of the network's last layer, as in
        all published implementations.
      splits: number of parts that are scored separately; part k holds the images
        [k N // splits, (k + 1) N // splits).
      rng: shuffles the images first, as torch-fidelity does; None keeps their order.

    Returns:
      [splits] float64. The score is their mean; their population standard deviation is
      the number that papers report after the +-.

    Raises:
      ValueError: there are fewer images than splits, or logits that are not finite.
    """
    chex.assert_rank(logits, 2)
    n = len(logits)
    if n < splits:
        raise ValueError(
            f"{n} images do not split into {splits} parts; use more images"
        )
    if not np.all(np.isfinite(logits)):
        raise ValueError("the logits are not finite; check the detector's weights")
    if rng is not None:
        logits = logits[rng.permutation(n)]
    scores = []
    for part in range(splits):
        rows = logits[part * n // splits : (part + 1) * n // splits]
        # The logarithm of probabilities would be infinite where they underflow to 0.
        log_p = scipy.special.log_softmax(rows.astype(np.float64), axis=1)
        log_mean = scipy.special.logsumexp(log_p, axis=0) - np.log(len(rows))
        divergence = np.sum(np.exp(log_p) * (log_p - log_mean), axis=1)
        scores.append(np.exp(np.mean(divergence)))
    return np.array(scores)
