"""Training, `evaluate` and `prepare` see the same pixels of any image file.

Random files of all kinds are read in the three ways, and compared with what they show.
What is compared is independent of `stylegan_jax.data`: alpha is laid on white in exact
integers, and images are cropped, resized and averaged by Pillow and NumPy.
"""

import random
import struct
import warnings
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from stylegan_jax.config import image_size
from stylegan_jax.data import common_headers, decoding, headers, images, pipeline
from stylegan_jax.data.decoding import encoded_problem
from stylegan_jax.data.images import ImageSpec
from stylegan_jax.data.interface import InvalidImage
from stylegan_jax.data.sources import from_path, open_source
from stylegan_jax.runtime.tensorflow import tensorflow
from tests.data import image_files
from tests.data.opened import data, prepare
from tests.data.raw_data import encoded, mutated

SIZE = (16, 24)  # height and width that training needs
SHAPE = {"base_size": (4, 6), "resolution": 16}
COUNT, MANY = 150, 6000  # files of one test, and of one that is marked slow


@pytest.fixture(autouse=True)
def _warnings_of_pillow_about_odd_files():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def on_white(shown: np.ndarray) -> np.ndarray:
    """Lay RGBA on white; no exact result lies halfway between two integers."""
    color, alpha = shown[..., :3].astype(int), shown[..., 3:].astype(int)
    return ((color * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def write(folder, files) -> None:
    """Write files with one ending; their content decides about their format."""
    folder.mkdir()
    for number, file in enumerate(files):
        (folder / f"{number:05d}.png").write_bytes(file.content)


def in_order(source, resolution=16) -> np.ndarray:
    read = pipeline.in_order(
        source, resolution=resolution, start=0, stop=source.num_images
    )
    return np.concatenate([some for some, _ in read])


def three_ways(tmp_path, files, channels, fit, **options) -> dict[str, np.ndarray]:
    """Return the images [N, H, W, C] as each of the three ways reads them."""
    write(tmp_path / "in", files)
    settings = SHAPE | {"channels": channels}
    found = {
        "train": in_order(
            open_source(data("folder", tmp_path / "in", fit=fit, **settings))
        )
    }
    if channels == 3:
        opened = from_path.open_path(str(tmp_path / "in"), SIZE, fit)
        found["evaluate"] = in_order(opened, 4)
    info = prepare(
        tmp_path / "in", tmp_path / "out", size=SIZE, channels=channels, **options
    )
    assert info["skipped"] == []
    source = open_source(data("prepared", tmp_path / "out", **settings))
    found["prepare"] = in_order(source)
    return found


def random_files(count, seed, size_of):
    rng = np.random.default_rng(seed)
    return [image_files.random_file(rng, *size_of(rng)) for _ in range(count)]


def check(files, found, expected) -> None:
    """Compare all images in all ways to the bit, and print the number of each kind."""
    for way, pixels in found.items():
        assert len(pixels) == len(files)
        wrong = [
            (way, number, file.kind)
            for number, file in enumerate(files)
            if not np.array_equal(pixels[number], expected[number])
        ]
        assert not wrong, f"{len(wrong)} of {len(files)}: {wrong[:5]}"
    kinds = Counter(file.kind.split()[0] for file in files)
    by_tensorflow = Counter(
        file.kind.split()[0]
        for file in files
        if headers.plain_size(file.content) is not None
    )
    print("\nfiles by format, and those that TensorFlow decodes:")
    for kind, count in sorted(kinds.items()):
        print(f"  {kind:5s} {count:6,} {by_tensorflow[kind]:6,}")
    assert set(kinds) == {"PNG", "JPEG", "MPO", "BMP", "GIF", "WebP", "TIFF", "PPM"}
    assert set(by_tensorflow) == {"PNG", "JPEG"}


counts = pytest.mark.parametrize(
    "count", [COUNT, pytest.param(MANY, marks=pytest.mark.slow)]
)


@counts
def test_images_of_the_right_size(tmp_path, count):
    files = random_files(count, count, lambda _: SIZE)
    found = three_ways(tmp_path, files, 3, "exact", multires=True)
    expected = [on_white(file.shown) for file in files]
    check(files, found, expected)

    # The next smaller stage of training, averaged there or stored by `prepare`
    means = [np.rint(e.reshape(8, 2, 12, 2, 3).mean((1, 3))) for e in expected]
    folder = open_source(data("folder", tmp_path / "in", **SHAPE))
    prepared = open_source(data("prepared", tmp_path / "out", **SHAPE))
    assert image_size(SHAPE["base_size"], 8) == (8, 12)
    for source in (folder, prepared):
        np.testing.assert_array_equal(in_order(source, 8), means)


@counts
def test_images_that_are_cropped_and_resized(tmp_path, count):
    def size_of(rng):
        return SIZE if rng.random() < 0.1 else rng.integers([16, 24], [70, 100])

    files = random_files(count, count + 1, size_of)
    found = three_ways(tmp_path, files, 3, "crop", crop="center")
    expected = []
    for file in files:
        image = Image.fromarray(on_white(file.shown))
        # The largest center of 2 rows to 3 columns, rounded half up
        rows = min(image.height, (4 * image.width + 3) // 6)
        columns = min(image.width, (6 * image.height + 2) // 4)
        left, top = (image.width - columns) // 2, (image.height - rows) // 2
        center = image.crop((left, top, left + columns, top + rows))
        expected.append(np.asarray(center.resize(SIZE[::-1], Image.LANCZOS)))
    check(files, found, expected)


@counts
def test_multiples_of_the_size_with_alpha(tmp_path, count):
    files = random_files(count // 2, count + 2, lambda _: (32, 48))
    write(tmp_path / "in", files)
    settings = SHAPE | {"channels": 4}
    source = open_source(data("folder", tmp_path / "in", fit="exact", **settings))
    boxes = [file.shown.reshape(16, 2, 24, 2, 4) for file in files]
    expected = [np.rint(box.mean((1, 3))) for box in boxes]
    check(files, {"train": in_order(source)}, expected)
    prepare(tmp_path / "in", tmp_path / "out", channels=4)
    prepared = open_source(data("prepared", tmp_path / "out", **settings))
    check(files, {"prepare": in_order(prepared)}, expected)


@counts
def test_gray_images(tmp_path, count):
    files = random_files(count // 2, count + 3, lambda _: SIZE)
    found = three_ways(tmp_path, files, 1, "exact")
    np.testing.assert_array_equal(found["train"], found["prepare"])
    weights = np.array([299, 587, 114]) / 1000
    expected = [on_white(file.shown) @ weights for file in files]
    difference = found["train"][..., 0] - np.array(expected)
    assert abs(difference).max() <= 0.5 + 1e-9  # rounded, ties either way


def test_colors_become_the_same_gray():
    tf = tensorflow()
    red = np.arange(0, 256, 5, np.uint8)
    others = np.arange(256, dtype=np.uint8)
    colors = np.stack(np.meshgrid(red, others, others), -1).reshape(-1, 3)
    ties = (colors @ np.int32([299, 587, 114])) % 1000 == 500
    chosen = np.concatenate([colors[ties], colors[::37]])[None]
    assert ties.sum() > 3000
    by_numpy = images.luma(chosen)
    by_tensorflow = images.to_channels(tf.constant(chosen), 1)[..., 0]
    np.testing.assert_array_equal(by_tensorflow, by_numpy)
    # `prepare` has always computed this product.
    product = np.float32(chosen) @ np.float32([0.299, 0.587, 0.114])
    assert (by_numpy != np.rint(product)).mean() < 0.05  # of ties, by BLAS


def recognizer(size):
    """Return `is_common` as a function from contents of files to bool."""
    tf = tensorflow()

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    @tf.autograph.experimental.do_not_convert
    def is_common(encoded):
        return common_headers.is_common(encoded, size)

    return lambda content: bool(is_common(content))


def rechunked(content: bytes, size: int) -> bytes:
    """Divide the pixels of a PNG without other chunks into chunks of a size."""
    head, end, data, position = content[:33], content[-12:], b"", 33
    while position < len(content) - 12:
        length = int.from_bytes(content[position : position + 4])
        data += content[position + 8 : position + 8 + length]
        position += length + 12
    parts = [data[i : i + size] for i in range(0, len(data), size)]
    return head + b"".join(image_files.chunk(b"IDAT", part) for part in parts) + end


def test_common_files_are_recognized_inside_graphs():
    is_common = recognizer((48, 64))
    is_common_of_another_size = recognizer((64, 48))
    rng = np.random.default_rng(0)
    for mode in ("L", "RGB", "LA", "RGBA"):
        image = image_files.picture(rng, 48, 64, mode)
        content = encoded(image)
        sizes = {len(content) - 57, 8192, 1000, 100, 13}
        others = [rechunked(content, size) for size in sizes]
        for png in (content, *others):
            assert is_common(png) and headers.plain_size(png) == (48, 64)
            np.testing.assert_array_equal(decoding.decode_pil(png), image)
            for place in (33, len(png) - 12):
                text = image_files.chunk(b"tEXt", b"Author\0me")
                assert not is_common(png[:place] + text + png[place:])
            assert not is_common(png + b"\0") and not is_common(png[:-1])
            assert not is_common_of_another_size(png)
    for mode, sampling in (("L", 0), ("RGB", 0), ("RGB", 1), ("RGB", 2)):
        image = image_files.picture(rng, 48, 64, mode)
        options = {"subsampling": sampling} if mode == "RGB" else {}
        for quality in (5, 75, 95):
            content = encoded(image, "JPEG", quality=quality, **options)
            assert is_common(content) and headers.plain_size(content) == (48, 64)
            exif = image_files.exif_bytes(6)
            turned = encoded(image, "JPEG", quality=quality, exif=exif, **options)
            assert not is_common(turned) and headers.plain_size(turned) is None
            assert not is_common(content + b"\0") and not is_common(content[:-1])
    for content in (b"", b"a", b"\xff\xd8\xff\xd9", b"\x89PNG\r\n\x1a\n"):
        assert not is_common(content)


@pytest.mark.parametrize("keyword", [b"interlace", b"transparency", b"exif", b"xmp"])
def test_texts_that_pillow_reads_as_properties_are_not_plain(keyword):
    content = encoded(image_files.picture(np.random.default_rng(0), 16, 24, "RGB"))
    texts = (image_files.chunk(b"tEXt", word + b"\0abc") for word in (b"a", keyword))
    other, text = (content[:33] + chunk + content[33:] for chunk in texts)
    assert headers.plain_size(other) == (16, 24)
    assert headers.plain_size(text) is None


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("size", [(0, 24), (16, 0)])
def test_images_without_pixels_are_not_plain(kind, size):
    content = bytearray(
        encoded(image_files.picture(np.random.default_rng(0), 16, 24, "RGB"), kind)
    )
    if kind == "PNG":
        content[16:24] = struct.pack(">II", *size[::-1])
    else:
        frame = content.index(b"\xff\xc0")
        content[frame + 5 : frame + 9] = struct.pack(">HH", *size)
    assert headers.plain_size(bytes(content)) is None
    reason = encoded_problem(bytes(content), ImageSpec(SIZE, 3, "exact"))
    assert reason.startswith("is ")


@pytest.mark.parametrize("count", [800, pytest.param(60_000, marks=pytest.mark.slow)])
def test_damaged_files_are_read_alike_or_refused(count):
    """TensorFlow decodes no file that Pillow refuses, or to other pixels."""
    rng, generator = random.Random(count), np.random.default_rng(count)
    plain, read, is_common = [], Counter(), recognizer((16, 24))
    for mode in ("L", "RGB", "RGBA"):
        picture = image_files.picture(generator, 16, 24, mode)
        plain += [encoded(picture), rechunked(encoded(picture), 200)] * 4
        if mode != "RGBA":
            plain += [
                encoded(picture, "JPEG"),
                encoded(picture, "JPEG", quality=95),
            ] * 4
    while len(plain) < 100:
        file = image_files.random_file(generator, 16, 24)
        if headers.plain_size(file.content):
            plain.append(file.content)
    for _ in range(count):
        content = mutated(rng.choice(plain), rng)
        if rng.random() < 0.7:
            content = with_valid_checksums(content)
        size = headers.plain_size(content)
        if is_common(content):
            assert size == (16, 24)
            read["common"] += 1
        if size is None or size[0] * size[1] > 10_000:
            continue
        try:
            by_tensorflow = decoding._decode_plain(content).numpy()
        except tensorflow().errors.OpError:
            # TensorFlow checks more, and the message names the damage.
            reason = encoded_problem(content, ImageSpec(size, 3, "exact"))
            assert reason.startswith("is ")
            read["refused"] += 1
            continue
        try:
            by_pillow = np.asarray(decoding.decode_pil(content))
        except InvalidImage as error:
            raise AssertionError(f"{content!r} was read") from error
        by_pillow = by_pillow.reshape(by_tensorflow.shape)
        np.testing.assert_array_equal(by_tensorflow, by_pillow)
        read[content[:1]] += 1
    kinds = ("common", "refused", b"\x89", b"\xff")
    assert min(read[kind] for kind in kinds) > 0.005 * count


def with_valid_checksums(content: bytes) -> bytes:
    """Make the checksums of a damaged PNG valid, so that decoders look further."""
    fixed, position = content[:8], 8
    if not content.startswith(b"\x89PNG"):
        return content
    while position + 12 <= len(content):
        length = int.from_bytes(content[position : position + 4])
        body = content[position + 4 : position + 8 + length]
        fixed += image_files.chunk(body[:4], body[4:])
        position += 12 + length
    return fixed
