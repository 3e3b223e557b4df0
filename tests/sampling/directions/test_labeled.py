"""Directions between groups of latents."""

import numpy as np
import pytest

from stylegan_jax.sampling.directions.labeled import boundary, difference
from tests.sampling.directions.conftest import at_layers

# The formulas do not depend on the family.
pytestmark = pytest.mark.parametrize(
    "g", [("stylegan2", ("a", "b"))], indirect=True, ids=["conditional"]
)


def as_ws(w):
    return np.repeat(np.float32(w)[:, None], 6, axis=1)


def whitened_normal(subject):
    """Return a normal along which w varies about as much as along others."""
    values, vectors = np.linalg.eigh(subject.moments.covariance)
    normal = vectors @ (1 / np.sqrt(values) * np.ones(len(values)))
    return normal / np.linalg.norm(normal)


def test_a_boundary_is_found(subject, w):
    w, mean = w[:600], w.mean(0)
    normal = whitened_normal(subject)
    positive = (w - mean) @ normal > 0
    found = boundary(subject, "x", as_ws(w[~positive]), as_ws(w[positive]))
    unit = found.vector / np.linalg.norm(found.vector)
    assert unit @ normal > 0.98
    assert found.facts["accuracy"] > 0.95
    assert found.facts["examples"] == 600
    larger = max(positive.mean(), 1 - positive.mean())
    np.testing.assert_allclose(found.facts["majority"], larger)
    np.testing.assert_allclose(
        np.linalg.norm(found.vector), subject.moments.deviation(unit), 1e-5
    )


def test_a_boundary_of_random_labels_is_as_good_as_chance(subject, w):
    ws = as_ws(w[:400])
    random = np.random.default_rng(0).random(400) > 0.5
    found = boundary(subject, "x", ws[~random], ws[random])
    assert 0.4 < found.facts["accuracy"] < 0.6


def test_a_boundary_sees_the_chosen_layers_only(subject, w):
    ws = as_ws(w[:200])
    positive = ws[:, 0, 0] > np.median(ws[:, 0, 0])
    shuffled = ws.copy()
    shuffled[:, 3:] = np.random.default_rng(0).permutation(ws)[:, 3:]
    found = boundary(at_layers(subject, 0, 2), "x", *groups(shuffled, positive))
    desired = boundary(at_layers(subject, 0, 2), "x", *groups(ws, positive))
    np.testing.assert_array_equal(found.vector, desired.vector)
    assert found.layers == (0, 2)


def groups(ws, positive):
    return ws[~positive], ws[positive]


def test_the_difference_leads_from_one_to_the_other(g, subject, w):
    a, b = as_ws(w[:1]), as_ws(w[1:2])
    found = difference(subject, "x", a, b)
    assert found.vector.shape == (8,)
    moved = found.edit(g.generator, a, found.facts["distance"])
    np.testing.assert_allclose(moved, b, 0, 1e-6)
    unit = found.vector / np.linalg.norm(found.vector)
    np.testing.assert_allclose(
        np.linalg.norm(found.vector), subject.moments.deviation(unit), 1e-5
    )


def test_a_difference_of_layers(g, subject, w):
    rng = np.random.default_rng(0)
    a, b = (np.float32(w[rng.permutation(len(w))[:6]])[None] for _ in range(2))
    found = difference(at_layers(subject, 1, 4), "x", a, b)
    assert found.vector.shape == (6, 8)
    moved = found.edit(g.generator, a, found.facts["distance"])
    np.testing.assert_allclose(moved[:, [1, 4]], b[:, [1, 4]], 0, 1e-6)
    np.testing.assert_array_equal(moved[:, [0, 2, 3, 5]], a[:, [0, 2, 3, 5]])


def test_means_of_groups(subject, w):
    found = difference(subject, "x", as_ws(w[:3]), as_ws(w[3:5]))
    desired = w[3:5].mean(0) - w[:3].mean(0)
    cosine = found.vector @ desired / np.linalg.norm(desired) / found.sigma
    np.testing.assert_allclose(cosine, 1, 1e-5)


def test_groups_that_do_not_suffice(subject, w):
    one = as_ws(w[:1])
    with pytest.raises(ValueError, match="at least two latents on each side, not 1"):
        boundary(subject, "x", one, as_ws(w[1:4]))
    with pytest.raises(ValueError, match="direction x has length 0"):
        difference(subject, "x", one, one)
