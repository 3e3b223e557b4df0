"""Unusable images and archives are skipped or refused, with the reason."""

import tarfile
import tracemalloc
import zipfile
import zlib

import pytest

from stylegan_jax.data import formats, interface
from stylegan_jax.data.formats import archives
from tests.data.opened import prepare, prepare_failure
from tests.data.raw_data import FILES, pack, png


def test_bad_files_are_skipped_and_listed(tmp_path, small_shards):
    bad = {
        "cut.png": png(1, size=(64, 64))[:900],
        "empty.png": b"",
        "small.png": png(2, size=(8, 8)),
        "text.png": b"hello",
        "wide.png": png(2, size=(32, 16)),
    }
    source = pack("folder", tmp_path / "in", FILES | bad)
    info = prepare(source, tmp_path / "out", size=(16, 16))
    assert info["num_images"] == 10
    reasons = dict(info["skipped"])
    assert sorted(reasons) == sorted(bad)
    assert reasons["cut.png"].startswith("is damaged")
    assert reasons["empty.png"] == "is empty"
    assert reasons["small.png"] == "is 8x8 (width x height), smaller than 16x16"
    assert reasons["text.png"].startswith("is not an image")
    assert "--crop=center crops instead" in reasons["wide.png"]
    message = prepare_failure(source, tmp_path / "strict", size=(16, 16), strict=True)
    assert message.startswith("cut.png of") and "omit --strict" in message
    message = prepare_failure(
        pack("zip", tmp_path / "bad", bad), tmp_path / "x", size=(16, 16)
    )
    assert message.startswith("none of the 5 images") and "text.png is not" in message
    assert not (tmp_path / "x.partial").exists()


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_entries_never_escape(tmp_path, kind):
    files = {"../up.png": png(1), "/root.png": png(2), "./in.png": png(3)}
    (tmp_path / "deep").mkdir()
    source = pack(kind, tmp_path / "deep" / "pile", files)
    info = prepare(source, tmp_path / "out")
    assert info["num_images"] == 1
    reasons = dict(info["skipped"])
    assert set(reasons) == {"../up.png", "/root.png"}
    assert all("points outside the archive" in reason for reason in reasons.values())
    assert not (tmp_path / "up.png").exists()


def test_links_in_a_tar_are_not_followed(tmp_path):
    (tmp_path / "secret.png").write_bytes(png(1))
    with tarfile.open(tmp_path / "raw.tar", "w") as archive:
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret.png")
        archive.addfile(link)
    message = prepare_failure(tmp_path / "raw.tar", tmp_path / "out")
    assert "link.png is a link or a device" in message


def test_decompression_bombs_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(interface, "MAX_FILE_BYTES", 10_000)
    files = {"ok.png": png(1), "bomb.png": bytes(10_001)}
    path = tmp_path / "raw.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    info = prepare(path, tmp_path / "out")
    assert "decompression bomb" in dict(info["skipped"])["bomb.png"]
    # The stated size may be wrong; no more than that is unpacked.
    content = path.read_bytes().replace((10_001).to_bytes(4, "little"), b"\x09\0\0\0")
    path.write_bytes(content)
    info = prepare(path, tmp_path / "out2")
    assert "cannot be unpacked" in dict(info["skipped"])["bomb.png"]


