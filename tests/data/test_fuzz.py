"""Damaged files of every kind: each is either read or refused."""

import random
import zipfile

import numpy as np
import pytest
from PIL import Image

from stylegan_jax.data import decoding, formats, preparation
from stylegan_jax.data.decoding import ORIENTATION, encoded_problem, size_or_problem
from stylegan_jax.data.images import ImageSpec
from stylegan_jax.data.interface import InvalidImage
from stylegan_jax.data.preparation.options import PrepareOptions
from stylegan_jax.data.sources import open_source
from stylegan_jax.runtime.tensorflow import tensorflow
from tests.data.opened import data, take
from tests.data.raw_data import encoded, mutated, noise, nvidia_folder, pack, png

KINDS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM")


def images(orientation: int = 6) -> list[bytes]:
    """Return one image of each kind, most with EXIF, and PNGs of other modes."""
    picture = Image.fromarray(noise(24, 32, 3))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    found = []
    for kind in KINDS:
        has_exif = kind in ("PNG", "JPEG", "WEBP", "TIFF")
        found.append(encoded(picture, kind, **({"exif": exif} if has_exif else {})))
    return found + [encoded(picture.convert(mode)) for mode in ("P", "1", "LA")]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("count", [300, pytest.param(2000, marks=pytest.mark.slow)])
