"""Distances against plain NumPy, and their choice."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.inversion import distances
from stylegan_jax.metrics.networks import lpips, published, vgg
from stylegan_jax.metrics.networks.efficientnet import EfficientNetLite0
from stylegan_jax.weights import safetensors
from tests.inversion.measured import measured
from tests.metrics.networks import recipe

# Rows, columns and channels of EfficientNet-Lite0's maps.
SHAPES_OF_EFFICIENTNET = (
    *((112, 112, 16), (56, 56, 24), (28, 28, 40)),
    *((14, 14, 112), (7, 7, 320)),
)


def images(channels: int, side: int = 12, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (2, side, 2 * side, channels)).astype(np.float32)


def over_scales(difference: np.ndarray) -> float:
    means = []
    while True:
        means.append(np.mean(np.sqrt(difference**2 + 1e-6) - 1e-3))
        h, w, c = difference.shape
        if h % 2 or w % 2:
            return np.mean(means)
        difference = difference.reshape(h // 2, 2, w // 2, 2, c).mean((1, 3))


def edges(image: np.ndarray) -> np.ndarray:
    h, w, _ = image.shape
    padded = np.pad(image, [(0, 1), (0, 1), (0, 0)], mode="edge")
    right = padded[:h, 1:] - image
    lower = padded[1:, :w] - image
    maps = [right, -right, lower, -lower]
    return np.concatenate([np.maximum(each, 0) for each in maps], -1)


def multiscale(target: np.ndarray, image: np.ndarray) -> float:
    target, image = target.astype(np.float64), image.astype(np.float64)
    residual = image - target
    residual[(target >= 1) & (residual > 0)] = 0
    residual[(target <= -1) & (residual < 0)] = 0
    a, b = np.clip(target, -1, 1), np.clip(image, -1, 1)
    maps = [over_scales(edges(b) - edges(a))]
    h, w, c = a.shape
    a, b = (x.reshape(h // 2, 2, w // 2, 2, c).mean((1, 3)) for x in (a, b))
    maps.append(over_scales(edges(b) - edges(a)))
    return over_scales(residual) + 3 * np.mean(maps)


@pytest.mark.parametrize("channels", [1, 3])
def test_multiscale(channels):
    target, image = images(channels), 1.5 * images(channels, seed=1)
    target[:, :3] = 1
    target[:, 3:5] = -1
    expected = [multiscale(target[i], image[i]) for i in (0, 1)]
    distance = distances.load("multiscale")
    np.testing.assert_allclose(measured(distance, target, image), expected, rtol=1e-5)
    np.testing.assert_allclose(measured(distance, target, target), 0, atol=1e-8)


def test_odd_sides_have_edges_at_one_scale():
    target, image = images(3)[:, :11, :11], images(3, seed=1)[:, :11, :11]
    expected = [
        over_scales(image[i] - target[i])
        + 3 * over_scales(edges(image[i]) - edges(target[i]))
        for i in (0, 1)
    ]
    distance = distances.load("multiscale")
    np.testing.assert_allclose(measured(distance, target, image), expected, rtol=1e-5)


def test_the_color_of_transparent_pixels_does_not_matter():
    distance = distances.load("multiscale")
    target, image = images(4), images(4)
    target[:, :6, :, 3] = image[:, :6, :, 3] = -1
    image[:, :6, :, :3] *= -1
    np.testing.assert_allclose(measured(distance, target, image), 0, atol=1e-7)
    image[:, :6, :, 3] = 1
    assert np.all(np.asarray(measured(distance, target, image)) > 0.05)


def test_sums_of_lpips():
    """Features come from `lpips.unit_maps`, which test_lpips.py holds to goldens."""
    rng = np.random.default_rng(0)
    sides = [16 >> i for i in range(5)]
    shapes = [(2, s, s, c) for s, c in zip(sides, vgg.CHANNELS, strict=True)]
    maps = [[rng.normal(size=shape) for shape in shapes] for _ in range(2)]
    for each in maps:
        each[:] = [x / np.linalg.norm(x, axis=-1, keepdims=True) for x in each]
    heads = [rng.uniform(size=c).astype(np.float32) for c in vgg.CHANNELS]
    expected = sum(
        np.mean(np.sum(head * (a - b) ** 2, -1), (1, 2))
        for a, b, head in zip(*maps, heads, strict=True)
    )
    result = distances.compare_by_vgg16({"heads": heads}, maps[:1], maps[1:])
    np.testing.assert_allclose(result, expected, rtol=1e-4)


def test_what_lpips_sees(monkeypatch):
    """Large images are halved, gray ones get three channels, RGBA two backgrounds."""
    seen = []
    monkeypatch.setattr(lpips, "unit_maps", lambda variables, x: seen.append(x))
    for side, channels in ((512, 1), (200, 4), (300, 3)):
        distances.describe_by_vgg16({}, jnp.zeros((1, side, 2 * side, channels)))
    shapes = [x.shape[1:] for x in seen]
    assert shapes == [(256, 512, 3), (200, 400, 3), (200, 400, 3), (150, 300, 3)]
    white, black = seen[1:3]
    assert np.all(white == 0.5) and np.all(black == -0.5)


def test_automatic_choice(monkeypatch, tmp_path):
    monkeypatch.setenv("STYLEGAN_JAX_CACHE", str(tmp_path))
    assert distances.load().name == "multiscale"
    chosen = dataclasses.replace(distances.load("multiscale"), name="lpips")
    monkeypatch.setitem(distances.DISTANCES, "lpips", lambda *_: chosen)
    (tmp_path / "detectors").mkdir()
    (tmp_path / "detectors" / "vgg16.safetensors").touch()
    assert distances.load() is chosen
    with pytest.raises(
        ValueError, match=re.escape("(='l2') must be one of auto, lpips")
    ):
        distances.load("l2")


def test_sums_of_efficientnets_maps():
    rng = np.random.default_rng(0)
    maps = [
        [[rng.normal(size=(2, s, s, 3)) for s in (8, 4)] for _ in range(2)]
        for _ in range(2)
    ]
    expected = np.mean(
        [
            np.sum((a - b) ** 2, -1).mean((1, 2))
            for a, b in zip(*(sum(each, []) for each in maps), strict=True)
        ],
        axis=0,
    )
    result = distances.compare_by_efficientnet({}, *maps)
    np.testing.assert_allclose(result, expected, rtol=1e-4)


def test_what_efficientnet_describes():
    """RGBA has two backgrounds, each with five maps of the resized image."""
    image = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    variables = jax.eval_shape(EfficientNetLite0().init, jax.random.key(0), image)
    for channels, backgrounds in ((1, 1), (4, 2)):
        x = jax.ShapeDtypeStruct((2, 12, 24, channels), jnp.float32)
        found = jax.eval_shape(distances.describe_by_efficientnet, variables, x)
        shapes = [[unit.shape for unit in each] for each in found]
        assert shapes == backgrounds * [[(2, *s) for s in SHAPES_OF_EFFICIENTNET]]


@pytest.mark.slow
def test_efficientnet_measures_images(tmp_path):
    path = tmp_path / "efficientnet.safetensors"
    safetensors.write(path, recipe.tensors("efficientnet"), {})
    distance = distances.load("efficientnet", efficientnet=path)
    assert distance.digest == published.sha256(path)
    target = images(3)
    near, far = (target + scale * images(3, seed=1) for scale in (0.01, 0.3))
    zero, small, large = (measured(distance, target, x) for x in (target, near, far))
    np.testing.assert_allclose(zero, 0, atol=1e-6)
    assert np.all(small > 0) and np.all(small < large)
