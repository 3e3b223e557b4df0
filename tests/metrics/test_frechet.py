"""Frechet distance against official numbers, a matrix root and closed forms."""

import numpy as np
import pytest
import scipy.linalg

from stylegan_jax.metrics import frechet
from stylegan_jax.metrics.frechet import Gaussian, Moments, fit_gaussian
from stylegan_jax.metrics.statistics import CLASSES, POOL, Statistics
from tests import goldens
from tests.metrics import golden_sets

CASES = golden_sets.cases("fid")


def frechet_distance(a, b):
    return frechet.frechet_distance(a, b).value


def gaussian(rng, size, rank=None):
    factor = rng.normal(size=(size, rank or size))
    return rng.normal(size=size), factor @ factor.T


def streamed(features, parts):
    moments = Moments()
    for part in np.array_split(features, parts):
        moments.add(part)
    return moments


def close(actual, expected, case):
    """1e-6 of the number, and of the variances whose rounding is all there is to 0."""
    scale = max(abs(expected), 1e-6 * (case["trace1"] + case["trace2"]))
    assert abs(actual - expected) <= 1e-6 * scale, (actual, expected)


@pytest.mark.parametrize("name", CASES)
def test_every_published_case(name):
    case = CASES[name]
    sets = [
        golden_sets.features(case[key], sha)
        for key, sha in zip(("set1", "set2"), case["sha"], strict=True)
    ]
    close(frechet_distance(*map(fit_gaussian, sets)), case["exact"], case)
    by_n = [fit_gaussian(features, "N") for features in sets]
    close(frechet_distance(*by_n), case["exact_biased_cov"], case)
    found = frechet.frechet_distance(*map(fit_gaussian, sets))
    close(found.with_divisor_n(*map(len, sets)), case["exact_biased_cov"], case)
    np.testing.assert_allclose(found.means, case["mean_term"], rtol=1e-6)
    traces = case["trace1"], case["trace2"]
    np.testing.assert_allclose(found.traces, traces, rtol=1e-9)
    # In parts, which take the same way or, for many rows, that over sums of products.
    parts = [streamed(features, 7).gaussian() for features in sets]
    close(frechet_distance(*parts), case["exact"], case)
    if case["pytorch_fid"] is not None:  # which loses digits where sets are small
        assert abs(frechet_distance(*parts) - case["pytorch_fid"]) < 2e-5


@pytest.mark.parametrize("name", ["diagonal", "zero_covariance"])
def test_closed_forms(name):
    forms = golden_sets.cases("fid_closed_form")
    case = forms["diagonal"]
    a = np.diag(case["sigma1_diag"]) * (name == "diagonal")
    b = np.diag(case["sigma2_diag"])
    actual = frechet_distance(
        Gaussian.from_moments(case["mu1"], a), Gaussian.from_moments(case["mu2"], b)
    )
    np.testing.assert_allclose(actual, forms[name]["exact"], rtol=1e-9)


