"""The transform of a StyleGAN3 network's images as an unknown of a projection."""

import dataclasses
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.inversion import results, state_file
from stylegan_jax.inversion.projection import Projector, Session, Settings, project
from stylegan_jax.inversion.tuning import Tuner, TuningSettings
from stylegan_jax.sampling import transform
from stylegan_jax.tune import views_of
from tests.networks import small

pytestmark = pytest.mark.usefixtures("quick_compilation")
SETTINGS = Settings(steps=100, transform="fit", learning_rate=0.05)
VIEWS = np.array([[0.1, -0.05, 20.0], [-0.25, 0.0, -90.0]], np.float32)


def moved(g, views):
    """Return a network with the views [3] or [B,3] of its images."""
    matrices = [transform.inverse_matrix(v[:2], v[2]) for v in np.atleast_2d(views)]
    variables = transform.moved(g.generator, g.variables, np.stack(matrices))
    return dataclasses.replace(g, variables=variables)


def test_matrices_are_those_of_single_views():
    found = jax.jit(transform.inverse_matrices)(jnp.asarray(VIEWS))
    wanted = [transform.inverse_matrix(v[:2], v[2]) for v in VIEWS]
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_other_families_are_refused():
    with pytest.raises(ValueError, match="only StyleGAN3 networks can translate"):
        Projector(small.network("stylegan2"), SETTINGS, "multiscale")
    with pytest.raises(ValueError, match="transform .='turn'. must be one of fixed"):
        Settings(transform="turn")


def test_views_of_projections():
    assert views_of([SimpleNamespace(view=None)] * 2) is None
    found = views_of([SimpleNamespace(view=None), SimpleNamespace(view=VIEWS[0])])
    np.testing.assert_array_equal(found, [np.zeros(3), VIEWS[0]])


@pytest.mark.slow
def test_it_is_fitted_stored_and_used_for_tuning(tmp_path):
    g = small.network("stylegan3")
    targets = moved(g, VIEWS)(seeds=[50, 51])
    projector = Projector(g, SETTINGS, "multiscale", batch_size=2)
    found = project(projector, targets)
    fixed = dataclasses.replace(SETTINGS, transform="fixed")
    others = project(Projector(g, fixed, "multiscale", batch_size=2), targets)
    for one, other in zip(found, others, strict=True):
        assert other.view is None and np.abs(one.view).max() > 0.01
        assert one.distance < other.distance
        # The view is that of the flags --translate and --rotate.
        image = moved(g, one.view).synthesize(one.ws[None])[0]
        assert np.abs(image.astype(int) - one.image).max() <= 1

    # Interrupted, stored and continued, it is the same.
    first = Session(projector, targets)
    for _ in range(2):
        first.advance()
    about = state_file.fingerprint(projector, targets, ("a", "b"), path=False)
    state_file.save(tmp_path / "state", first, about)
    second = Session(projector, targets)
    state_file.load(tmp_path / "state", second, about)
    again = {}
    while not second.finished:
        again |= second.advance()
    for i, one in enumerate(found):
        np.testing.assert_allclose(again[i].view, one.view, atol=1e-5)

    for i, one in enumerate(found):
        results.write(tmp_path / "out" / str(i), targets[i], one, {})
    stored = list(results.read(tmp_path / "out"))
    views = views_of(stored)
    np.testing.assert_allclose(views, [one.view for one in found])
    tuner = Tuner(g, TuningSettings(steps=1), "multiscale")
    ws = np.stack([one.ws for one in stored])
    with pytest.raises(ValueError, match=r"views have shape \[1, 3\]; 2 targets take"):
        tuner.tune(targets, ws, views=views[:1])
    tuned = tuner.tune(targets, ws, views=views)
    distances = [one.distance for one in found]
    np.testing.assert_allclose(tuned.distances_before, distances, atol=1e-4)
