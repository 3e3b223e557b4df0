import io
import json

import numpy as np
import pytest
from PIL import Image, ImageOps

from stylegan_jax.data import images
from stylegan_jax.data.formats.collection import Unusable
from stylegan_jax.data.images import ORIENTATION
from stylegan_jax.data.preparation import transform
from stylegan_jax.runtime.tensorflow import tensorflow
from tests import goldens

TRANSFORMS = "stylegan2_and_3/I6_dataset_transforms"


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise(*shape) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def test_transforms_are_nvidias():
    cases = json.loads(goldens.path(f"{TRANSFORMS}.json").read_text())["cases"]
    arrays = goldens.arrays(f"{TRANSFORMS}.npz")
    for case in cases:
        image = Image.fromarray(arrays[f"in/{case['img']}"])
        size = (case["height"] or image.height, case["width"] or image.width)
        crop = {
            None: "none",
            "center-crop": "center",
            "center-crop-wide": "center-wide",
        }[case["transform"]]
        if case["dropped"]:
            own = (image.height, image.width)
            assert transform.size_problem(own, size, crop), case
            continue
        result = np.asarray(transform.fit(image, size, crop, case["filter"]))
        np.testing.assert_array_equal(result, arrays[f"out/{case['id']}"], str(case))


def test_levels_are_nvidias():
    arrays = goldens.arrays("stylegan1/dataset_pyramid.npz")
    for index, image in enumerate(goldens.nhwc(arrays["in/images_uint8"])):
        for level in transform.halvings(image, 3):
            expected = arrays[f"out/level_{level.shape[0]}x{level.shape[0]}"][index]
            np.testing.assert_array_equal(level.transpose(2, 0, 1), expected)


def test_levels_are_what_training_averages():
    image = noise(64, 32, 3)
    for level in transform.halvings(image, 3)[1:]:
        averaged = images.box_average(tensorflow().constant(image), level.shape[:2])
        np.testing.assert_array_equal(level, averaged)


def test_area_is_the_mean_over_whole_and_broken_pixels():
    image = noise(12, 12, 3)
    small = transform.fit(Image.fromarray(image), (4, 4), "none", "area")
    mean = image.reshape(4, 3, 4, 3, 3).mean((1, 3))
    np.testing.assert_array_equal(small, np.rint(mean))
    row = Image.fromarray(np.uint8([[90, 0, 30]]))  # 2 of 3: 1.5 pixels each
    small = transform.fit(row, (1, 2), "none", "area")
    np.testing.assert_array_equal(small, [[60, 20]])


def test_center_has_the_ratio_of_the_result():
    pixels = np.zeros([40, 80, 3], np.uint8)
    pixels[:, 10:70] = 200
    image = transform.fit(Image.fromarray(pixels), (20, 30), "center", "box")
    assert (np.asarray(image) == 200).all() and image.size == (30, 20)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P"])
def test_channels_are_those_of_training(mode, channels):
    tf = tensorflow()
    shape = {"L": (9, 7), "P": (9, 7, 3)}.get(mode, (9, 7, len(mode)))
    image = Image.fromarray(noise(*shape))
    content = encoded(image.convert("P") if mode == "P" else image)
    ours = np.asarray(transform.to_channels(transform.decode(content), channels))
    theirs = images.to_channels(images.decode(tf.constant(content)), channels)
    difference = ours.reshape(9, 7, channels).astype(int) - theirs.numpy()
    assert abs(difference).max() <= 1  # one may round a tie of float32 up


def test_orientation_is_applied():
    pixels = noise(8, 16, 3)
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # to be turned clockwise
    content = encoded(Image.fromarray(pixels), exif=exif)
    header = transform.header(content)
    assert (header.height, header.width) == (16, 8)
    turned = np.asarray(transform.decode(content))
    np.testing.assert_array_equal(turned, np.rot90(pixels, -1))
    content = encoded(Image.fromarray(pixels), "JPEG", exif=exif)
    assert not transform.is_plain_jpeg(content, 3)
    content = encoded(Image.fromarray(pixels), "JPEG")
    assert transform.is_plain_jpeg(content, 3)
    assert not transform.is_plain_jpeg(content, 1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(10))
def test_all_orientations_are_pillows(kind, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    content = encoded(Image.fromarray(noise(8, 16, 3)), kind, exif=exif)
    with Image.open(io.BytesIO(content)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    np.testing.assert_array_equal(transform.decode(content), expected)
    header = transform.header(content)
    assert (header.height, header.width) == expected.shape[:2]
    if kind == "TIFF":
        return  # training takes none
    turned = orientation in range(2, 9)
    refused = isinstance(images.header(content, plain=True), str)
    assert refused == turned and images.header(content) == (8, 16)
    if kind == "JPEG":
        assert transform.is_plain_jpeg(content, 3) != turned


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_an_image_with_damaged_exif_is_read():
    pixels = noise(8, 16, 3)
    for exif in (b"Exif\0\0MM\0*\0\0\0\x08\0\x09", b"Exif\0\0hello", b"Exif\0\0"):
        content = encoded(Image.fromarray(pixels), exif=exif)
        np.testing.assert_array_equal(transform.decode(content), pixels)
        assert images.header(content, plain=True) == (8, 16)


def test_sixteen_bits_are_rounded_to_eight():
    pixels = np.uint16([[0, 128, 129, 257 * 7, 65535]])
    image = transform.decode(encoded(Image.fromarray(pixels)))
    assert np.asarray(image).tolist() == [[0, 0, 1, 7, 255]]


def test_sixteen_bits_of_color_are_cut_to_the_upper_eight_as_in_training():
    tf = tensorflow()
    values = np.arange(0, 65536, 65535 // 47, np.uint16)[:48]
    pixels = values.reshape(4, 4, 3)
    content = tf.io.encode_png(tf.constant(pixels)).numpy()
    ours = np.asarray(transform.decode(content))
    np.testing.assert_array_equal(ours, pixels >> 8)
    np.testing.assert_array_equal(images.decode(tf.constant(content)), pixels >> 8)


def test_other_color_modes_and_transparency():
    assert transform.decode(encoded(Image.new("CMYK", (4, 4)), "JPEG")).mode == "RGB"
    assert transform.decode(encoded(Image.new("1", (4, 4)))).mode == "L"
    palette = Image.new("P", (4, 4), 1)
    assert transform.decode(encoded(palette, transparency=1)).mode == "RGBA"
    with pytest.raises(Unusable, match="32 bits"):
        transform.decode(encoded(Image.new("F", (4, 4)), "TIFF"))


def test_animations_give_their_first_image():
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert transform.header(content).animated
    image = np.asarray(transform.decode(content).convert("RGB"))
    assert (image == [255, 0, 0]).all()


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"hello", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", "not an image"),
        (encoded(Image.fromarray(noise(64, 64, 3)))[:3000], "is damaged"),
        (encoded(Image.new("1", (10000, 10000))), "10000x10000.*are refused"),
        (encoded(Image.new("1", (20000, 20000))), "is too large"),
    ],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_is_refused(content, reason):
    with pytest.raises(Unusable, match=reason):
        transform.decode(content)
