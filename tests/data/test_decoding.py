"""Pillow's decoders and geometry, compared with NVIDIA's tool and with training."""

import io
import json
import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from stylegan_jax.data import decoding, headers, images
from stylegan_jax.data.decoding import ORIENTATION
from stylegan_jax.data.images import ImageSpec
from stylegan_jax.data.interface import InvalidImage
from stylegan_jax.runtime.tensorflow import tensorflow
from tests import goldens
from tests.data import image_files
from tests.data.raw_data import encoded, noise

TRANSFORMS = "stylegan2_and_3/I6_dataset_transforms"


def test_crops_are_those_of_nvidia():
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
            assert images.size_problem_pil(own, size, crop), case
            continue
        result = np.asarray(images.fit_pil(image, size, crop, case["filter"]))
        np.testing.assert_array_equal(result, arrays[f"out/{case['id']}"], str(case))


def test_levels_are_those_of_nvidia():
    arrays = goldens.arrays("stylegan1/dataset_pyramid.npz")
    for index, image in enumerate(goldens.nhwc(arrays["in/images_uint8"])):
        for level in images.pyramid(image, 3):
            expected = arrays[f"out/level_{level.shape[0]}x{level.shape[0]}"][index]
            np.testing.assert_array_equal(level.transpose(2, 0, 1), expected)


def test_levels_are_what_training_averages():
    image = noise(64, 32, 3)
    for level in images.pyramid(image, 3)[1:]:
        averaged = images.box_average(tensorflow().constant(image), level.shape[:2])
        np.testing.assert_array_equal(level, averaged)


def test_area_is_the_mean_over_whole_and_partial_pixels():
    image = noise(12, 12, 3)
    small = images.fit_pil(Image.fromarray(image), (4, 4), "none", "area")
    mean = image.reshape(4, 3, 4, 3, 3).mean((1, 3))
    np.testing.assert_array_equal(small, np.rint(mean))
    row = Image.fromarray(np.uint8([[90, 0, 30]]))  # 2 of 3: 1.5 pixels each
    small = images.fit_pil(row, (1, 2), "none", "area")
    np.testing.assert_array_equal(small, [[60, 20]])


def test_center_crop_has_the_ratio_of_the_result():
    pixels = np.zeros([40, 80, 3], np.uint8)
    pixels[:, 10:70] = 200
    image = images.fit_pil(Image.fromarray(pixels), (20, 30), "center", "box")
    assert (np.asarray(image) == 200).all() and image.size == (30, 20)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P"])
def test_channels_are_those_of_training(mode, channels):
    shape = {"L": (9, 7), "P": (9, 7, 3)}.get(mode, (9, 7, len(mode)))
    image = Image.fromarray(noise(*shape))
    content = encoded(image.convert("P") if mode == "P" else image)
    ours = np.asarray(images.to_channels_pil(decoding.decode_pil(content), channels))
    theirs = decoding.load_encoded(content, ImageSpec((9, 7), channels, "exact"))
    np.testing.assert_array_equal(ours.reshape(9, 7, channels), theirs)


def test_orientation_is_applied():
    pixels = noise(8, 16, 3)
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # to be rotated clockwise
    content = encoded(Image.fromarray(pixels), exif=exif)
    header = decoding.read_header(content)
    assert (header.height, header.width) == (16, 8)
    turned = np.asarray(decoding.decode_pil(content))
    np.testing.assert_array_equal(turned, np.rot90(pixels, -1))
    content = encoded(Image.fromarray(pixels), "JPEG", exif=exif)
    assert not decoding.is_plain_jpeg(content, 3)
    content = encoded(Image.fromarray(pixels), "JPEG")
    assert decoding.is_plain_jpeg(content, 3)
    assert not decoding.is_plain_jpeg(content, 1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(10))
