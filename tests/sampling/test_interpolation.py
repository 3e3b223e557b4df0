"""Interpolation against the official numbers and the closed form of the arc."""

import chex
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.sampling.interpolation import (
    CURVES,
    lerp,
    normalize,
    path,
    positions,
    slerp,
)
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


# Paths through keyframes


@pytest.fixture
def keyframes():
    return np.random.default_rng(2).normal(size=(5, 3, 16)).astype(np.float32)


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("curve", CURVES)
def test_paths_pass_through_their_keyframes(keyframes, curve, closed):
    at = path(keyframes, curve, closed=closed)
    values = at(np.arange(5.0))
    chex.assert_shape(values, (5, 3, 16))
    chex.assert_type(values, np.float32)
    np.testing.assert_array_equal(values, keyframes)
    # Each position has a value of its own, whatever the others are.
    some = np.array([3.0, 0.25, 3.75])
    single = [at(some[i : i + 1]) for i in range(3)]
    np.testing.assert_array_equal(at(some), np.concatenate(single))


def test_linear_paths_are_straight(keyframes):
    at = path(keyframes, "linear", closed=True)
    last, first = keyframes[-1], keyframes[0]
    np.testing.assert_allclose(
        at(np.array([4.25]))[0], 0.75 * last + 0.25 * first, atol=1e-6
    )
    middle = at(np.array([1.5]))[0]
    np.testing.assert_allclose(middle, (keyframes[1] + keyframes[2]) / 2, atol=1e-6)


def test_slerp_paths_keep_the_length_of_z(keyframes):
    at = path(keyframes, "slerp", closed=True)
    lengths = np.linalg.norm(keyframes, axis=-1)
    middle = at(np.array([4.5]))[0]
    np.testing.assert_allclose(
        np.linalg.norm(middle, axis=-1), (lengths[4] + lengths[0]) / 2, rtol=1e-5
    )
    np.testing.assert_allclose(
        normalize(middle), slerp(keyframes[4], keyframes[0], 0.5), atol=1e-6
    )


@pytest.mark.parametrize("curve", CURVES)
def test_a_closed_path_returns_without_a_jump(keyframes, curve):
    at = path(keyframes, curve, closed=True)
    t = positions(5, 200, closed=True)
    values = at(t)
    chex.assert_shape(values, (1000, 3, 16))
    steps = np.abs(np.diff(values, axis=0, append=values[:1])).max((1, 2))
    assert steps[-1] <= 1.05 * steps[:-1].max()
    assert steps.max() < 0.1  # a jump would be of order one


@pytest.mark.parametrize("closed", [True, False])
def test_a_cubic_path_is_smooth_also_where_it_closes(keyframes, closed):
    """The change of its steps vanishes with their length, unlike that of a polygon."""

    def bend(curve, frames):
        values = path(keyframes, curve, closed=closed)(
            positions(5, frames, closed=closed)
        )
        if closed:
            values = np.concatenate([values, values[:2]])
        return np.abs(np.diff(values, 2, axis=0)).max() * frames  # of the velocity

    assert bend("cubic", 400) < 0.3 * bend("cubic", 100)
    assert bend("linear", 400) > 0.9 * bend("linear", 100)


def test_the_closed_spline_is_that_of_the_official_code(keyframes):
    """gen_video.py interpolates copies of the keyframes, two before and two after."""
    from scipy.interpolate import interp1d

    spline = interp1d(
        np.arange(-10, 15), np.tile(keyframes, (5, 1, 1)), kind="cubic", axis=0
    )
    t = positions(5, 20, closed=True)
    ours = path(keyframes, "cubic", closed=True)(t)
    # The copies end, with an effect that is 0.27 times as large a keyframe farther.
    np.testing.assert_allclose(ours, spline(t), atol=1e-4)


def test_positions():
    closed = positions(3, 4, closed=True)
    np.testing.assert_array_equal(closed, np.arange(12) / 4)
    np.testing.assert_array_equal(positions(3, 4, closed=False), np.arange(9) / 4)
    smooth = positions(3, 100, closed=False, easing="smooth")
    np.testing.assert_array_equal(smooth[::100], [0, 1, 2])
    steps = np.diff(smooth)
    assert steps.min() > 0
    slow, fast = steps[[0, 99, 100, 199]], steps[[49, 149]]
    assert slow.max() < 0.05 * fast.min()
    assert smooth[50] == 0.5


def test_wrong_paths_are_refused(keyframes):
    with pytest.raises(ValueError, match=r"keyframes \(=1\) must be at least 2.*seeds"):
        positions(1, 60, closed=True)
    with pytest.raises(ValueError, match=r"frames \(=0\).*easing \(='linear'\)"):
        positions(2, 0, closed=True)
    with pytest.raises(ValueError, match=r"easing \(='fast'\) one of linear, smooth"):
        positions(2, 1, closed=True, easing="fast")
    with pytest.raises(ValueError, match=r"curve \(='arc'\) must be one of cubic"):
        path(keyframes, "arc", closed=True)


@pytest.mark.parametrize("curve", CURVES)
def test_two_keyframes_are_enough(keyframes, curve):
    for closed in (True, False):
        at = path(keyframes[:2], curve, closed=closed)
        assert np.isfinite(at(positions(2, 9, closed=closed))).all()
