"""Damaged files of every kind: each is read or refused, and nothing else happens."""

import io
import random
import zipfile

import numpy as np
import pytest
from PIL import Image

from stylegan_jax.data import formats, preparation, transform
from stylegan_jax.data.collection import Unusable
from stylegan_jax.data.request import Request
from tests.data.test_formats import nvidia_folder, pixels
from tests.data.test_prepare import pile, png

KINDS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM")


def images() -> list[bytes]:
    """One of each kind, most of them with EXIF, and PNGs of other modes."""
    picture = Image.fromarray(pixels(24, 32, 3))
    exif = Image.Exif()
    exif[transform.ORIENTATION] = 6
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
