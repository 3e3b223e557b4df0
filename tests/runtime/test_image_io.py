"""Images are converted, arranged and written as specified."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.runtime import image_io, storage
from tests import goldens


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def test_image_grid():
    images = noise(5, 2, 3, 3)
    grid = image_io.image_grid(images, 2)
    assert grid.shape == (6, 6, 3) and grid.dtype == np.uint8
    np.testing.assert_array_equal(grid[2:4, 3:], images[3])
    np.testing.assert_array_equal(grid[4:, :3], images[4])
    assert (grid[4:, 3:] == 255).all()
    np.testing.assert_array_equal(image_io.image_grid(images[:1], 1), images[0])
    with pytest.raises(ValueError, match=r"\[5, 2, 3, 3\] float32"):
        image_io.image_grid(images.astype(np.float32), 2)
    with pytest.raises(ValueError, match="columns"):
        image_io.image_grid(images, 0)


def test_images_are_enlarged_only_on_request():
    images = noise(1, 4, 8, 3)
    assert image_io.enlarge(images, None).shape == (1, 4, 8, 3)
    assert image_io.enlarge(images, 4).shape == (1, 4, 8, 3)
    assert image_io.enlarge(images, 5).shape == (1, 8, 16, 3)


def test_files_are_written_atomically(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    image_io.save_png(path, noise(4, 4, 3))
    before = path.read_bytes()

    def fail(descriptor):
        raise OSError("disk full")

    monkeypatch.setattr(storage.os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        image_io.save_png(path, noise(8, 8, 3))
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    with pytest.raises(ValueError, match=r"\[4, 4, 2\]"):
        image_io.save_png(path, noise(4, 4, 2))


def test_to_uint8_equals_official():
    data = goldens.arrays("stylegan1/process_reals.npz")
    actual = image_io.to_uint8(data["in/float_images"])
    np.testing.assert_array_equal(actual, data["out/convert_images_to_uint8"])
    nhwc = image_io.to_uint8(goldens.nhwc(data["in/float_images"]))
    np.testing.assert_array_equal(nhwc, data["out/convert_images_to_uint8_nhwc"])


@pytest.mark.filterwarnings("error")
def test_to_uint8_at_the_limits_of_its_range():
    x = [-math.inf, -1e38, -1, 0, 1, 1e38, math.inf, math.nan]
    assert image_io.to_uint8(np.array(x)).tolist() == [0, 0, 0, 128, 255, 255, 255, 0]
    assert image_io.to_uint8(jnp.ones(2, jnp.bfloat16)).tolist() == [255, 255]
    every = np.arange(256, dtype=np.uint8)
    floats = every.astype(np.float32) / np.float32(127.5) - 1
    np.testing.assert_array_equal(image_io.to_uint8(floats), every)


def test_enlarged_rectangles_in_a_grid():
    tiles = np.arange(5 * 2 * 3).reshape(5, 2, 3, 1).astype(np.uint8)
    grid = image_io.image_grid(image_io.enlarge(tiles, 4), 3)
    assert grid.shape == (2 * 4, 3 * 6, 1)
    for i, tile in enumerate(tiles):
        y, x = i // 3 * 4, i % 3 * 6
        np.testing.assert_array_equal(grid[y : y + 4 : 2, x : x + 6 : 2], tile)
    assert (grid[4:, 12:] == 255).all()
