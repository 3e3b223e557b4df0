"""Common mistakes, and the exact message for each."""

import errno
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stylegan_jax import prepare as front_door
from stylegan_jax.data import decoding, preparation
from stylegan_jax.data.formats import tfrecord
from stylegan_jax.data.preparation import options
from stylegan_jax.runtime import cli
from tests.data.opened import prepare
from tests.data.raw_data import noise, nvidia_folder, pack, png

STRICT = "; repair or remove it, or omit --strict to skip it"
WITHOUT_LABELS = (
    "\nuse --labels=none to prepare the images without labels, or --labels=folders for "
    "folders as classes"
)


@pytest.fixture
def message(tmp_path):
    """Return the message of `prepare` for a source, which it calls `{source}`."""

    def message(source, **settings) -> str:
        with pytest.raises(ValueError) as error:
            prepare(source, tmp_path / "out", **settings)
        assert not (tmp_path / "out").exists()
        return str(error.value).replace(str(source), "{source}")

    return message


def test_an_empty_folder(tmp_path, message):
    (tmp_path / "in").mkdir()
    assert message(tmp_path / "in") == (
        "`--source` (='{source}') holds no images (AVIF, BMP, DIB, GIF, JPEG, "
        "JPEG2000, PNG, PPM, TIFF, WEBP), and subfolders are searched too"
    )


def test_all_sizes_different(tmp_path, message):
    files = {f"{side}.png": png(size=(side, side)) for side in (16, 24, 40)}
    assert message(pack("folder", tmp_path / "in", files)) == (
        "the images of {source} have 3 different sizes (width x height): 16x16 (1), "
        "24x24 (1), 40x40 (1); choose one, e.g. --resolution=16 --crop=center"
    )


def test_a_truncated_png(tmp_path, message):
    files = {"cut.png": png(size=(64, 64))[:9000], "whole.png": png(size=(64, 64))}
    text = message(pack("folder", tmp_path / "in", files), strict=True)
    # The part between is Pillow's.
    assert text.startswith("cut.png of {source} is damaged: ") and text.endswith(STRICT)


def test_a_text_file_named_png(tmp_path, message):
    files = {"a.png": png(), "notes.png": b"to do: everything"}
    assert message(pack("folder", tmp_path / "in", files), strict=True) == (
        "notes.png of {source} is not an image, or its header is damaged" + STRICT
    )


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_entry_that_leads_out_of_the_archive(tmp_path, message, kind):
    files = {"../../etc/a.png": png(), "b.png": png()}
    assert message(pack(kind, tmp_path / "in", files), strict=True) == (
        "../../etc/a.png of {source} has a name that points outside the archive; it is "
        "not read" + STRICT
    )


def labelled(path, labels):
    content = json.dumps({"labels": labels}).encode()
    files = {"a.png": png(1), "b.png": png(2), "dataset.json": content}
    return pack("zip", path, files)


def test_a_label_file_naming_a_missing_image(tmp_path, message):
    labels = [["a.png", 0], ["b.png", 1], ["gone.png", 1]]
    assert message(labelled(tmp_path / "in", labels)) == (
        "dataset.json of {source} has labels for 1 images that do not exist; remove "
        "them, or add the images:\n  gone.png" + WITHOUT_LABELS
    )


def test_a_missing_label(tmp_path, message):
    assert message(labelled(tmp_path / "in", [["a.png", 0]])) == (
        "dataset.json of {source} has no labels for 1 images; add them, or remove the "
        "images:\n  b.png" + WITHOUT_LABELS
    )


@pytest.mark.parametrize("size", [None, (100, 100)])
def test_no_power_of_two(tmp_path, message, size):
    files = {"a.png": png(size=(100, 100))}
    assert message(pack("folder", tmp_path / "in", files), size=size) == (
        "the networks do not support 100x100 (width x height): the side of a square "
        "must be a power of two from 4 to 1024, and the sides of a rectangle such a "
        "power times numbers up to 4; use --resolution=64 --crop=center"
    )


def test_a_full_disk(tmp_path, run_main):
    source = pack("folder", tmp_path / "in", {"a.png": png()})
    shard = tmp_path / "out.partial" / "r0016-00000-of-00001.tfrecord"
    shard.parent.mkdir()
    shard.with_name(shard.name + ".tmp").symlink_to("/dev/full")
    out = f"--out={tmp_path / 'out'}"
    with pytest.raises(OSError) as raised:
        run_main(front_door, f"--source={source}", out, "--resume")
    assert re.fullmatch(
        f"{re.escape(str(shard))} cannot be written: .*No space left on device; "
        "fix the cause and continue with --resume",
        cli.describe(raised.value),
    )


def test_a_record_with_a_bad_crc(tmp_path, message):
    nvidia_folder(tmp_path / "in", [noise(3, 3, 16, 16)])
    path = tmp_path / "in" / "set-r04.tfrecords"
    content = bytearray(path.read_bytes())
    content[tfrecord.offsets(path)[1] + 300] ^= 1
    path.write_bytes(content)
    assert message(path, strict=True) == (
        "record 1 of {source} has a wrong checksum (CRC); the file is damaged there"
        + STRICT
    )


