"""The equations of drags, against SciPy and NumPy."""

import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from stylegan_jax.inversion import motion
from stylegan_jax.inversion.motion import Grid

GRID = Grid((16, 16), 1.0)


def test_bilinear_sampling():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(5, 7, 2)).astype(np.float32)
    x, y = rng.uniform(-2, 9, (2, 50))
    found = motion.bilinear(jnp.asarray(features), x, y)
    for c in range(2):
        expected = ndimage.map_coordinates(
            features[..., c], [y, x], order=1, mode="nearest"
        )
        np.testing.assert_allclose(found[:, c], expected, rtol=1e-4, atol=1e-5)


def test_features_have_the_center_of_the_image():
    """Four pixels share a feature, and there are three features of margin."""
    columns = np.arange(14.0)[None, :, None] * np.ones((10, 1, 1))
    grid = Grid((8, 16), 0.5)
    points = np.array([[7.5, 3.5], [0.5, 0.5], [14.5, 2]], np.float32)
    found = grid.sample(jnp.asarray(columns), points)[:, 0]
    np.testing.assert_allclose(found, [6.5, 3, 10])


def test_disks_are_those_of_the_paper():
    assert len(motion.disk(1)) == 1 and len(motion.disk(2)) == 9
    assert len(motion.disk(3)) == 25 and len(motion.disk(4)) == 45
    np.testing.assert_array_equal(motion.square(2)[0], [0, 0])
    assert len(motion.square(2)) == 25


def test_tracking_follows_a_shifted_image():
    rng = np.random.default_rng(1)
    before = rng.normal(size=(16, 16, 4)).astype(np.float32)
    after = jnp.asarray(np.roll(before, (2, -3), axis=(0, 1)))  # down, left
    points = np.array([[8, 4], [5, 9], [1, 14]], np.float32)
    pattern = GRID.sample(jnp.asarray(before), points)
    found = np.array(motion.track(GRID, after, jnp.asarray(points), pattern, 3))
    np.testing.assert_array_equal(found[:2], points[:2] + [-3, 2])
    assert np.all((found[2] >= 0) & (found[2] <= 15))  # its place is outside


def test_the_losses_are_those_of_the_paper():
    rng = np.random.default_rng(2)
    before, now = rng.normal(size=(2, 16, 16, 3)).astype(np.float32)
    points = np.array([[6, 7], [9, 3], [0, 0]], np.float32)
    targets = np.array([[9, 11], [9.5, 3], [5, 5]], np.float32)
    valid = np.array([True, True, False])
    found = motion.motion_loss(GRID, jnp.asarray(now), points, targets, valid, 2)

    def at(x, y):
        return [
            ndimage.map_coordinates(now[..., c], [[y], [x]], order=1)[0]
            for c in range(3)
        ]

    expected = 0.0
    for (x, y), (dx, dy) in (((6, 7), (0.6, 0.8)), ((9, 3), (0.5, 0.0))):
        differences = [
            np.abs(np.subtract(at(x + i + dx, y + j + dy), at(x + i, y + j)))
            for i in (-1, 0, 1)
            for j in (-1, 0, 1)
        ]
        expected += np.mean(differences)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    fixed = (rng.uniform(size=(16, 16)) < 0.5).astype(np.float32)
    np.testing.assert_allclose(
        motion.mask_loss(jnp.asarray(now), before, fixed),
        np.mean(np.abs(now - before) * fixed[..., None]),
        rtol=1e-5,
    )
