"""Images that are not square: sizes, cropping and error messages."""

import numpy as np
import pytest
from PIL import Image

from stylegan_jax import config
from stylegan_jax.data.interface import InvalidImage
from stylegan_jax.data.sources import open_source
from tests.data.opened import folder, open_failure, read
from tests.data.raw_data import random_image


def save(path, height, width) -> np.ndarray:
    picture = random_image((width, height), "RGB", seed=0)
    picture.save(path)
    return np.asarray(picture)


def test_exact_accepts_the_size_and_its_multiples(tmp_path):
    same = save(tmp_path / "a.png", 8, 16)
    large = save(tmp_path / "b.png", 32, 64)
    source = open_source(folder(tmp_path, base_size=(2, 4)))
    assert source.size == (8, 16)
    np.testing.assert_array_equal(read(source, 0)[0], same)
    mean = large.reshape(8, 4, 16, 4, 3).astype(np.float64).mean((1, 3))
    np.testing.assert_array_equal(read(source, 1)[0], np.rint(mean))


@pytest.mark.parametrize("size", [(16, 16), (16, 8), (24, 48), (8, 32), (4, 8)])
def test_exact_rejects_other_sizes(tmp_path, size):
    save(tmp_path / "a.png", *size)
    message = open_failure(folder(tmp_path, base_size=(2, 4)))
    assert "`data.resolution` (=16) and `data.base_size` (=(2, 4)); use" in message
    got = f"{tmp_path / 'a.png'} is {size[1]}x{size[0]} (width x height);"
    wanted = " `data.fit`='exact' takes 16x8, or 2, 4, 8... times that"
    assert got + wanted in message
    assert "`--config.data.fit=crop`" in message
    assert ("`--config.data.resolution=8`" in message) == (size[0] < 8 or size[1] < 16)
    other_shape = size not in [(24, 48), (4, 8)] and min(size[0] * 2, size[1]) >= 16
    assert ("`--config.data.base_size`" in message) == other_shape


@pytest.mark.parametrize("base_size", [(2, 4), (4, 2), (3, 5)])
@pytest.mark.parametrize("size", [(40, 41), (23, 90), (90, 23)])
def test_crop_keeps_the_center(tmp_path, base_size, size):
    """The crop is centered, as large as possible, and has the right shape."""
    height, width = config.image_size(base_size, 16)
    scale = min(size[0] / height, size[1] / width)
    crop = [int(scale * side + 0.5) for side in (height, width)]
    top, left = ((a - b) // 2 for a, b in zip(size, crop, strict=True))
    pixels = np.zeros([*size, 3], np.uint8)
    pixels[top : top + crop[0], left : left + crop[1]] = [10, 200, 90]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    source = open_source(folder(tmp_path, base_size=base_size, fit="crop"))
    image, _ = read(source)
    expected = np.broadcast_to([10, 200, 90], [height, width, 3])
    np.testing.assert_array_equal(image, expected)
    # A black frame shows up in the result, so the crop is not too small either.
    frame = pixels.copy()
    frame[top + 2 : top + crop[0] - 2, left + 2 : left + crop[1] - 2] = 0
    Image.fromarray(frame).save(tmp_path / "a.png")
    image, _ = read(source)
    assert image[0].any() and image[-1].any()
    assert image[:, 0].any() and image[:, -1].any()


def test_crop_rejects_small_images(tmp_path):
    save(tmp_path / "a.png", 40, 12)
    message = open_failure(folder(tmp_path, base_size=(2, 4), fit="crop"))
    assert "is 12x40 (width x height); `data.fit`='crop' takes images of at " in message
    assert "at least 16x8" in message
    assert "use `--config.data.resolution=8`, or remove these images" in message
    message = open_failure(folder(tmp_path, base_size=(2, 20), fit="crop"))
    assert "remove these images; the networks start at 20x2" in message


def test_sizes_are_checked_again_when_decoding(tmp_path):
    save(tmp_path / "a.png", 8, 16)
    source = open_source(folder(tmp_path, base_size=(2, 4)))
    save(tmp_path / "a.png", 16, 8)  # the same number of pixels
    with pytest.raises(InvalidImage, match="is 8x16"):
        read(source)
    assert source.check(0).startswith("is 8x16 (width x height); `data.fit`='exact'")


def test_builtin_images_are_cropped_only_on_request():
    data = config.Data(resolution=32, base_size=(4, 8))
    message = open_failure(data)
    assert "the built-in images is 64x64 (width x height); `data.fit`='e" in message
    assert "takes 64x32, or" in message and "`--config.data.fit=crop`" in message
    cropped = open_source(config.Data(resolution=32, base_size=(4, 8), fit="crop"))
    whole = open_source(config.Data(resolution=64))
    np.testing.assert_array_equal(read(cropped)[0], read(whole)[0][16:48])
    message = open_failure(config.Data(resolution=64, base_size=(4, 8)))
    assert "`data.resolution` (=64) must be at most 32 for the built-in" in message
