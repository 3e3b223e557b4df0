"""Recovery of the images of a trained network; docs/project.md has the figures."""

import numpy as np
import pytest

import stylegan_jax
from stylegan_jax.inversion.projection import Projector, Settings, project


@pytest.mark.slow
@pytest.mark.parametrize("start", ["average", "samples"])
def test_images_of_the_network_are_recovered(start):
    """In W with constant noise, without weights of VGG16."""
    g = stylegan_jax.load("smileys64")
    targets = g(seeds=range(1000, 1032))
    settings = Settings(noise="const", start=start)
    found = project(Projector(g, settings, "multiscale"), targets)
    rms = np.array([each.rms for each in found])
    assert np.median(rms) <= 0.03
    assert np.quantile(rms, 0.9) <= 0.1
    shown = np.stack([each.image for each in found]) / 127.5 - targets / 127.5
    np.testing.assert_allclose(rms, np.sqrt(np.mean(shown**2, (1, 2, 3))), atol=0.005)
