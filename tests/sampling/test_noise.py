"""Noise inputs at chosen layers."""

import jax
import numpy as np
import pytest

from stylegan_jax.models import stylegan1, stylegan2
from stylegan_jax.models.interface import Channels
from stylegan_jax.sampling import noise
from stylegan_jax.sampling.synthesis import synthesize

pytestmark = pytest.mark.usefixtures("quick_compilation")
SMALL = {"z_dim": 4, "w_dim": 4, "mapping_layers": 1, "channels": Channels(64, 8)}


def filled(generator, value):
    """Return variables that all have the same value."""
    shapes = jax.eval_shape(generator.init, jax.random.key(0), np.zeros((1, 4), "f"))
    return jax.tree.map(lambda x: np.full(x.shape, value, np.float32), shapes)


def test_resolutions_of_the_noise_inputs():
    """StyleGAN2 has one input at 4x4; its last style layer is that of a ToRGB."""
    first = stylegan1.Generator(16, **SMALL)
    expected = {0: 4, 1: 4, 2: 8, 3: 8, 4: 16, 5: 16}
    assert noise.noise_layers(first, filled(first, 1)) == expected
    second = stylegan2.Generator(16, base_size=(2, 3), **SMALL)
    expected = {0: 4, 1: 8, 2: 8, 3: 16, 4: 16}
    assert noise.noise_layers(second, filled(second, 1)) == expected


def test_networks_without_noise_are_refused():
    options = stylegan1.LayerOptions(noise=False)
    silent = stylegan1.Generator(8, options=options, **SMALL)
    with pytest.raises(ValueError, match="has no noise inputs, because it is a"):
        noise.noise_layers(silent, filled(silent, 1))
    fresh = stylegan1.Generator(8, **SMALL)
    with pytest.raises(ValueError, match="strengths of all 4 noise inputs .* are 0,"):
        noise.noise_layers(fresh, filled(fresh, 0))


def test_noise_at_no_layer_is_no_noise(network, ws):
    generator, variables = network
    silent = noise.only_at(generator, variables, ())
    images = synthesize(generator, silent, ws[:2])
    expected = synthesize(generator, variables, ws[:2], noise="none")
    np.testing.assert_allclose(images, expected, atol=1e-4 * abs(expected).max())
    assert noise.only_at(generator, variables, None) is variables
    with pytest.raises(ValueError, match=r"noise layers \[6, 9\] must be from 0 to 5"):
        noise.only_at(generator, variables, [0, 6, 9])
