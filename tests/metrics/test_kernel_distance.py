"""Kernel inception distance against torch-fidelity's and NVIDIA's numbers."""

import numpy as np
import pytest

from stylegan_jax.metrics.kernel_distance import (
    all_pairs_distance,
    kernel_distance,
    squared_discrepancy,
)
from tests import goldens
from tests.metrics import golden_sets

CASES = golden_sets.cases("kid")


@pytest.mark.parametrize("name", CASES)
def test_every_published_case(name):
    case = CASES[name]
    first, second = (
        golden_sets.features(case[key], sha)
        for key, sha in zip(("set1", "set2"), case["sha"], strict=True)
    )
    found = kernel_distance(
        first,
        second,
        np.random.RandomState(case["rng_seed"]),
        case["subsets"],
        case["subset_size"],
    )
    np.testing.assert_allclose(found.value, case["mean"], rtol=1e-9)
    np.testing.assert_allclose(np.std(found.subset_values), case["std"], atol=1e-9)
    few = case["per_subset_first3"]
    np.testing.assert_allclose(found.subset_values[: len(few)], few, rtol=1e-9)
    whole = case["whole_set"]
    m = whole["m"]
    rows = [x[:m].astype(np.float64) for x in (first, second)]
    np.testing.assert_allclose(squared_discrepancy(*rows), whole["unbiased"], rtol=1e-9)
    if min(len(first), len(second)) == case["subset_size"]:
        assert found.standard_error is None
    else:
        assert found.standard_error > 0


@pytest.mark.parametrize("name", sorted(set(CASES) - {"n2000_d64_default"}))
def test_nvidias_formula(name):
    """Reproduce an order of draws that takes the generated set first."""
    case = CASES[name]
    official = case["nvidia_formula_seed0"]
    generated, real = (
        golden_sets.features(case[official[kind]]) for kind in ("gen", "real")
    )
    found = kernel_distance(
        generated,
        real,
        np.random.RandomState(0),
        case["subsets"],
        case["subset_size"],
    )
    np.testing.assert_allclose(found.value, official["value"], rtol=1e-6)


def test_stylegan3s_own_number():
    official = goldens.arrays("stylegan2_and_3/G1_metrics.npz")
    real, generated = official["in/kid_real"], official["in/kid_gen"]
    seed = int(official["in/kid_np_seed"])
    found = kernel_distance(generated, real, np.random.RandomState(seed), 7, 50)
    np.testing.assert_allclose(found.value, official["f64/kid"], rtol=1e-6)
    draws = np.random.RandomState(seed)
    for generated_rows, real_rows in official["out/kid_subset_indices"]:
        np.testing.assert_array_equal(
            draws.choice(120, 50, replace=False), generated_rows
        )
        np.testing.assert_array_equal(draws.choice(150, 50, replace=False), real_rows)


def test_the_standard_error_is_about_the_spread_over_new_sets():
    values, errors = [], []
    for seed in range(60):
        rng = np.random.RandomState(seed)
        a, b = rng.randn(200, 4), rng.randn(200, 4) + 0.5
        found = kernel_distance(a, b, rng, 20, 100)
        values.append(found.value)
        errors.append(found.standard_error)
    assert 0.7 < np.mean(errors) / np.std(values) < 1.5


def test_all_pairs_of_equal_sets():
    rng = np.random.RandomState(0)
    a, b = rng.randn(600, 3), rng.randn(600, 3) + 0.3  # more than a block of rows
    value, _ = all_pairs_distance(a, b)
    np.testing.assert_allclose(value, squared_discrepancy(a, b), rtol=1e-9)


def test_all_pairs_of_few_reals_and_many_generated_images():
    """Without bias, and with the standard error of a jackknife."""
    rng = np.random.RandomState(0)

    def sets(few, many):
        return rng.randn(few, 4), rng.randn(many, 4) + 0.3

    # From the moments of products of independent normal variables.
    expected = 1.75 + 2.293429 - 2 * 1.8175
    found = np.array([all_pairs_distance(*sets(40, 200)) for _ in range(400)])
    spread = np.std(found[:, 0])
    assert abs(np.mean(found[:, 0]) - expected) < 3 * spread / 20
    assert 0.85 < np.mean(found[:, 1]) / spread < 1.2

    a, b = sets(5, 7)
    value, error = all_pairs_distance(a, b)
    variance = 0.0
    for n, left in (
        (5, [all_pairs_distance(np.delete(a, i, 0), b)[0] for i in range(5)]),
        (7, [all_pairs_distance(a, np.delete(b, i, 0))[0] for i in range(7)]),
    ):
        variance += (n - 1) / n * np.sum(np.square(left - np.mean(left)))
    np.testing.assert_allclose(error, np.sqrt(variance), rtol=1e-9)
    within = [x @ x.T / 4 + 1 for x in (a, b)]
    off = [(k**3).sum() - (np.diag(k) ** 3).sum() for k in within]
    cross = np.mean((a @ b.T / 4 + 1) ** 3)
    np.testing.assert_allclose(value, off[0] / 20 + off[1] / 42 - 2 * cross)


@pytest.mark.parametrize("size", [1, 11])
def test_a_subset_must_fit(size):
    with pytest.raises(ValueError, match="must be from 2 to 10"):
        kernel_distance(
            np.zeros((10, 2)), np.zeros((12, 2)), np.random.RandomState(0), 1, size
        )
