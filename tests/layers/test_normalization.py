"""Norms in closed form, down to the size of their epsilon."""

import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.layers.modulation import demodulation
from stylegan_jax.layers.normalization import instance_norm, pixel_norm

X = np.random.RandomState(0).randn(2, 3, 5, 4).astype(np.float32)
EPSILON = 1e-8  # of the mean square: a tenth of a thousandth of the size
SIZES = [1.0, 1e-3, 1e-4, 1e-6]


@pytest.mark.parametrize("size", SIZES)
def test_pixel_norm(size):
    """Unit mean square over the channels of every pixel."""
    x = size * X
    wanted = x / np.sqrt(np.square(x).mean(-1, keepdims=True) + EPSILON)
    np.testing.assert_allclose(pixel_norm(jnp.asarray(x)), wanted, 1e-4)
    np.testing.assert_array_equal(pixel_norm(jnp.zeros((2, 3))), 0)


@pytest.mark.parametrize("size", SIZES)
def test_instance_norm(size):
    """Zero mean and unit variance over the pixels of every channel of every image."""
    x = size * X
    centered = x - x.mean((1, 2), keepdims=True)
    variance = np.square(centered).mean((1, 2), keepdims=True)
    wanted = centered / np.sqrt(variance + EPSILON)
    actual = instance_norm(jnp.asarray(x + size))  # whatever the mean
    np.testing.assert_allclose(actual, wanted, 1e-3, 1e-4)


@pytest.mark.parametrize("size", SIZES)
def test_demodulation(size):
    kernel = np.random.RandomState(1).randn(3, 3, 4, 6).astype(np.float32)
    style = size * np.random.RandomState(2).randn(2, 4).astype(np.float32)
    modulated = kernel * style[:, None, None, :, None]
    wanted = 1 / np.sqrt(np.square(modulated).sum((1, 2, 3)) + EPSILON)
    actual = demodulation(jnp.asarray(kernel), jnp.asarray(style))
    np.testing.assert_allclose(actual, wanted, 1e-4)
