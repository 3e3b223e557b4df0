"""Inception Score: are images of clear classes, and of all of them?

Reference: Salimans et al., "Improved Techniques for Training GANs" (2016), section 4.
"""

import chex
import numpy as np
import scipy.special

SPLITS = 10


def inception_score(
    logits: np.ndarray, splits: int = SPLITS, rng: np.random.RandomState | None = None
) -> np.ndarray:
    """exp(mean over images of KL(p(class | image) || p(class))), of each split.

    Args:
      logits: [N, C] float, of the network without the bias of its last layer, as all
        published codes take them.
      splits: parts of which each is scored by itself; the k-th is
        [k N // splits, (k + 1) N // splits).
      rng: shuffles the images first, as torch-fidelity does; None keeps their order.

    Returns:
      [splits] float64. The score is their mean; their standard deviation (that of the
      population) is what papers print behind the +-.

    Raises:
      ValueError: fewer images than splits, or logits that are not finite.
    """
    chex.assert_rank(logits, 2)
    n = len(logits)
    if n < splits:
        raise ValueError(f"{n} images do not split into {splits} parts; use more")
    if not np.all(np.isfinite(logits)):
        raise ValueError("logits are not finite; look at the detector's weights")
    if rng is not None:
        logits = logits[rng.permutation(n)]
    scores = []
    for part in range(splits):
        rows = logits[part * n // splits : (part + 1) * n // splits]
        # Not the logarithm of probabilities, which is not finite where one is zero.
        log_p = scipy.special.log_softmax(rows.astype(np.float64), axis=1)
        log_mean = scipy.special.logsumexp(log_p, axis=0) - np.log(len(rows))
        divergence = np.sum(np.exp(log_p) * (log_p - log_mean), axis=1)
        scores.append(np.exp(np.mean(divergence)))
    return np.array(scores)
