"""Interpolation against the official numbers and the closed form of the arc."""

import chex
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.sampling.interpolation import lerp, normalize, slerp
from tests import goldens

# A few float32 roundings of unit vectors' components, relative to their rms.
ROUNDING = 3e-6


class OfficialTest(chex.TestCase):
    def setUp(self):
        super().setUp()
        self.official = goldens.arrays("stylegan1/metrics.npz")

    @chex.variants(with_jit=True, without_jit=True)
    def test_slerp(self):
        official, interpolate = self.official, self.variant(slerp)
        latents, t = official["in/lat_t01"], official["in/lerp_t"]
        start, end = latents[0::2], latents[1::2]
        near = interpolate(start, end, t)
        step = interpolate(start, end, t + official["in/epsilon"])
        goldens.assert_close(near, official["out/slerp_t"], ROUNDING)
        goldens.assert_close(step, official["out/slerp_t_plus_eps"], ROUNDING)
        both = jnp.stack([near, step], axis=1).reshape(latents.shape)
        goldens.assert_close(both, official["out/slerp_interleaved"], ROUNDING)

    @chex.variants(with_jit=True, without_jit=True)
    def test_lerp(self):
        official, interpolate = self.official, self.variant(lerp)
        ws, t = official["in/dlat_t01"], official["in/lerp_t"]
        times = (t, t + official["in/epsilon"])
        both = [interpolate(ws[0::2], ws[1::2], time) for time in times]
        both = jnp.stack(both, axis=1).reshape(ws.shape)
        goldens.assert_close(both, official["out/lerp_interleaved"], ROUNDING)

    @chex.variants(with_jit=True, without_jit=True)
    def test_normalize(self):
        unit = self.variant(normalize)(self.official["in/lat_t01"])
        goldens.assert_close(unit, self.official["out/normalize"], ROUNDING)


def test_official_code_of_stylegan3():
    data = goldens.arrays("stylegan2_and_3/G1_metrics.npz")
    ends, t = (data["in/slerp_a"], data["in/slerp_b"]), data["in/t"]
    goldens.assert_close(slerp(*ends, t), data["out/slerp"], ROUNDING)
    goldens.assert_close(
        slerp(*ends, t + np.float32(1e-4)), data["out/slerp_eps"], ROUNDING
    )
    goldens.assert_close(lerp(*ends, t), data["out/lerp"], ROUNDING)


def test_slerp_walks_the_circle_at_constant_speed():
    angle = 2.0
    a = 3.0 * jnp.array([1.0, 0.0])  # lengths must not matter
    b = 0.1 * jnp.array([jnp.cos(angle), jnp.sin(angle)])
    t = jnp.linspace(0, 1, 9)
    points = slerp(jnp.tile(a, (9, 1)), jnp.tile(b, (9, 1)), t)
    expected = jnp.stack([jnp.cos(angle * t), jnp.sin(angle * t)], axis=-1)
    np.testing.assert_allclose(points, expected, atol=1e-6)


def test_slerp_ends_at_b():
    a, b = np.random.default_rng(0).normal(size=(2, 5, 512)).astype(np.float32)
    np.testing.assert_allclose(slerp(a, b, 0.0), normalize(a), atol=1e-6)
    np.testing.assert_allclose(slerp(a, b, 1.0), normalize(b), atol=1e-6)
    middle = slerp(a, b, 0.5)
    np.testing.assert_allclose(
        middle, normalize(normalize(a) + normalize(b)), atol=1e-6
    )


@pytest.mark.parametrize("factor", [1.0, -1.0])
def test_slerp_between_parallel_vectors_is_finite(factor):
    a = np.random.default_rng(1).normal(size=(64, 512)).astype(np.float32)
    points = slerp(a, factor * a, 0.3)
    np.testing.assert_allclose(np.linalg.norm(points, axis=-1), 1.0, atol=1e-6)
    if factor > 0:
        np.testing.assert_allclose(points, normalize(a), atol=1e-6)


def test_zero_vectors_stay_zero():
    np.testing.assert_array_equal(normalize(jnp.zeros((2, 3))), np.zeros((2, 3)))


def test_wrong_shapes_of_t_raise():
    with pytest.raises(ValueError, match=r"t has shape \(3,\).*shape \(2, 4\)"):
        lerp(jnp.zeros((2, 4)), jnp.ones((2, 4)), jnp.zeros(3))
    with pytest.raises(ValueError, match=r"t has shape \(2, 4\)"):
        slerp(jnp.ones((2, 4)), jnp.ones((2, 4)), jnp.zeros((2, 4)))
