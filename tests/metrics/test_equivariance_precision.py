"""Equivariance in float32: as in float64, and that of a network of 256x256."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.metrics import equivariance
from stylegan_jax.models import stylegan3
from stylegan_jax.models.interface import Channels
from stylegan_jax.sampling import transform
from tests import goldens, tiny
from tests.models import stylegan3_numpy
from tests.models.test_stylegan3 import network

SHIFT, DEGREES = (0.07, -0.11), 40.0
DECIBELS = 0.5


def ratios(draw, size, *, rotates):
    """Return EQ-T, EQ-T_frac and, for R, EQ-R of a function from transforms."""
    whole = np.rint(np.array(SHIFT) * size) / size
    still = draw(np.eye(3))
    found = []
    for move, shift in (("translate_whole", whole), ("translate", SHIFT)):
        moving = draw(transform.inverse_matrix(shift))
        expected, mask = getattr(equivariance, move)(still, *shift)
        found.append(psnr(expected, moving, mask))
    if rotates:
        angle = np.deg2rad(DEGREES)
        expected, mask = equivariance.rotate(still, angle)
        moving = draw(transform.inverse_matrix(degrees=DEGREES))
        filtered, seen = equivariance.pseudo_rotate(moving, angle)
        found.append(psnr(expected, filtered, mask * seen))
    return np.array(found)


def psnr(expected, actual, mask):
    errors, count = equivariance.squared_error(expected, actual, mask)
    return equivariance.psnr(float(errors.sum()) / (len(expected) * count))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["F1_t32_L6", "F2_r32_L6", "F3_t64_L10_c10", "F4_r64_L8"]
)
def test_float32_and_float64(name):
    model, variables, arrays, settings = network(name)
    ws = np.repeat(arrays["out/w"][:2, None], settings["num_ws"], axis=1)

    @jax.jit
    def single(matrix):
        moved = transform.moved(model, variables, matrix)
        return model.apply(moved, ws, method="synthesize")

    params, kwargs = goldens.below(arrays, "param/"), settings["kwargs"]

    def double(matrix):
        images = stylegan3_numpy.synthesize(params, kwargs, ws, matrix)
        return jnp.asarray(images, jnp.float32)

    measure = functools.partial(
        ratios, size=model.resolution, rotates=model.design.use_radial_filters
    )
    with tiny.quick_compilation():
        found, wanted = measure(single), measure(double)
    print(name, np.round(found, 2), np.round(wanted, 2))
    assert len(found) == 2 + model.design.use_radial_filters
    np.testing.assert_allclose(found, wanted, 0, DECIBELS)


@pytest.mark.slow
def test_random_weights_at_256():
    """Config T, with few channels, at the steady magnitudes of its activations."""
    g = stylegan3.Generator(
        resolution=256, z_dim=64, w_dim=64, channels=Channels(1024, 16)
    )
    z = np.random.RandomState(0).randn(2, 64).astype(np.float32)
    with tiny.quick_compilation():
        variables = jax.jit(g.init)(jax.random.key(0), z)
        ws = jax.jit(lambda v: g.apply(v, z, method="map"))(variables)

        # A decay of 0 measures the magnitudes, and one of 1 keeps them.
        @jax.jit
        def synthesize(variables, beta):
            options = {"magnitude_beta": beta, "mutable": ["stats"]}
            return g.apply(variables, ws, method="synthesize", **options)

        _, measured = synthesize(variables, 0.0)
        variables |= {"stats": variables["stats"] | measured["stats"]}

        def draw(matrix):
            return synthesize(transform.moved(g, variables, matrix), 1.0)[0]

        found = ratios(draw, 256, rotates=False)
    print(np.round(found, 2))
    assert found.min() > 60