def write_understating_zip(path, content, size):
    """Write a deflated entry that states only `size` bytes, and the CRC of these."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ok.png", png(1))
        archive.writestr("bomb.png", content)
    claims = {
        len(content).to_bytes(4, "little"): size.to_bytes(4, "little"),
        zlib.crc32(content).to_bytes(4, "little"): zlib.crc32(content[:size]).to_bytes(
            4, "little"
        ),
    }
    written = path.read_bytes()
    for true, claimed in claims.items():
        assert written.count(true) == 2  # beside the entry, and in the directory
        written = written.replace(true, claimed)
    path.write_bytes(written)


@pytest.mark.parametrize("size", [9, 16_000_000])
def test_entries_are_unpacked_no_further_than_they_state(tmp_path, size):
    bomb = bytes(16_000_001)
    write_understating_zip(tmp_path / "raw.zip", bomb, size)
    opened = formats.open_raw_dataset(str(tmp_path / "raw.zip"))
    assert opened.names == ("bomb.png", "ok.png") and opened.read(1) == png(1)
    tracemalloc.start()
    try:
        with pytest.raises(
            interface.InvalidImage, match="cannot be unpacked|holds more"
        ):
            opened.read(0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * size + 1_000_000


def test_an_entry_longer_than_it_states_is_refused(tmp_path):
    """Its stated part alone, which has the stated CRC, would seem intact."""
    content = png(1)
    with zipfile.ZipFile(tmp_path / "raw.zip", "w") as archive:
        archive.writestr("long.png", content)
    with zipfile.ZipFile(tmp_path / "raw.zip") as archive:
        (entry,) = archive.infolist()
        for size, end, problem in [
            (len(content) - 4, -4, "cannot be unpacked: Bad CRC"),
            (
                len(content) - 4,
                -3,
                "holds more than the .* bytes that the archive states",
            ),
            (
                len(content) + 4,
                None,
                "holds less than the .* bytes that the archive states",
            ),
        ]:
            entry.file_size, entry.CRC = size, zlib.crc32(content[:end])
            with pytest.raises(interface.InvalidImage, match=problem):
                archives.read_entry(archive, entry)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression_methods_are_refused(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "raw.zip", "w") as archive:
        archive.writestr("ok.png", png(1))
        archive.writestr("bomb.png", bytes(100_000), method)
    info = prepare(tmp_path / "raw.zip", tmp_path / "out")
    assert info["num_images"] == 1
    ((name, reason),) = info["skipped"]
    assert name == "bomb.png"
    assert reason.startswith(f"is compressed with method {method}; ")
    assert "only stored and deflated entries are supported" in reason


def test_intact_entries_of_a_truncated_tar_are_kept(tmp_path):
    path = pack("tar.gz", tmp_path / "raw", FILES)
    path.write_bytes(path.read_bytes()[:-3000])
    info = prepare(path, tmp_path / "out")
    assert 0 < info["num_images"] < 10
    assert "lost" in info["skipped"][-1][1] or "end" in info["skipped"][-1][1]


def test_sizes_that_differ_or_do_not_fit(tmp_path):
    mixed = {"1.png": png(1), "2.png": png(2), "3.png": png(3, size=(40, 24))}
    source = pack("folder", tmp_path / "mixed", mixed)
    message = prepare_failure(source, tmp_path / "out")
    assert "2 different sizes (width x height): 16x16 (2), 40x24 (1)" in message
    assert "--resolution=16 --crop=center" in message
    assert prepare(source, tmp_path / "out", size=(16, 16), crop="center")["num_images"]
    odd = pack("folder", tmp_path / "odd", {"1.png": png(1, size=(100, 100))})
    message = prepare_failure(odd, tmp_path / "x")
    assert "the networks do not support 100x100 (width x height)" in message
    assert "--resolution=64 --crop=center" in message
    message = prepare_failure(odd, tmp_path / "x", crop="center-wide")
    assert "needs --resolution=WIDTHxHEIGHT" in message


def test_unknown_sources_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.zip").write_bytes(b"PK hello")
    (tmp_path / "bad.tar").write_bytes(b"hello")
    (tmp_path / "x.rar").write_bytes(b"hello")
    for name, reason in {
        "gone": "does not exist",
        "empty": "holds no images",
        "bad.zip": "cannot be opened",
        "bad.tar": "cannot be opened",
        "x.rar": "must be a folder, tfds:NAME, or a file ending in .zip",
    }.items():
        with pytest.raises(ValueError, match=f"`--source` .*{reason}"):
            formats.open_raw_dataset(str(tmp_path / name))