def test_stylegans_own_numbers():
    official = goldens.arrays("stylegan1/metrics.npz")
    sets = (official[f"in/features_{kind}"] for kind in ("real", "fake"))
    real, fake = map(fit_gaussian, sets)
    covariance = real.factor.T @ real.factor
    np.testing.assert_allclose(covariance, official["out64/sigma_real"], atol=1e-12)
    # The official means are float32, so is the accuracy of their part.
    np.testing.assert_allclose(real.mean, official["out/mu_real"], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(
        frechet_distance(real, fake), official["out64/fid"], rtol=1e-6
    )


@pytest.mark.parametrize("prefix", ["fid", "fid_small"])
def test_stylegan2s_own_numbers(prefix):
    """Their covariances are divided by N; the small sets make them singular."""
    official = goldens.arrays("stylegan2_and_3/G1_metrics.npz")
    sets = [official[f"in/{prefix}_{kind}"] for kind in ("real", "gen")]
    real = streamed(sets[0], 3)
    np.testing.assert_allclose(
        real.gaussian("N").mean, official[f"f64/{prefix}_mu_real"], rtol=1e-9
    )
    np.testing.assert_allclose(
        real.covariance("N"), official[f"f64/{prefix}_cov_real"], atol=1e-9
    )
    actual = frechet_distance(real.gaussian("N"), fit_gaussian(sets[1], "N"))
    np.testing.assert_allclose(actual, official[f"f64/{prefix}_via_eigvals"], rtol=2e-8)
    # The official matrix root itself loses digits where there are few images.
    np.testing.assert_allclose(actual, official[f"f64/{prefix}"], rtol=1e-6)


def test_trace_agrees_with_the_matrix_root():
    rng = np.random.default_rng(0)
    (mean_a, cov_a), (mean_b, cov_b) = gaussian(rng, 20), gaussian(rng, 20)
    root = scipy.linalg.sqrtm(cov_a @ cov_b).real
    expected = np.sum((mean_a - mean_b) ** 2) + np.trace(cov_a + cov_b - 2 * root)
    actual = frechet_distance(
        Gaussian.from_moments(mean_a, cov_a), Gaussian.from_moments(mean_b, cov_b)
    )
    np.testing.assert_allclose(actual, expected, rtol=1e-9)


@pytest.mark.parametrize("rank", [None, 3])
def test_distance_of_equals_is_zero_and_order_does_not_matter(rank):
    rng = np.random.default_rng(1)
    a, b = (Gaussian.from_moments(*gaussian(rng, 30, rank)) for _ in range(2))
    assert len(a.factor) == (rank or 30)
    assert abs(frechet_distance(a, a)) < 1e-12 * np.sum(a.factor**2)
    np.testing.assert_allclose(
        frechet_distance(a, b), frechet_distance(b, a), rtol=1e-12
    )


@pytest.mark.parametrize("parts", [1, 2, 40])
def test_streamed_moments_are_those_of_all_rows(parts):
    rows = np.random.default_rng(2).normal(size=(200, 12)) + 1e4
    moments = streamed(rows, parts)
    assert moments.count == 200
    expected = np.cov(rows, rowvar=False)
    np.testing.assert_allclose(moments.covariance(), expected, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(moments.gaussian().mean, rows.mean(axis=0), rtol=1e-13)
    # And go on.
    moments.add(rows[:5])
    again = np.concatenate([rows, rows[:5]])
    np.testing.assert_allclose(
        moments.covariance("N"), np.cov(again, rowvar=False, ddof=0), rtol=1e-8
    )


def test_unusable_arguments_are_explained():
    with pytest.raises(ValueError, match="features of 1 images"):
        fit_gaussian(np.zeros((1, 4)))
    moments = streamed(np.zeros((3, 2)), 1)
    with pytest.raises(ValueError, match="features of images 3 to 4 are not finite"):
        moments.add(np.array([[0, 1], [np.nan, 0]]))
    with pytest.raises(ValueError, match="the covariance is not finite"):
        Gaussian.from_moments(np.zeros(2), np.array([[np.nan, 0], [0, 1]]))


def statistics(classes, seed, names="ab"):
    pool = np.random.default_rng(seed).normal(size=(len(classes), 3))
    values = {POOL.name: pool, CLASSES.name: np.array(classes)}
    return Statistics(len(classes), dict(enumerate(names)), values)


def test_fid_per_class_is_the_mean_over_classes():
    reals, generated = statistics([0, 1, 2] * 3, 0), statistics([2, 1, 1, 0] * 2, 1)
    [found] = frechet.measure_fid_per_class(reals, generated)
    expected = {}
    for label in range(3):
        pair = [x[POOL][x[CLASSES] == label] for x in (reals, generated)]
        expected[label] = frechet_distance(*map(fit_gaussian, pair))
    assert found.details["classes"] == expected
    np.testing.assert_allclose(found.value, np.mean(list(expected.values())))


@pytest.mark.parametrize(
    ("real", "generated", "message"),
    [
        ([0, 0, 1, 1], [0, 0, 0, 0], r"1 of 2 classes .*: b \(2 real, 0 generated\);"),
        ([0, 0, 1, 1], [0, 0, 0, 1], r"b \(2 real, 1 generated\); use more images"),
        ([0, 0, 0, 1], [0, 0, 1, 1], r"b \(1 real, 2 generated\)"),
        ([0, 0, 0, 0], [0, 0, 0, 0], r"1 of 2 .*: b \(0 real, 0 generated\)"),
        ([0, 0, 1, 1], [0, 0, 2, 2], r"2 of 3 .*, 2 \(0 real, 2 generated\)"),
        ([0, 1], [1, 0], r"2 of 2 classes .*: a \(1 real, 1 generated\), b"),
    ],
)
def test_fid_per_class_leaves_no_class_out(real, generated, message):
    with pytest.raises(ValueError, match=message):
        frechet.measure_fid_per_class(statistics(real, 0), statistics(generated, 1))
