"""The schedule, the statistics of w and the noise maps, against plain NumPy."""

import re

import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.inversion import noise_maps, schedule
from stylegan_jax.inversion.schedule import Settings
from stylegan_jax.inversion.w_statistics import w_statistics
from tests.networks import small


def official(step: int, steps: int, w_std: float) -> tuple[float, float]:
    """Return learning rate and scale of the noise of w, as the formulas stand."""
    t = step / steps
    noise = w_std * 0.05 * max(0.0, 1.0 - t / 0.75) ** 2
    ramp = min(1.0, (1.0 - t) / 0.25)
    ramp = 0.5 - 0.5 * np.cos(ramp * np.pi)
    return 0.1 * ramp * min(1.0, t / 0.05), noise


def test_schedule():
    steps, w_std = 1000, 7.5
    t = jnp.arange(steps) / steps
    rates, noise = schedule.learning_rate(t, 0.1), schedule.w_noise(t, w_std)
    expected = np.array([official(step, steps, w_std) for step in range(steps)])
    np.testing.assert_allclose(rates, expected[:, 0], rtol=0, atol=1e-7)
    np.testing.assert_allclose(noise, expected[:, 1], rtol=0, atol=1e-6)
    assert rates[0] == 0 and rates[400] == np.float32(0.1) and noise[750] == 0


def test_statistics_of_w():
    network = small.network("stylegan2", classes=("a", "b"))
    z = np.random.RandomState(123).randn(10_000, 8).astype(np.float32)
    w = np.asarray(network.map(z, "b")[:, 0], np.float64)
    found = w_statistics(network, "b")
    np.testing.assert_allclose(found.mean, w.mean(0), rtol=1e-5, atol=1e-7)
    variance = np.sum((w - w.mean(0)) ** 2) / 10_000
    np.testing.assert_allclose(found.std, variance**0.5, rtol=1e-6)
    assert not np.allclose(found.mean, w_statistics(network, "a").mean)


def regularization(noise: np.ndarray) -> float:
    total = 0.0
    while True:
        total += np.mean(noise * np.roll(noise, 1, axis=1)) ** 2
        total += np.mean(noise * np.roll(noise, 1, axis=0)) ** 2
        if noise.shape[0] <= 8:
            return total
        h, w = noise.shape
        noise = noise.reshape(h // 2, 2, w // 2, 2).mean((1, 3))


def test_regularization_of_noise():
    rng = np.random.default_rng(0)
    maps = {str(side): rng.normal(size=(2, side, side, 1)) for side in (4, 8, 32)}
    maps["smooth"] = np.cumsum(rng.normal(size=(2, 16, 16, 1)), axis=2)
    found = noise_maps.regularization(
        {name: jnp.asarray(x, jnp.float32) for name, x in maps.items()}
    )
    expected = [
        sum(regularization(x[i, :, :, 0]) for x in maps.values()) for i in (0, 1)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert noise_maps.regularization({}) == 0


def test_normalization_of_noise():
    x = np.random.default_rng(0).normal(3, 2, size=(2, 8, 16, 1)).astype(np.float32)
    found = np.asarray(noise_maps.normalize({"a": jnp.asarray(x)})["a"])
    np.testing.assert_allclose(found.mean((1, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(np.square(found).mean((1, 2, 3)), 1, rtol=1e-6)
    np.testing.assert_allclose(np.corrcoef(found[1].ravel(), x[1].ravel())[0, 1], 1)


def test_maps_of_a_lower_resolution():
    network = small.network()  # StyleGAN, which grows, two maps at each resolution
    sides = {s[0] for s in noise_maps.shapes(network.variables, 8).values()}
    assert sides == {4, 8}
    drawn = noise_maps.draw(noise_maps.shapes(network.variables, 16), 3, 0)
    again = noise_maps.draw(noise_maps.shapes(network.variables, 16), 3, 1)
    assert len(drawn) == 6
    assert all(np.any(drawn[name] != again[name]) for name in drawn)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": "z"}, "space (='z') must be one of w, w+"),
        ({"steps": 0}, "steps (=0) must be at least 1"),
        ({"learning_rate": -1.0}, "learning_rate (=-1.0) must not be negative"),
        ({"stop_distance": float("nan")}, "stop_distance (=nan) must not be negative"),
        (
            {"start": "samples", "samples": 3, "restarts": 4},
            "restarts (=4) must be at most samples (=3)",
        ),
    ],
)
def test_wrong_settings(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Settings(**changes)
