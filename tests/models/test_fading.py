"""Fading in closed form: the mean of two resolutions, weighted by the fade."""

import jax
import numpy as np
import pytest

from stylegan_jax import models
from stylegan_jax.models import LevelOfDetail
from tests import tiny
from tests.models.random_variables import random_variables

GROWING = {
    "model.family": "stylegan2",
    "model.g_architecture": "growing",
    "model.d_architecture": "growing",
}
SMALL = {
    "data.resolution": 8,
    "training.initial_resolution": 4,
    "model.channel_base": 16,
}
FAMILIES = {"stylegan1": SMALL, "stylegan2": SMALL | GROWING}
FADES = (0.0, 0.25, 1.0)


@pytest.fixture(params=FAMILIES)
def networks(request):
    e = tiny.experiment(FAMILIES[request.param])
    return models.build(e.model, e.data, 0)


def test_generator(networks):
    """The lower resolution's image with its pixels repeated, and this one's."""
    g, _ = networks
    variables = random_variables(g, np.zeros((1, g.z_dim)))
    ws = np.random.RandomState(1).randn(2, g.num_ws, g.w_dim).astype(np.float32)

    @jax.jit
    def at_all_levels(variables, fade):
        return [
            g.apply(variables, ws, lod, method="synthesize", noise="const")
            for lod in (LevelOfDetail(4), LevelOfDetail(8), LevelOfDetail(8, fade))
        ]

    with tiny.quick_compilation():
        for fade in FADES:
            low, full, faded = map(np.asarray, at_all_levels(variables, fade))
            low = low.repeat(2, 1).repeat(2, 2)
            size = np.std(full)
            assert np.abs(full - low).mean() > 0.1 * size
            wanted = fade * full + (1 - fade) * low
            np.testing.assert_allclose(faded, wanted, atol=1e-4 * size)


def test_discriminator(networks):
    """Without its nonlinearities the score is the weighted mean of two scores.

    At no strength it sees the average of 2x2 pixels, at the resolution below.
    """
    _, d = networks
    d = d.clone(nonlinearity="linear", mbstd_group_size=1)
    images = np.random.RandomState(1).randn(4, 8, 8, 3).astype(np.float32)
    small = images.reshape(4, 4, 2, 4, 2, 3).mean((2, 4))
    variables = random_variables(d, images)

    @jax.jit
    def at_all_levels(variables, fade):
        return (
            d.apply(variables, small, None, LevelOfDetail(4)),
            d.apply(variables, images, None, LevelOfDetail(8)),
            d.apply(variables, images, None, LevelOfDetail(8, fade)),
        )

    with tiny.quick_compilation():
        for fade in FADES:
            low, full, faded = map(np.asarray, at_all_levels(variables, fade))
            size = np.std(full)
            assert np.abs(full - low).mean() > 0.1 * size
            wanted = fade * full + (1 - fade) * low
            np.testing.assert_allclose(faded, wanted, atol=1e-4 * size)


def test_the_faded_in_image_passes_an_activation(networks):
    """Apply the activation to the lower resolution too: leaky ReLU with slope 0.2."""
    _, d = networks
    d = d.clone(mbstd_group_size=1)
    images = np.random.RandomState(1).randn(4, 8, 8, 3).astype(np.float32)
    small = images.reshape(4, 4, 2, 4, 2, 3).mean((2, 4))
    variables = random_variables(d, images)

    @jax.jit
    def run(variables, fade):
        return (
            d.apply(variables, small, None, LevelOfDetail(4)),
            d.apply(variables, images, None, LevelOfDetail(8, fade)),
        )

    with tiny.quick_compilation():
        low, faded = run(variables, 0.0)
    np.testing.assert_allclose(faded, low, atol=1e-4 * np.std(low))
