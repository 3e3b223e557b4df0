"""Statistics are those of the first images, and one that fails leaves the others."""

import numpy as np
import pytest

from stylegan_jax.metrics.frechet import MOMENTS, Gaussian, fit_gaussian
from stylegan_jax.metrics.statistics import (
    CLASSES,
    POOL,
    ImageBatch,
    Networks,
    Statistic,
    StatisticsAccumulator,
    gather_rows,
)
from tests.metrics import stand_ins

WANTED = (MOMENTS, POOL, CLASSES)


def batches(devices, wanted, networks=None, count=3):
    rng = np.random.RandomState(0)
    for _ in range(count):
        images = rng.randint(0, 256, (8, 4, 4, 3)).astype(np.uint8)
        labels = np.eye(8, dtype=np.float32)
        batch = ImageBatch(images, labels, networks or Networks(stand_ins.Projection()))
        yield batch, gather_rows(batch, wanted, devices)


def test_the_first_images_count(devices):
    pairs = Statistic(
        "pairs", lambda x: x.images[::2].mean((1, 2, 3)), images_per_row=2
    )
    accumulator = StatisticsAccumulator(20, (*WANTED, pairs), seed=0)
    pools = []
    for batch, rows in batches(devices, (*WANTED, pairs)):
        assert batch.networks.detector.seen == 8  # once for all statistics
        assert rows[MOMENTS.compute] is rows[POOL.compute]
        assert accumulator.pending
        accumulator.add(rows, 8)
        pools.append(rows[POOL.compute])
    assert not accumulator.pending
    found = accumulator.result()
    assert found.count == 20 and found[pairs].shape == (10,)
    np.testing.assert_array_equal(found[POOL], np.concatenate(pools)[:20])
    np.testing.assert_array_equal(found[CLASSES], np.arange(24)[:20] % 8)
    expected = fit_gaussian(found[POOL])
    np.testing.assert_allclose(found[MOMENTS].mean, expected.mean)


def test_a_statistic_that_fails_leaves_the_others(devices):
    accumulator = StatisticsAccumulator(24, WANTED, seed=0)
    for index, (_, rows) in enumerate(batches(devices, WANTED)):
        if index == 1:
            rows[POOL.compute][3] = np.nan
        accumulator.add(rows, 8)
    found = accumulator.result()
    assert found[POOL].shape == (24, 5) and len(found[CLASSES]) == 24
    with pytest.raises(ValueError, match="features of images 8 to 15 are not finite"):
        found[MOMENTS]


def test_values_survive_the_cache():
    gaussian = fit_gaussian(np.random.default_rng(0).normal(size=(9, 3)))
    again = MOMENTS.from_arrays(MOMENTS.to_arrays(gaussian))
    assert isinstance(again, Gaussian) and again.factor is gaussian.factor
    rows = np.ones((2, 3))
    assert POOL.to_arrays(rows).keys() == {"pool"}
    assert POOL.from_arrays(POOL.to_arrays(rows)) is rows


def test_images_without_labels_and_with_alpha():
    images = np.zeros((2, 4, 4, 4), np.uint8)
    batch = ImageBatch(images, np.zeros((2, 0), np.float32), Networks())
    assert np.all(batch.images == 255) and batch.images.shape == (2, 4, 4, 3)
    np.testing.assert_array_equal(batch.classes, [0, 0])
    with pytest.raises(AssertionError):
        ImageBatch(images[0], np.zeros((2, 0)), Networks())
