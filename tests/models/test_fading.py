"""Fading in closed form: the mean of two resolutions, weighted by the fade."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax import models
from stylegan_jax.models import LevelOfDetail
from tests import tiny

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


def random_variables(model, *inputs):
    """Nothing zero, biases included, so that no two ways to a result agree."""
    shapes = jax.eval_shape(model.init, jax.random.key(0), *inputs)
    random = np.random.RandomState(0)
    return jax.tree.map(lambda x: jnp.asarray(random.randn(*x.shape), x.dtype), shapes)


def test_generator(networks):
    """The lower resolution's image with its pixels repeated, and this one's."""
    g, _ = networks
    variables = random_variables(g, jnp.zeros((1, g.z_dim)))
    ws = jnp.asarray(np.random.RandomState(1).randn(2, g.num_ws, g.w_dim), jnp.float32)
    at = jax.jit(
        lambda lod: g.apply(variables, ws, lod, method="synthesize", noise="const")
    )
    with tiny.quick_compilation():
        low, full = at(LevelOfDetail(4)), at(LevelOfDetail(8))
        low = np.asarray(low).repeat(2, 1).repeat(2, 2)
        size = np.std(full)
        assert np.abs(full - low).mean() > 0.1 * size
        for fade in FADES:
            faded = at(LevelOfDetail(8, fade).with_traced_fade())
            wanted = fade * full + (1 - fade) * low
            np.testing.assert_allclose(faded, wanted, atol=1e-4 * size)


def test_discriminator(networks):
    """Without its nonlinearities the score is the weighted mean of two scores.

    At no strength it sees the average of 2x2 pixels, at the resolution below.
    """
    _, d = networks
    d = d.clone(nonlinearity="linear", mbstd_group_size=1)
    images = jnp.asarray(np.random.RandomState(1).randn(4, 8, 8, 3), jnp.float32)
    small = images.reshape(4, 4, 2, 4, 2, 3).mean((2, 4))
    variables = random_variables(d, images)
    score = jax.jit(lambda images, lod: d.apply(variables, images, None, lod))
    with tiny.quick_compilation():
        low, full = score(small, LevelOfDetail(4)), score(images, LevelOfDetail(8))
        size = np.std(full)
        assert np.abs(full - low).mean() > 0.1 * size
        for fade in FADES:
            faded = score(images, LevelOfDetail(8, fade).with_traced_fade())
            wanted = fade * full + (1 - fade) * low
            np.testing.assert_allclose(faded, wanted, atol=1e-4 * size)


def test_the_faded_in_image_passes_an_activation(networks):
    """Apply the activation to the lower resolution too: leaky ReLU with slope 0.2."""
    _, d = networks
    d = d.clone(mbstd_group_size=1)
    images = jnp.asarray(np.random.RandomState(1).randn(4, 8, 8, 3), jnp.float32)
    small = images.reshape(4, 4, 2, 4, 2, 3).mean((2, 4))
    variables = random_variables(d, images)
    with tiny.quick_compilation():
        low, faded = (
            jax.jit(lambda x, lod: d.apply(variables, x, None, lod))(x, lod)
            for x, lod in (
                (small, LevelOfDetail(4)),
                (images, LevelOfDetail(8, 0.0)),
            )
        )
    np.testing.assert_allclose(faded, low, atol=1e-4 * np.std(low))
