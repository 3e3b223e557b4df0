"""Inception Score against torch-fidelity's and NVIDIA's numbers."""

import numpy as np
import pytest

from stylegan_jax.metrics.inception_score import inception_score
from tests import goldens
from tests.metrics import golden_sets

CASES = golden_sets.cases("inception_score")


@pytest.mark.parametrize("name", [n for n in CASES if "spec" in CASES[n]])
def test_every_published_case(name):
    case = CASES[name]
    logits = golden_sets.logits(case["spec"], case["sha"])
    for splits in (1, 10):
        for how, rng in (
            ("in_order", None),
            ("shuffled2020", np.random.RandomState(2020)),
        ):
            expected = case[f"splits{splits}_{how}"]
            scores = inception_score(logits, splits, rng)
            np.testing.assert_allclose(scores, expected["scores"], rtol=1e-9)
            np.testing.assert_allclose(np.mean(scores), expected["mean"], rtol=1e-9)
            np.testing.assert_allclose(np.std(scores), expected["std"], atol=1e-9)


def test_flat_and_one_hot():
    np.testing.assert_allclose(inception_score(np.zeros((50, 10))), 1.0)
    one_hot = 1000.0 * np.eye(10)[np.arange(100) % 10]
    np.testing.assert_allclose(inception_score(one_hot), 10.0)


def test_stylegan3s_own_number():
    official = goldens.arrays("stylegan2_and_3/G1_metrics.npz")
    # Any logits have these probabilities that are their logarithms.
    scores = inception_score(np.log(official["in/is_probs"].astype(np.float64)))
    np.testing.assert_allclose(np.mean(scores), official["f64/is_mean"], rtol=1e-6)
    np.testing.assert_allclose(np.std(scores), official["f64/is_std"], rtol=1e-5)


def test_unusable_logits_are_explained():
    with pytest.raises(ValueError, match="3 images do not split into 10"):
        inception_score(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="not finite"):
        inception_score(np.full((10, 2), np.nan))
