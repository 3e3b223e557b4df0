"""Crop and percentiles of the path length against the official numbers."""

import numpy as np
import pytest

from stylegan_jax.metrics.path_length import crop_face, reduce_distances
from tests import goldens


@pytest.fixture(scope="module")
def official():
    return goldens.arrays("stylegan1/metrics.npz")


def test_crop_is_the_official_one(official):
    """The official code also maps [-1, 1] to [0, 255], which is not the crop's task."""
    cropped = np.asarray(crop_face(goldens.nhwc(official["in/images_64"])))
    expected = goldens.nhwc(official["out/ppl_crop_64"])
    goldens.assert_close((cropped + 1) * 127.5, expected, 1e-6)


@pytest.mark.parametrize("resolution", [8, 32, 1024])
def test_crop_takes_the_same_part_at_any_resolution(resolution):
    rows, columns = np.mgrid[:resolution, :resolution] / resolution
    images = np.stack([rows, columns], axis=-1)[None]
    cropped = crop_face(images)
    assert cropped.shape == (1, resolution // 2, resolution // 2, 2)
    step = 1 / resolution
    np.testing.assert_allclose(cropped[0, 0, 0], [3 / 8, 2 / 8])
    np.testing.assert_allclose(cropped[0, -1, -1], [7 / 8 - step, 6 / 8 - step])


@pytest.mark.parametrize("shape", [(1, 4, 4, 3), (1, 16, 8, 3), (1, 12, 12, 3)])
def test_crop_refuses_other_sizes(shape):
    with pytest.raises(ValueError, match="multiple of 8"):
        crop_face(np.zeros(shape))


@pytest.mark.parametrize("case", ["a", "b"])
def test_reduction_is_the_official_one(official, case):
    distances = official[f"in/distances_{case}"]
    low, high, count = official[f"out/ppl_lo_hi_count_{case}"]
    actual = reduce_distances(distances)
    # Summation order of float32 is all that can differ.
    np.testing.assert_allclose(actual, official[f"out/ppl_{case}"], rtol=1e-6)
    kept = distances[(distances >= low) & (distances <= high)]
    assert len(kept) == count
    np.testing.assert_allclose(actual, kept.astype(np.float64).mean(), rtol=1e-6)


def test_reduction_keeps_the_bounds_and_drops_what_is_beyond():
    # 1 % and 99 % of 0..200 fall exactly on 2 and 198, which count.
    distances = np.arange(201.0)
    distances[200] = 1e9
    distances[0] = -1e6
    assert reduce_distances(distances) == np.arange(2, 199).mean()
    # Between two distances the outer one is the bound: nothing is dropped here.
    assert reduce_distances(np.array([1.0, 2.0, 6.0])) == 3.0


@pytest.mark.parametrize("distances", [[], [1.0, np.nan], [np.inf]])
def test_reduction_refuses_what_is_not_finite(distances):
    with pytest.raises(ValueError, match="not finite"):
        reduce_distances(np.array(distances))
