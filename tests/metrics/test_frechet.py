"""Frechet distance against the official numbers, a matrix root and closed forms."""

import numpy as np
import pytest
import scipy.linalg

from stylegan_jax.metrics.frechet import frechet_distance, mean_and_covariance
from tests import goldens


def gaussian(rng, size, rank=None):
    factor = rng.normal(size=(size, rank or size))
    return rng.normal(size=size), factor @ factor.T


def test_distance_is_the_official_one():
    official = goldens.arrays("stylegan1/metrics.npz")
    real = mean_and_covariance(official["in/features_real"])
    fake = mean_and_covariance(official["in/features_fake"])
    assert [part.dtype for part in real] == [np.float32, np.float64]
    np.testing.assert_allclose(real[0], official["out/mu_real"], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(fake[0], official["out/mu_fake"], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(real[1], official["out64/sigma_real"], atol=1e-12)
    np.testing.assert_allclose(fake[1], official["out64/sigma_fake"], atol=1e-12)
    # The means are float32, so is the accuracy of their part.
    np.testing.assert_allclose(
        frechet_distance(*real, *fake), official["out64/fid"], rtol=1e-6
    )


def test_fewer_images_than_features_is_the_official_distance():
    """Singular covariances; StyleGAN2's code divides them by N, not N - 1."""
    official = goldens.arrays("stylegan2_and_3/G1_metrics.npz")

    def fit(features):
        features = features.astype(np.float64)
        return features.mean(axis=0), np.cov(features, rowvar=False, ddof=0)

    actual = frechet_distance(
        *fit(official["in/fid_small_real"]), *fit(official["in/fid_small_gen"])
    )
    np.testing.assert_allclose(actual, official["f64/fid_small_via_eigvals"], rtol=1e-7)
    # The official matrix root itself loses digits here.
    np.testing.assert_allclose(actual, official["f64/fid_small"], rtol=1e-6)


def test_trace_agrees_with_the_matrix_root():
    rng = np.random.default_rng(0)
    (mean_a, cov_a), (mean_b, cov_b) = gaussian(rng, 20), gaussian(rng, 20)
    root = scipy.linalg.sqrtm(cov_a @ cov_b).real
    expected = np.sum((mean_a - mean_b) ** 2) + np.trace(cov_a + cov_b - 2 * root)
    actual = frechet_distance(mean_a, cov_a, mean_b, cov_b)
    np.testing.assert_allclose(actual, expected, rtol=1e-9)


def test_axis_aligned_gaussians_have_a_closed_form():
    mean_a, mean_b = np.array([0.0, 1.0, 2.0]), np.array([1.0, 1.0, 0.0])
    std_a, std_b = np.array([1.0, 2.0, 0.0]), np.array([3.0, 0.5, 1.0])
    expected = np.sum((mean_a - mean_b) ** 2) + np.sum((std_a - std_b) ** 2)
    actual = frechet_distance(mean_a, np.diag(std_a**2), mean_b, np.diag(std_b**2))
    np.testing.assert_allclose(actual, expected, rtol=1e-12)


@pytest.mark.parametrize("rank", [None, 3])
def test_distance_of_equals_is_zero_and_order_does_not_matter(rank):
    rng = np.random.default_rng(1)
    a, b = gaussian(rng, 30, rank), gaussian(rng, 30, rank)
    scale = np.trace(a[1])
    assert abs(frechet_distance(*a, *a)) < 1e-6 * scale
    np.testing.assert_allclose(
        frechet_distance(*a, *b), frechet_distance(*b, *a), rtol=1e-6
    )


def test_covariance_divides_by_one_less():
    mean, covariance = mean_and_covariance(np.array([[0.0, 1.0], [2.0, 5.0]]))
    np.testing.assert_array_equal(mean, [1.0, 3.0])
    np.testing.assert_array_equal(covariance, [[2.0, 4.0], [4.0, 8.0]])


def test_unusable_arguments_are_explained():
    with pytest.raises(ValueError, match="features of 1 images"):
        mean_and_covariance(np.zeros((1, 4)))
    with pytest.raises(ValueError, match="`cov_b` is not finite"):
        frechet_distance(
            np.zeros(2), np.eye(2), np.zeros(2), np.array([[np.nan, 0], [0, 1]])
        )
