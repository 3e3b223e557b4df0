"""Sliced Wasserstein distance against ProGAN's numbers."""

import numpy as np
import pytest

from stylegan_jax.metrics import sliced_wasserstein as swd
from tests import goldens
from tests.metrics import golden_sets

CASES = golden_sets.cases("swd")


def test_pyramid():
    official = goldens.arrays("metrics/metrics.npz")
    images = goldens.nhwc(official["swd/pyr_input"])
    for level, found in enumerate(swd.laplacian_pyramid(images, 2)):
        expected = goldens.nhwc(official[f"swd/pyr_level{level}"])
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-5)


def test_distance_of_two_sets():
    case = CASES["sliced"]
    a, b = map(golden_sets.features, case["sets"], case["sha"])
    found = swd.sliced_wasserstein(a, b, np.random.RandomState(case["rng_seed"]))
    np.testing.assert_allclose(np.mean(found), case["value"], rtol=1e-6)
    axes = swd.along(a, b, np.eye(a.shape[1], dtype=np.float32))
    np.testing.assert_allclose(
        np.mean(axes), CASES["axis_directions"]["value"], rtol=1e-6
    )
    assert np.all(swd.along(a, a[::-1], np.eye(a.shape[1], dtype=np.float32)) == 0)


@pytest.mark.parametrize("name", ["res32_n16", "res64_n8"])
def test_images(name):
    """One stream of random numbers, as ProGAN's code takes them from it."""
    case = CASES[name]
    size = case["n"], case["res"], case["res"]
    rng = np.random.RandomState(case["rng_seed"])
    descriptors = []
    for kind, sha in zip(("real", "fake"), case["sha"], strict=True):
        taken = swd.Descriptors(rng)
        taken.add(golden_sets.images(case[kind], *size, sha))
        descriptors.append(taken.result())
        if kind == "real":  # against themselves first
            own = swd.distances(descriptors[0], descriptors[0], rng)
            assert all(np.all(values == 0) for values in own.values())
    found = swd.distances(*descriptors, rng)
    expected = case["x1e3"]
    assert sorted([*map(str, found), "avg"]) == sorted(expected)
    means = {str(side): np.mean(values) for side, values in found.items()}
    for side, value in means.items():
        np.testing.assert_allclose(value, expected[side], rtol=1e-6)
    np.testing.assert_allclose(
        np.mean(list(means.values())), expected["avg"], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("size", "sides"), [((16, 16), [16]), ((64, 96), [64, 32, 16]), ((40, 20), [20])]
)
def test_levels(size, sides):
    assert swd.levels(*size) == sides


def test_unusable_images_are_explained():
    with pytest.raises(ValueError, match="8x8 .width x height.; .* at least 16 pixels"):
        swd.levels(8, 8)
    with pytest.raises(ValueError, match="multiples of 2"):
        swd.levels(33, 34)
    flat = swd.Descriptors(np.random.RandomState(0))
    flat.add(np.full((2, 16, 16, 3), 7, np.uint8))
    with pytest.raises(ValueError, match="no detail at all at 16 pixels"):
        flat.result()
    with pytest.raises(AssertionError, match="shape"):
        swd.sliced_wasserstein(
            np.zeros((2, 3)), np.zeros((3, 3)), np.random.RandomState(0)
        )