def test_damaged_images_are_read_or_refused(count):
    rng, originals = random.Random(count), images()
    read = 0
    for _ in range(count):
        content = mutated(rng.choice(originals), rng)
        try:
            decoding.read_header(content)
            image = decoding.decode_pil(content)
        except InvalidImage:
            continue
        read += 1
        assert image.mode in ("L", "LA", "RGB", "RGBA") and image.size > (0, 0)
        decoding.is_plain_jpeg(content, 3)
    assert 0.1 * count < read < 0.9 * count


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("count", [30, pytest.param(500, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tfrecords"])
def test_damaged_archives_lose_only_what_is_damaged(tmp_path, kind, count):
    rng = random.Random(count)
    if kind == "tfrecords":
        nvidia_folder(tmp_path / "in", [noise(8, 3, 16, 16)])
        path = tmp_path / "in" / "set-r04.tfrecords"
    else:
        path = pack(kind, tmp_path / "raw", {f"{i}.png": png(i) for i in range(8)})
    whole = path.read_bytes()
    for number in range(count):
        path.write_bytes(mutated(whole, rng))
        out = tmp_path / f"out{number}"
        try:
            opened = formats.open_raw_dataset(str(path))
            info = preparation.prepare(opened, PrepareOptions(out), lambda *_: None)
        except ValueError:
            assert not out.exists()
            continue
        assert info["num_images"] + len(info["skipped"]) == len(opened.names)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("count", [100, pytest.param(2000, marks=pytest.mark.slow)])
def test_training_names_what_it_cannot_read(tmp_path, count):
    rng, originals = random.Random(count), images()
    settings = {"resolution": 32, "base_size": (3, 4)}
    spec = ImageSpec((24, 32), 3, "exact")
    good, bad, late = {}, {}, {}
    for number in range(count):
        content = mutated(rng.choice(originals), rng)
        name = f"{number:04d}.png"
        problem = encoded_problem(content, spec)
        opens = size_or_problem(content) == spec.size
        (good if opens and problem is None else bad)[name] = content
        if opens and problem is not None:
            late[name] = content  # detected only when it is decoded
    assert min(len(good), len(bad), len(late)) > 0.02 * count
    source = open_source(
        data("folder", pack("folder", tmp_path / "a", good), **settings)
    )
    delivered, _ = take(source, -(-len(good) // 4))
    assert delivered.shape[1:] == (*spec.size, 3) and len(delivered) >= len(good)
    # Opening finds damaged headers; damaged content is reported when it is decoded.
    with pytest.raises(ValueError, match="cannot be used as they are; remove or"):
        open_source(
            data("folder", pack("folder", tmp_path / "b", good | bad), **settings)
        )
    source = open_source(
        data("folder", pack("folder", tmp_path / "c", good | late), **settings)
    )
    with pytest.raises(ValueError, match="repair, replace or remove it") as error:
        take(source, -(-source.num_images // 4))
    assert str(error.value).split(" ")[0].rpartition("/")[2] in late
    assert [source.check(i) is not None for i in range(source.num_images)] == [
        name in late for name in sorted(good | late)
    ]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("count", [30, pytest.param(500, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["zip", "tfrecords", "prepared"])
def test_training_refuses_or_reads_damaged_archives(tmp_path, kind, count):
    rng = random.Random(count)
    path = pack("zip", tmp_path / "raw", {f"{i}.png": png(i) for i in range(8)})
    root = damaged = path
    if kind == "tfrecords":
        root = tmp_path / "in"
        nvidia_folder(root, [noise(8, 3, side, side) for side in (8, 16)])
        damaged = root / "set-r04.tfrecords"
    elif kind == "prepared":
        root = tmp_path / "out"
        preparation.prepare(
            formats.open_raw_dataset(str(path)), PrepareOptions(root), lambda *_: None
        )
        damaged = root / "r0016-00000-of-00001.tfrecord"
    whole, read, refused = damaged.read_bytes(), 0, 0
    for _ in range(count):
        damaged.write_bytes(mutated(whole, rng))
        try:
            source = open_source(data(kind, root))
        except ValueError:
            refused += 1
            continue
        for index in range(source.num_images):
            try:
                image, _ = source.load(tensorflow().constant(index, "int64"))
                read += 1
                assert image.shape == (16, 16, 3)
            except (tensorflow().errors.OpError, InvalidImage, UnicodeDecodeError):
                refused += 1
                assert source.check(index)
    assert read > 0 and refused > 0.1 * count


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("count", [100, pytest.param(2000, marks=pytest.mark.slow)])
def test_intact_images_among_damaged_ones_are_kept(tmp_path, count):
    rng, originals = random.Random(count), images()
    files = {f"whole/{i}.png": png(i, size=(32, 24)) for i in range(count // 10)}
    for number in range(count):
        files[f"damaged/{number}.png"] = mutated(rng.choice(originals), rng)
    path = pack("zip", tmp_path / "raw", files)
    opened = formats.open_raw_dataset(str(path))
    request = PrepareOptions(tmp_path / "out", size=(24, 32), workers=2)
    info = preparation.prepare(opened, request, lambda *_: None)
    skipped = {name for name, _ in info["skipped"]}
    assert len(skipped) + info["num_images"] == len(files)
    assert skipped and all(name.startswith("damaged/") for name in skipped)
    # Training reads all images that were kept.
    source = open_source(
        data("prepared", tmp_path / "out", resolution=32, base_size=(3, 4))
    )
    assert source.num_images == info["num_images"]
    delivered, _ = take(source, -(-source.num_images // 4))
    assert len(delivered) >= source.num_images


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_unreadable_label_file_is_reported(tmp_path, kind):
    files = {"1.png": png(1), "dataset.json": b""}
    opened = formats.open_raw_dataset(str(pack(kind, tmp_path / "empty", files)))
    with pytest.raises(ValueError, match="dataset.json of .* is empty; repair or rem"):
        preparation.choose_labels(opened, "auto")


def test_intact_entries_of_a_damaged_zip_are_kept(tmp_path):
    path = pack("zip", tmp_path / "raw", {f"{i}.png": png(i) for i in range(8)})
    with zipfile.ZipFile(path) as archive:
        entry = archive.infolist()[3]
    content = bytearray(path.read_bytes())
    content[entry.header_offset + 200] ^= 1
    path.write_bytes(content)
    opened = formats.open_raw_dataset(str(path))
    info = preparation.prepare(
        opened, PrepareOptions(tmp_path / "out"), lambda *_: None
    )
    assert info["num_images"] == 7 and np.ravel(info["skipped"])[0] == "3.png"