@pytest.mark.parametrize(
    ("wanted", "name", "format"),
    [
        ("auto", "photos", "tfrecord"),
        ("auto", "photos.v1", "tfrecord"),
        ("auto", "photos.zip", "zip"),
        ("auto", "photos.ZIP", "zip"),
        ("zip", "photos.zip", "zip"),
        ("tfrecord", "photos", "tfrecord"),
    ],
)
def test_the_ending_of_out_selects_the_format(wanted, name, format):
    assert options.choose_format(wanted, Path("data") / name) == format


@pytest.mark.parametrize(
    ("wanted", "name", "problem"),
    [
        ("zip", "photos", "must end in .zip with --format=zip; try --out=photos.zip"),
        (
            "zip",
            "my cats",
            "must end in .zip with --format=zip; try --out='my cats.zip",
        ),
        ("tfrecord", "a.zip", "must be a folder with --format=tfrecord, not a .zip"),
        ("auto", "a.tar", "must be a folder or end in .zip; .tar is not a"),
        ("auto", "a.tfrecord", "must be a folder or end in .zip; .tfrecord is"),
        ("auto", "a.png", "must be a folder or end in .zip"),
    ],
)
def test_other_endings_of_out_are_refused(wanted, name, problem):
    with pytest.raises(ValueError) as raised:
        options.choose_format(wanted, Path(name))
    assert str(raised.value).startswith(f"`--out` (={name}) {problem}")


@pytest.mark.parametrize("out", [".", "..", "/", "sub", "sub/.."])
def test_out_must_be_new(tmp_path, monkeypatch, out):
    source = pack("folder", tmp_path / "in", {"a.png": png()})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    with pytest.raises(ValueError) as raised:
        prepare(source, Path(out))
    problem = (
        "already exists; choose another name" if out == "sub" else "must be new, such"
    )
    assert str(raised.value).startswith(f"`--out` (={Path(out)}) {problem}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "sub"]


def test_only_the_removal_of_a_result_is_advised(tmp_path):
    source = pack("folder", tmp_path / "in", {"a.png": png()})
    for out, advice in ((source, ""), (tmp_path / "out", "remove it, or ")):
        if out != source:
            prepare(source, out)
        with pytest.raises(ValueError) as raised:
            prepare(source, out)
        assert str(raised.value) == (
            f"`--out` (={out}) already exists; {advice}choose another name"
        )


def test_out_below_a_file_is_refused_before_the_work(tmp_path, message):
    source = pack("folder", tmp_path / "in", {"a.png": png()})
    (tmp_path / "out").touch()
    with pytest.raises(ValueError) as raised:
        prepare(source, tmp_path / "out" / "a")
    assert f"{tmp_path / 'out'} is not a folder" in str(raised.value)


def test_max_pixels(tmp_path, message):
    source = pack("folder", tmp_path / "in", {"a.png": png(size=(32, 16))})
    text = message(source, size=(8, 8), max_pixels=511)
    assert text.endswith(
        "a.png is 32x16 (width x height); at most 511 pixels are allowed; `prepare "
        "--max_pixels=512` allows them"
    )
    info = prepare(source, tmp_path / "out", size=(8, 8), crop="center", max_pixels=512)
    assert info["num_images"] == 1


def test_max_pixels_may_exceed_the_limit_of_pillow(tmp_path, run_main, monkeypatch):
    source = pack("folder", tmp_path / "in", {"a.png": png(size=(64, 64))})
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    arguments = (f"--source={source}", f"--out={tmp_path / 'out'}")
    assert "wrote 1 images of 64x64" in run_main(front_door, *arguments)


def test_a_full_disk_is_named_if_the_system_does_not_say_which(
    tmp_path, run_main, monkeypatch
):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(preparation, "prepare", full)
    source = pack("folder", tmp_path / "in", {"a.png": png()})
    with pytest.raises(OSError) as raised:
        run_main(front_door, f"--source={source}", f"--out={tmp_path / 'out'}")
    assert str(raised.value) == (
        f"{tmp_path / 'out'}: No space left on device; fix the cause and continue "
        "with --resume"
    )


@pytest.mark.parametrize("name", ["request.json", "00000.json"])
def test_damaged_files_of_an_unfinished_run_are_named(tmp_path, monkeypatch, name):
    source = pack("folder", tmp_path / "in", {"a.png": png()})

    def killed(*_):
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(preparation.output, "finish", killed)
        with pytest.raises(OSError, match="killed"):
            prepare(source, tmp_path / "out")
    path = tmp_path / "out.partial" / "progress" / name
    path.write_text("{")
    with pytest.raises(ValueError) as raised:
        prepare(source, tmp_path / "out", resume=True)
    assert str(raised.value).startswith(f"{path} is damaged: ")
    assert "remove the folder of this unfinished run" in str(raised.value)


def test_a_pgm_of_16_bits(tmp_path):
    """Its values are rounded as those of any image of 16 bits."""
    values = np.arange(0, 65536, 256, dtype=np.uint16).reshape(16, 16) + 200
    content = b"P5 16 16 65535\n" + values.astype(">u2").tobytes()
    assert decoding.read_header(content).gray
    image = decoding.decode_pil(content)
    assert image.mode == "L"
    expected = np.rint(values / 257).astype(np.uint8)
    np.testing.assert_array_equal(np.asarray(image), expected)
