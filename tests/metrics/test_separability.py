"""Linear separability: the optimality of the solver, and cases in closed form."""

import numpy as np
import pytest
import scipy.optimize

from stylegan_jax.metrics.separability import (
    conditional_entropy,
    linear_separability,
    support_vector_machine,
)


def test_the_machine_is_at_the_minimum():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 6))
    positive = x[:, 0] + 0.8 * rng.normal(size=300) > 0.3

    def objective(at):
        margins = (x @ at[:-1] + at[-1]) * np.where(positive, 1, -1)
        return at @ at / 2 + np.sum(np.maximum(0, 1 - margins) ** 2)

    w, b = support_vector_machine(x, positive)
    found = objective(np.append(w, b))
    best = scipy.optimize.minimize(objective, np.zeros(7), tol=1e-14).fun
    assert found <= best * (1 + 1e-9)


@pytest.mark.parametrize("positive", [True, False])
def test_a_machine_of_one_class(positive):
    x = np.random.default_rng(0).normal(size=(20, 3))
    w, b = support_vector_machine(x, np.full(20, positive))
    assert np.all((x @ w + b > 0) == positive)


def test_conditional_entropy_of_a_table():
    """Counts 30 and 10 where predicted, 20 and 40 where not."""
    predicted = np.repeat([True, True, False, False], [30, 10, 20, 40])
    has = np.repeat([True, False, True, False], [30, 10, 20, 40])

    def h(p):
        return -p * np.log(p) - (1 - p) * np.log(1 - p)

    expected = 0.4 * h(3 / 4) + 0.6 * h(1 / 3)
    np.testing.assert_allclose(conditional_entropy(predicted, has), expected)
    assert conditional_entropy(has, has) == 0
    np.testing.assert_allclose(
        conditional_entropy(np.arange(100) % 2 == 0, np.arange(100) % 4 < 2), np.log(2)
    )


def test_separable_is_one_and_curved_is_more():
    rng = np.random.default_rng(1)
    latents = rng.normal(size=(2000, 4))
    line = latents @ [1.0, -1.0, 0.5, 0.0]
    score, entropies = linear_separability(latents, line[:, None])
    assert score < 1.02 and entropies.shape == (1,)
    curve = np.sum(latents[:, :2] ** 2, axis=1) - 1.4
    score, _ = linear_separability(latents, np.stack([line, curve], axis=1))
    assert score > 1.5
    score, _ = linear_separability(latents, rng.normal(size=(2000, 1)))
    assert 1.9 < score <= 2.0 + 1e-9


def test_only_the_clearest_images_count():
    rng = np.random.default_rng(2)
    latents = rng.normal(size=(1000, 3))
    logits = latents[:, :1].copy()
    vague = np.abs(logits[:, 0]) < np.median(np.abs(logits))
    logits[vague] *= rng.choice([-1, 1], size=(vague.sum(), 1))
    clear, _ = linear_separability(latents, logits, keep=0.5)
    everything, _ = linear_separability(latents, logits, keep=1.0)
    assert clear < 1.02 < 1.3 < everything


def test_unusable_arguments_are_explained():
    with pytest.raises(ValueError, match="3 rows of logits for 2 images"):
        linear_separability(np.zeros((2, 1)), np.zeros((3, 1)))
    with pytest.raises(ValueError, match="must be in"):
        linear_separability(np.zeros((2, 1)), np.zeros((2, 1)), keep=1.5)
