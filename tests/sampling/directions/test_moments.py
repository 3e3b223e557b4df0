"""Mean and covariance of w in batches, and deviations along vectors."""

import numpy as np
import pytest

from stylegan_jax.sampling.directions.moments import WMoments, w_moments
from tests.networks import small


def test_batches_give_the_moments_of_all_w(subject, w):
    mean, covariance = subject.moments
    np.testing.assert_allclose(mean, w.mean(0), 0, 1e-6)
    scale = np.cov(w.T).diagonal().max()
    np.testing.assert_allclose(covariance / scale, np.cov(w.T) / scale, 0, 1e-6)


def test_deviations_are_those_of_projections(subject, w):
    v = np.random.default_rng(1).normal(size=8)
    v /= np.linalg.norm(v)
    desired = np.std(w @ v, ddof=1)
    np.testing.assert_allclose(subject.moments.deviation(v), desired, 1e-6)
    # The same vector at all layers has the same one; otherwise it is their average.
    np.testing.assert_allclose(
        subject.moments.deviation(np.stack([v, v, v])), desired, 1e-6
    )
    u = np.eye(8)[0]
    both = subject.moments.deviation(np.stack([u, v]))
    desired = np.sqrt((np.var(w[:, 0], ddof=1) + desired**2) / 2)
    np.testing.assert_allclose(both, desired, 1e-6)


def test_progress_and_bad_input():
    g, done = small.network(), []
    w_moments(g.generator, g.variables, 1200, show=done.append)
    assert done == [1000, 1200]
    with pytest.raises(ValueError, match=r"samples \(=1\) must be at least 2"):
        w_moments(g.generator, g.variables, 1)
    broken = {**g.variables, "params": {**g.variables["params"]}}
    broken["params"]["mapping"] = {
        name: {k: {n: v * np.nan for n, v in x.items()} for k, x in layer.items()}
        for name, layer in g.variables["params"]["mapping"].items()
    }
    with pytest.raises(ValueError, match="not finite; use another checkpoint"):
        w_moments(g.generator, broken, 10)


def test_no_deviation_is_not_negative():
    flat = WMoments(np.zeros(2), np.array([[-1e-20, 0], [0, 1]]))
    assert flat.deviation(np.array([1, 0])) == 0
