"""Recovery of the images of a trained network; docs/project.md has the figures."""

import numpy as np
import pytest

import stylegan_jax
from stylegan_jax.inversion.projection import Projector, Settings, project

NETWORK = "smileys64"


@pytest.mark.slow
def test_images_of_the_network_are_recovered():
    """From the average, in W with constant noise, without weights of VGG16."""
    g = stylegan_jax.load(NETWORK)
    label = 0 if g.classes else None
    targets = g(seeds=range(1000, 1032), label=label)
    projector = Projector(g, Settings(noise="const"), "multiscale", label=label)
    found = project(projector, targets)
    rms = np.array([each.rms for each in found])
    assert np.median(rms) <= 0.03
    assert np.quantile(rms, 0.9) <= 0.1
    shown = np.stack([each.image for each in found]) / 127.5 - targets / 127.5
    np.testing.assert_allclose(rms, np.sqrt(np.mean(shown**2, (1, 2, 3))), atol=0.005)
