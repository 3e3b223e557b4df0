"""Damaged files of every kind: each is read or refused, and nothing else happens."""

import io
import random
import zipfile

import numpy as np
import pytest
from PIL import Image

from stylegan_jax import config
from stylegan_jax.data import formats, preparation
from stylegan_jax.data.formats.collection import Unusable
from stylegan_jax.data.images import (
    ORIENTATION,
    encoded_problem,
    header,
    tensorflow,
)
from stylegan_jax.data.preparation import transform
from stylegan_jax.data.preparation.request import Request
from stylegan_jax.data.sources import open_source
from tests.data.formats.test_formats import nvidia_folder, pixels
from tests.data.preparation.piles import pile, png
from tests.data.sources.test_prepared import data, stretch

KINDS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM")


def images(orientation: int = 6) -> list[bytes]:
    """One of each kind, most of them with EXIF, and PNGs of other modes."""
    picture = Image.fromarray(pixels(24, 32, 3))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    found = []
    for kind in KINDS:
        file = io.BytesIO()
        has_exif = kind in ("PNG", "JPEG", "WEBP", "TIFF")
        picture.save(file, kind, **({"exif": exif} if has_exif else {}))
        found.append(file.getvalue())
    for mode in ("P", "1", "LA"):
        file = io.BytesIO()
        picture.convert(mode).save(file, "PNG")
        found.append(file.getvalue())
    return found


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Bytes changed, left out, added or cut off, at the beginning more often."""
    damaged = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 5])):
        if len(damaged) < 2:
            break
        at = rng.randrange(min(len(damaged), rng.choice([120, len(damaged)])))
        kind = rng.random()
        if kind < 0.6:
            damaged[at] = rng.randrange(256)
        elif kind < 0.75:
            del damaged[at : at + rng.randrange(1, 30)]
        elif kind < 0.85:
            del damaged[max(at, 1) :]
        else:
            damaged[at:at] = rng.randbytes(8)
    return bytes(damaged)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("count", [300, pytest.param(2000, marks=pytest.mark.slow)])
def test_damaged_images_are_read_or_refused(count):
    rng, originals = random.Random(count), images()
    read = 0
    for _ in range(count):
        content = mutated(rng.choice(originals), rng)
        try:
            transform.header(content)
            image = transform.decode(content)
        except Unusable:
            continue
        read += 1
        assert image.mode in ("L", "LA", "RGB", "RGBA") and image.size > (0, 0)
        transform.is_plain_jpeg(content, 3)
    assert 0.1 * count < read < 0.9 * count


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("count", [30, pytest.param(500, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tfrecords"])
def test_damaged_archives_lose_only_what_is_damaged(tmp_path, kind, count):
    rng = random.Random(count)
    if kind == "tfrecords":
        nvidia_folder(tmp_path / "in", [pixels(8, 3, 16, 16)])
        path = tmp_path / "in" / "set-r04.tfrecords"
    else:
        path = pile(kind, tmp_path / "pile", {f"{i}.png": png(i) for i in range(8)})
    whole = path.read_bytes()
    for number in range(count):
        path.write_bytes(mutated(whole, rng))
        out = tmp_path / f"out{number}"
        try:
            opened = formats.open_collection(str(path))
            info = preparation.prepare(opened, Request(out), lambda *_: None)
        except ValueError:
            assert not out.exists()
            continue
        assert info["num_images"] + len(info["skipped"]) == len(opened.names)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("count", [100, pytest.param(2000, marks=pytest.mark.slow)])
def test_training_names_what_it_cannot_read(tmp_path, count):
    rng, originals = random.Random(count), images(orientation=1)[:5]
    settings = {"resolution": 32, "base_size": (3, 4)}
    how = (config.image_size(settings["base_size"], 32), 3, "exact")
    good, bad, late = {}, {}, {}
    for number in range(count):
        content = mutated(rng.choice(originals), rng)
        name = f"{number:04d}.png"
        problem = encoded_problem(content, *how)
        # Opening is stricter than decoding: Pillow refuses some headers, and says so.
        is_good = problem is None and header(content, plain=True) == how[0]
        (good if is_good else bad)[name] = content
        if problem is not None and header(content, plain=True) == how[0]:
            late[name] = content  # is only noticed when it is decoded
    assert min(len(good), len(bad), len(late)) > 0.02 * count
    source = open_source(
        data("folder", pile("folder", tmp_path / "a", good), **settings)
    )
    delivered, _ = stretch(source, 0, -(-len(good) // 4), resolution=32)
    assert delivered.shape[1:] == (*how[0], 3) and len(delivered) >= len(good)
    # Opening finds damaged headers, and says so; what is damaged within is named later.
    with pytest.raises(ValueError, match="can't be used as they are; remove or"):
        open_source(
            data("folder", pile("folder", tmp_path / "b", good | bad), **settings)
        )
    source = open_source(
        data("folder", pile("folder", tmp_path / "c", good | late), **settings)
    )
    with pytest.raises(ValueError, match="repair, replace or remove it") as error:
        stretch(source, 0, -(-source.num_images // 4), resolution=32)
    assert str(error.value).split(" ")[0].rpartition("/")[2] in late
    assert [source.check(i) is not None for i in range(source.num_images)] == [
        name in late for name in sorted(good | late)
    ]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("count", [30, pytest.param(500, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["zip", "tfrecords", "prepared"])
def test_training_refuses_or_reads_damaged_archives(tmp_path, kind, count):
    rng = random.Random(count)
    path = pile("zip", tmp_path / "pile", {f"{i}.png": png(i) for i in range(8)})
    root = damaged = path
    if kind == "tfrecords":
        root = tmp_path / "in"
        nvidia_folder(root, [pixels(8, 3, side, side) for side in (8, 16)])
        damaged = root / "set-r04.tfrecords"
    elif kind == "prepared":
        root = tmp_path / "out"
        preparation.prepare(
            formats.open_collection(str(path)), Request(root), lambda *_: None
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
            except (tensorflow().errors.OpError, UnicodeDecodeError):
                refused += 1
                assert source.check(index)
    assert read > 0 and refused > 0.1 * count


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("count", [100, pytest.param(2000, marks=pytest.mark.slow)])
def test_whole_images_among_damaged_ones_are_kept(tmp_path, count):
    rng, originals = random.Random(count), images()
    files = {f"whole/{i}.png": png(i, size=(32, 24)) for i in range(count // 10)}
    for number in range(count):
        files[f"damaged/{number}.png"] = mutated(rng.choice(originals), rng)
    path = pile("zip", tmp_path / "pile", files)
    opened = formats.open_collection(str(path))
    request = Request(tmp_path / "out", size=(24, 32), workers=2)
    info = preparation.prepare(opened, request, lambda *_: None)
    skipped = {name for name, _ in info["skipped"]}
    assert len(skipped) + info["num_images"] == len(files)
    assert skipped and all(name.startswith("damaged/") for name in skipped)
    # Training reads all that was kept.
    source = open_source(
        data("prepared", tmp_path / "out", resolution=32, base_size=(3, 4))
    )
    assert source.num_images == info["num_images"]
    delivered, _ = stretch(source, 0, -(-source.num_images // 4), resolution=32)
    assert len(delivered) >= source.num_images


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_label_file_that_cannot_be_read_is_told(tmp_path, kind):
    files = {"1.png": png(1), "dataset.json": b""}
    path = pile(kind, tmp_path / "empty", files)
    with pytest.raises(ValueError, match="dataset.json of .* is empty; repair or rem"):
        formats.open_collection(str(path))


def test_all_that_is_whole_is_kept(tmp_path):
    path = pile("zip", tmp_path / "pile", {f"{i}.png": png(i) for i in range(8)})
    with zipfile.ZipFile(path) as archive:
        entry = archive.infolist()[3]
    content = bytearray(path.read_bytes())
    content[entry.header_offset + 200] ^= 1
    path.write_bytes(content)
    opened = formats.open_collection(str(path))
    info = preparation.prepare(opened, Request(tmp_path / "out"), lambda *_: None)
    assert info["num_images"] == 7 and np.ravel(info["skipped"])[0] == "3.png"
