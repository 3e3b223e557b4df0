"""Recovery of the images of a trained network; docs/project.md has the figures."""

import numpy as np
import pytest

import stylegan_jax
from stylegan_jax.inversion.projection import Projector, Settings, project

# Start -> fraction of the images that is recovered. From the average, a few searches
# end in a local minimum.
RECOVERED = {"average": 0.8, "samples": 0.9}


@pytest.mark.slow
@pytest.mark.parametrize("start", RECOVERED)
def test_images_of_the_network_are_recovered(start):
    """In W with constant noise, without weights of VGG16."""
    g = stylegan_jax.load("smileys64")
    targets = g(seeds=range(1000, 1032))
    settings = Settings(noise="const", start=start)
    found = project(Projector(g, settings, "multiscale"), targets)
    rms = np.array([each.rms for each in found])
    assert np.median(rms) <= 0.03
    assert np.quantile(rms, RECOVERED[start]) <= 0.1
    shown = np.stack([each.image for each in found]) / 127.5 - targets / 127.5
    np.testing.assert_allclose(rms, np.sqrt(np.mean(shown**2, (1, 2, 3))), atol=0.005)