def test_all_orientations_are_pillows(kind, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    content = encoded(Image.fromarray(noise(8, 16, 3)), kind, exif=exif)
    with Image.open(io.BytesIO(content)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    np.testing.assert_array_equal(decoding.decode_pil(content), expected)
    header = decoding.read_header(content)
    assert (header.height, header.width) == expected.shape[:2]
    assert decoding.size_or_problem(content) == expected.shape[:2]
    spec = ImageSpec(expected.shape[:2], 3, "exact")
    np.testing.assert_array_equal(decoding.load_encoded(content, spec), expected)
    turned = orientation in range(2, 9)
    if kind == "JPEG":
        assert decoding.is_plain_jpeg(content, 3) != turned
    if kind in ("JPEG", "PNG") and orientation in range(1, 9):
        assert (headers.plain_size(content) is None) == turned


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_an_image_with_damaged_exif_is_read():
    pixels = noise(8, 16, 3)
    for exif in (b"Exif\0\0MM\0*\0\0\0\x08\0\x09", b"Exif\0\0hello", b"Exif\0\0"):
        content = encoded(Image.fromarray(pixels), exif=exif)
        np.testing.assert_array_equal(decoding.decode_pil(content), pixels)
        assert decoding.size_or_problem(content) == (8, 16)


def test_sixteen_bits_are_rounded_to_eight():
    pixels = np.uint16([[0, 128, 129, 257 * 7, 65535]])
    image = decoding.decode_pil(encoded(Image.fromarray(pixels)))
    assert np.asarray(image).tolist() == [[0, 0, 1, 7, 255]]


def test_sixteen_bits_of_color_are_cut_to_the_upper_eight():
    tf = tensorflow()
    values = np.arange(0, 65536, 65535 // 47, np.uint16)[:48]
    pixels = values.reshape(4, 4, 3)
    content = tf.io.encode_png(tf.constant(pixels)).numpy()
    ours = np.asarray(decoding.decode_pil(content))
    np.testing.assert_array_equal(ours, pixels >> 8)


@pytest.mark.parametrize("kind", ["eXIf", "iTXt"])
def test_exif_behind_the_pixels_of_a_png_turns_it(kind):
    """Pillow finds it only when it decodes the image."""
    pixels = noise(8, 16, 3)
    turn = image_files.exif_bytes(6).removeprefix(b"Exif\0\0")
    if kind == "iTXt":
        turn = b"XML:com.adobe.xmp\0\0\0\0\0" + image_files.xmp(6).encode()
    content = encoded(Image.fromarray(pixels))
    content = content[:-12] + image_files.chunk(kind.encode(), turn) + content[-12:]
    upright = np.rot90(pixels, -1)
    assert decoding.size_or_problem(content) == (16, 8)
    np.testing.assert_array_equal(decoding.decode_pil(content), upright)
    spec = ImageSpec((16, 8), 3, "exact")
    np.testing.assert_array_equal(decoding.load_encoded(content, spec), upright)


@pytest.mark.parametrize("photometric", [0, 1])
def test_sixteen_bits_of_tiffs_where_white_is_zero(photometric):
    pixels = np.uint16([[0, 129, 65535]])
    content = bytearray(encoded(Image.fromarray(pixels), "TIFF"))
    entry = struct.pack("<HHI", 262, 3, 1)  # the tag PhotometricInterpretation
    content[content.index(entry) + 8] = photometric
    gray = [[0, 1, 255]] if photometric else [[255, 254, 0]]
    assert np.asarray(decoding.decode_pil(bytes(content))).tolist() == gray


def tiff(rows: bytes, height: int, width: int, bits: int) -> bytes:
    """TIFF of gray values whose rows are packed into bytes."""
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 273: 0, 277: 1}
    tags |= {278: height, 279: len(rows)}
    tags[273] = 8 + 2 + 12 * len(tags) + 4  # begin of the rows
    entries = (struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return (
        struct.pack("<2sHIH", b"II", 42, 8, len(tags))
        + b"".join(entries)
        + bytes(4)
        + rows
    )


def test_twelve_bits_are_rounded_to_eight():
    rows = bytes.fromhex("000800fff0 ff70100010")  # 3 values in each, and 4 bits
    content = tiff(rows, 2, 3, 12)
    expected = np.rint(np.array([[0, 0x800, 0xFFF], [0xFF7, 16, 1]]) * 255 / 4095)
    np.testing.assert_array_equal(decoding.decode_pil(content), expected)
    assert decoding.read_header(content).gray


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("tag", [None, 1, 6])
def test_xmp_turns_a_tiff_without_the_tag(compression, tag):
    tags = {700: image_files.xmp(6).encode()} | ({ORIENTATION: tag} if tag else {})
    pixels = noise(8, 16, 3)
    image = Image.fromarray(pixels)
    content = encoded(image, "TIFF", tiffinfo=tags, compression=compression)
    expected = pixels if tag == 1 else np.rot90(pixels, -1)
    np.testing.assert_array_equal(decoding.decode_pil(content), expected)
    assert decoding.size_or_problem(content) == expected.shape[:2]


def test_other_color_modes_and_transparency():
    assert decoding.decode_pil(encoded(Image.new("CMYK", (4, 4)), "JPEG")).mode == "RGB"
    assert decoding.decode_pil(encoded(Image.new("1", (4, 4)))).mode == "L"
    palette = Image.new("P", (4, 4), 1)
    assert decoding.decode_pil(encoded(palette, transparency=1)).mode == "RGBA"
    with pytest.raises(InvalidImage, match="32 bits"):
        decoding.decode_pil(encoded(Image.new("F", (4, 4)), "TIFF"))


def test_animations_give_their_first_frame():
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decoding.read_header(content).animated
    image = np.asarray(decoding.decode_pil(content).convert("RGB"))
    assert (image == [255, 0, 0]).all()


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"hello", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", "not an image"),
        (encoded(Image.fromarray(noise(64, 64, 3)))[:3000], "is damaged"),
        (encoded(Image.new("1", (10000, 10000))), "10000x10000.*are allowed"),
        (encoded(Image.new("1", (20000, 20000))), "is too large"),
    ],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_unusable_images_are_refused(content, reason):
    with pytest.raises(InvalidImage, match=reason):
        decoding.decode_pil(content)
