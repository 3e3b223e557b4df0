"""Noise inputs: which images and channels share a map, and its strength."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.layers.noise import NoiseInjection

SHAPE = (3, 16, 8, 4)


def added(mode, per_channel=True, strength=1.0, seed=0):
    """Return the noise that `NoiseInjection` adds to an image of zeros."""
    layer = NoiseInjection(per_channel)
    variables = layer.init(jax.random.key(0), jnp.zeros(SHAPE), "const")
    np.testing.assert_array_equal(variables["params"]["strength"], 0)  # at the start
    strengths = jnp.broadcast_to(
        jnp.float32(strength), variables["params"]["strength"].shape
    )
    variables = variables | {"params": {"strength": strengths}}
    rngs = {"noise": jax.random.key(seed)}
    return np.asarray(layer.apply(variables, jnp.zeros(SHAPE), mode, rngs=rngs))


@pytest.mark.parametrize("mode", ["const", "random"])
def test_all_channels_share_a_map_of_unit_variance(mode):
    noise = added(mode)
    np.testing.assert_array_equal(noise, noise[..., :1].repeat(4, -1))
    assert np.std(noise) == pytest.approx(1, abs=0.15)
    assert np.std(noise, axis=(1, 2)).min() > 0.5  # a number for every pixel


def test_images_share_the_constant_map_only():
    np.testing.assert_array_equal(added("const"), added("const")[:1].repeat(3, 0))
    random = added("random")
    assert len(np.unique(random[..., 0])) == random[..., 0].size
    assert np.abs(random - added("random", seed=1)).min() > 0
    np.testing.assert_array_equal(added("const"), added("const", seed=1))
    assert not added("none").any()


@pytest.mark.parametrize("mode", ["const", "random"])
def test_strengths(mode):
    """One for each channel in StyleGAN, one for all in StyleGAN2."""
    unit = added(mode)
    strength = np.float32([0, 1, -2, 0.5])
    np.testing.assert_allclose(added(mode, strength=strength), unit * strength)
    np.testing.assert_allclose(added(mode, False, 3.0), 3 * unit, 1e-6)
    layer = NoiseInjection(per_channel=False)
    variables = layer.init(jax.random.key(0), jnp.zeros(SHAPE), "none")
    assert variables["params"]["strength"].shape == ()
