"""Image files to pixels of one size and number of channels, in training."""

import struct

import numpy as np
import pytest
from PIL import Image

from stylegan_jax.data import images
from stylegan_jax.data.decoding import ORIENTATION
from stylegan_jax.data.interface import InvalidImage
from stylegan_jax.data.sources import open_source
from stylegan_jax.runtime.image_io import composite_on_white
from stylegan_jax.runtime.tensorflow import tensorflow
from tests.data.opened import folder, read
from tests.data.raw_data import encoded, random_image, write_images


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P"])
def test_channels_are_converted(tmp_path, mode, channels):
    picture = random_image(mode="RGB" if mode == "P" else mode)
    if mode == "P":
        picture = picture.convert("P")
    picture.save(tmp_path / "a.png")
    image, _ = read(open_source(folder(tmp_path, channels=channels)))

    expected = picture.convert("RGBA")
    if channels < 4:
        white = Image.new("RGBA", picture.size, "white")
        white.alpha_composite(expected)
        expected = white.convert("RGB" if channels == 3 else "L")
    expected = np.asarray(expected).reshape(16, 16, channels)
    # Pillow composites and converts to gray in fixed point, each off by at most 1.
    tolerance = {4: 0, 3: 1, 1: 2}[channels]
    assert image.dtype == np.uint8
    np.testing.assert_allclose(image.astype(int), expected, atol=tolerance)


def test_alpha_is_composited_alike_by_numpy_and_tensorflow():
    gray_alpha = np.stack(np.indices([256, 256], np.uint8), -1)
    expected = composite_on_white(gray_alpha)
    graph = images.to_channels(tensorflow().constant(gray_alpha), 1)
    np.testing.assert_array_equal(graph, expected)
    exact = gray_alpha.astype(np.int64)
    exact = (exact[..., :1] * exact[..., 1:] + 255 * (255 - exact[..., 1:])) / 255
    np.testing.assert_allclose(expected, exact, atol=0.5 + 1e-6)


@pytest.mark.parametrize("suffix", ["jpg", "bmp", "gif", "webp", "JPEG"])
def test_formats_are_read(tmp_path, suffix):
    smooth = np.linspace(0, 255, 16).astype(np.uint8)
    pixels = np.broadcast_to(smooth[:, None, None], [16, 16, 3]).copy()
    Image.fromarray(pixels).save(tmp_path / f"a.{suffix}")
    image, _ = read(open_source(folder(tmp_path)))
    np.testing.assert_allclose(image.astype(int), pixels, atol=12)  # lossy formats


def test_exact_averages_multiples(tmp_path):
    write_images(tmp_path, ["a.png"], size=(16, 16))
    write_images(tmp_path, ["b.png"], size=(64, 64))
    source = open_source(folder(tmp_path))
    full = np.asarray(Image.open(tmp_path / "b.png"), np.float64)
    mean = full.reshape(16, 4, 16, 4, 3).mean((1, 3))
    np.testing.assert_array_equal(read(source, 1)[0], np.rint(mean))
    assert read(source, 0)[0].shape == (16, 16, 3)


def test_crop_takes_the_central_square(tmp_path):
    pixels = np.zeros([32, 96, 3], np.uint8)
    pixels[:, 32:64] = [10, 200, 90]
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    Image.fromarray(pixels.swapaxes(0, 1)).save(tmp_path / "tall.png")
    source = open_source(folder(tmp_path, fit="crop"))
    for index in range(2):
        image, _ = read(source, index)
        np.testing.assert_array_equal(
            image, np.broadcast_to([10, 200, 90], [16, 16, 3])
        )


def test_crop_keeps_images_of_the_right_size(tmp_path):
    write_images(tmp_path, ["a.png"])
    image, _ = read(open_source(folder(tmp_path, fit="crop")))
    np.testing.assert_array_equal(image, np.asarray(Image.open(tmp_path / "a.png")))


def test_crop_resizes_without_aliasing(tmp_path):
    checkers = np.indices([50, 50]).sum(0) % 2 * 255
    Image.fromarray(checkers.astype(np.uint8)).save(tmp_path / "a.png")
    image, _ = read(open_source(folder(tmp_path, fit="crop")))
    np.testing.assert_allclose(image[2:-2, 2:-2].astype(int), 127, atol=6)


def test_sizes_are_checked_again_when_decoding(tmp_path):
    write_images(tmp_path, ["a.png"])
    source = open_source(folder(tmp_path))
    random_image((64, 4)).save(tmp_path / "a.png")  # as many pixels as 16x16
    with pytest.raises(InvalidImage, match="is 64x4"):
        read(source)
    assert source.check(0).startswith("is 64x4 (width x height); `data.fit`=")


def test_images_with_an_exif_orientation_are_turned(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # to be rotated clockwise
    random_image((32, 48)).save(tmp_path / "a.png", exif=exif)
    source = open_source(folder(tmp_path, base_size=(8, 12)))
    stored = np.asarray(random_image((32, 48)))
    np.testing.assert_array_equal(read(source)[0], np.rot90(stored, -1))


def test_sixteen_bits_and_other_color_modes_are_read(tmp_path):
    gray = np.random.default_rng(0).integers(0, 65536, [16, 16], np.uint16)
    Image.fromarray(gray).save(tmp_path / "a.png")
    smooth = np.linspace(0, 255, 16).astype(np.uint8)
    inks = np.stack(np.broadcast_arrays(smooth[:, None], smooth, 40, 90), -1)
    cmyk = Image.fromarray(inks.astype(np.uint8), "CMYK")
    cmyk.save(tmp_path / "b.jpg", quality=95)
    source = open_source(folder(tmp_path))
    eight = np.broadcast_to(np.rint(gray / 257)[..., None], [16, 16, 3])
    np.testing.assert_array_equal(read(source, 0)[0], eight)
    found = read(source, 1)[0].astype(int)
    np.testing.assert_allclose(found, cmyk.convert("RGB"), atol=8)
    stored = Image.open(tmp_path / "b.jpg").convert("RGB")
    np.testing.assert_array_equal(found, stored)


def write_animation(path):
    frames = [Image.new("RGB", (16, 16), color) for color in ("red", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    with Image.open(path) as image:
        assert image.is_animated


@pytest.mark.parametrize("kind", ["gif", "png", "webp"])
def test_the_first_frame_of_animations_is_read(tmp_path, kind):
    write_animation(tmp_path / f"a.{kind}")
    image, _ = read(open_source(folder(tmp_path)))
    assert (image == [255, 0, 0]).all()


def test_a_gif_whose_first_frame_is_smaller_is_read(tmp_path):
    content = bytearray(encoded(random_image((8, 8), "L"), "GIF"))
    content[6:10] = struct.pack("<HH", 16, 16)  # the size of the whole image
    (tmp_path / "a.gif").write_bytes(content)
    image, _ = read(open_source(folder(tmp_path)))
    with Image.open(tmp_path / "a.gif") as whole:
        np.testing.assert_array_equal(image, whole.convert("RGB"))
