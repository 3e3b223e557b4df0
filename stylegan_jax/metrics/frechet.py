"""Frechet inception distance, from features to the number.

Reference: Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a
    Local Nash Equilibrium" (2017), section 4 and equation 6 of the appendix.
"""

import chex
import numpy as np
import scipy.linalg


def mean_and_covariance(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fits a Gaussian to features.

    Args:
        features: [N, F] float, one row per image, at least two rows.

    Returns:
        Mean [F], float32 for float32 features as StyleGAN (2019) has it, and
        covariance [F, F] float64, divided by N - 1.

    Raises:
        ValueError: if there are fewer than two rows.
    """
    features = np.asarray(features)
    chex.assert_rank(features, 2)
    if len(features) < 2:
        raise ValueError(
            f"got features of {len(features)} images; a covariance needs at least 2"
        )
    covariance = np.cov(features.astype(np.float64), rowvar=False, ddof=1)
    return np.mean(features, axis=0), np.atleast_2d(covariance)


def frechet_distance(
    mean_a: np.ndarray, cov_a: np.ndarray, mean_b: np.ndarray, cov_b: np.ndarray
) -> float:
    """Frechet (Wasserstein-2) distance, squared, between two Gaussians.

        |mean_a - mean_b|^2 + trace(cov_a + cov_b - 2 (cov_a cov_b)^(1/2))

    The product of the two covariances is not symmetric, and with fewer images than
    features it is singular, where a general matrix square root loses its digits or
    turns complex. But its eigenvalues are those of the symmetric matrix
    cov_a^(1/2) cov_b cov_a^(1/2), whose eigenvalues are real and not negative; the
    trace of the root is the sum of their roots. No offset and no second path.

    Args:
        mean_a: [F] float.
        cov_a: [F, F] float, symmetric, positive semidefinite.
        mean_b: [F] float.
        cov_b: [F, F] float, symmetric, positive semidefinite.

    Returns:
        The distance; rounding may leave that of equals slightly off zero.

    Raises:
        ValueError: if an argument is not finite.
    """
    size = np.shape(mean_a)[0]
    chex.assert_shape([mean_a, mean_b], (size,))
    chex.assert_shape([cov_a, cov_b], (size, size))
    arguments = {"mean_a": mean_a, "cov_a": cov_a, "mean_b": mean_b, "cov_b": cov_b}
    for name, value in arguments.items():
        if not np.all(np.isfinite(value)):
            raise ValueError(f"`{name}` is not finite; the features have inf or nan")
    mean_term = np.sum(np.square(np.asarray(mean_a) - mean_b))
    values, vectors = scipy.linalg.eigh(np.asarray(cov_a, np.float64))
    root_a = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    eigenvalues = scipy.linalg.eigvalsh(root_a @ np.asarray(cov_b, np.float64) @ root_a)
    trace_of_root = np.sum(np.sqrt(np.maximum(eigenvalues, 0.0)))
    traces = np.trace(cov_a) + np.trace(cov_b)
    return float(mean_term + traces - 2.0 * trace_of_root)
