"""Grids of images."""

import numpy as np

from stylegan_jax.runtime.image_io import enlarge, image_grid


def test_image_grid():
    tiles = np.arange(5 * 2 * 3).reshape(5, 2, 3, 1).astype(np.uint8)
    grid = image_grid(enlarge(tiles, 4), 3)
    assert grid.shape == (2 * 4, 3 * 6, 1)
    for i, tile in enumerate(tiles):
        y, x = i // 3 * 4, i % 3 * 6
        np.testing.assert_array_equal(grid[y : y + 4 : 2, x : x + 6 : 2], tile)
    assert (grid[4:, 12:] == 255).all()
