"""Ten common mistakes, and the exact message for each."""

import json
import re
import subprocess
import sys

import pytest

from stylegan_jax.data.formats import tfrecord
from tests.data.opened import prepare
from tests.data.raw_data import noise, nvidia_folder, pack, png

STRICT = "; repair or remove it, or omit --strict to skip it"
WITHOUT_LABELS = (
    "\nUse --labels=none to prepare the images without labels, or --labels=folders for "
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
        "The images of {source} have 3 different sizes (width x height): 16x16 (1), "
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
        "The networks do not support 100x100 (width x height): the side of a square "
        "must be a power of two from 4 to 1024, and the sides of a rectangle such a "
        "power times numbers up to 4; use --resolution=64 --crop=center"
    )


def test_a_full_disk(tmp_path):
    source = pack("folder", tmp_path / "in", {"a.png": png()})
    shard = tmp_path / "out.partial" / "r0016-00000-of-00001.tfrecord"
    shard.parent.mkdir()
    shard.with_name(shard.name + ".tmp").symlink_to("/dev/full")
    command = [sys.executable, "-m", "stylegan_jax.prepare", f"--source={source}"]
    command += [f"--out={tmp_path / 'out'}", "--resume"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert re.fullmatch(
        f"error: {re.escape(str(shard))} cannot be written: .*No space left on device; "
        "fix the cause and continue with --resume",
        done.stderr.splitlines()[-1],
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
