"""The NumPy form of the order of images."""

import chex
import numpy as np
import pytest

from stylegan_jax.data import order, pipeline

# Around the powers of two at which the size of the cipher's blocks changes.
SIZES = [1, 2, 3, 100, 65_535, 65_536, 65_537, 70_000, 262_144, 262_145, 1_000_003]


@pytest.mark.parametrize("num_images", SIZES)
def test_it_equals_tensorflows(num_images):
    count = min(2_000, 2 * num_images)  # TensorFlow takes long for few images
    positions = np.concatenate(
        [np.arange(count), 17 * num_images - count // 2 + np.arange(count)]
    )
    wanted = pipeline._shuffled(positions, num_images, seed=7)
    actual = order.shuffled(positions, num_images, seed=7)
    chex.assert_type(actual, np.int64)
    np.testing.assert_array_equal(actual, wanted)


def test_it_equals_tensorflows_for_a_million_positions():
    positions = np.arange(1_000_000) + 2**33
    wanted = pipeline._shuffled(positions, 70_000, seed=2**40 + 1)
    np.testing.assert_array_equal(
        order.shuffled(positions, 70_000, seed=2**40 + 1), wanted
    )


def test_every_epoch_is_a_permutation_of_its_own():
    orders = [
        order.shuffled(epoch * 1000 + np.arange(1000), 1000, seed)
        for seed in (0, 1)
        for epoch in (0, 1)
    ]
    for indices in orders:
        np.testing.assert_array_equal(np.sort(indices), np.arange(1000))
    assert len({indices.tobytes() for indices in orders}) == 4
