import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from stylegan_jax import config
from stylegan_jax import prepare as front_door
from stylegan_jax.data import formats, preparation, tfrecords
from stylegan_jax.data.formats import archives, collection
from stylegan_jax.data.images import tensorflow
from stylegan_jax.data.preparation.request import Request, geometry_of
from stylegan_jax.data.sources import open_source
from tests import goldens


def picture(seed=0, size=(16, 16), bands=3) -> Image.Image:
    shape = [size[1], size[0], bands]
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return Image.fromarray(pixels[..., 0] if bands == 1 else pixels)


def png(*args, kind="PNG", **kwargs) -> bytes:
    file = io.BytesIO()
    picture(*args, **kwargs).save(file, kind)
    return file.getvalue()


def pile(kind, path, files: dict[str, bytes]):
    """Writes files as a folder, zip or tar."""
    path = path.with_name(f"{path.name}.{kind}") if kind != "folder" else path
    if kind == "folder":
        for name, content in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(path, f"w:{kind.partition('.')[2]}") as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


def prepare(source, out, **changes) -> dict:
    opened = formats.open_collection(str(source))
    return preparation.prepare(opened, Request(out, **changes), lambda *_: None)


def failure(source, out, **changes) -> str:
    with pytest.raises(ValueError) as error:
        prepare(source, out, **changes)
    return str(error.value)


def records(path) -> list[tuple[np.ndarray, int | None]]:
    """Images and labels of a shard, read by TensorFlow, which checks each crc."""
    found = []
    for record in tensorflow().data.TFRecordDataset(str(path)).as_numpy_iterator():
        feature = tensorflow().train.Example.FromString(record).features.feature
        image = Image.open(io.BytesIO(feature["image"].bytes_list.value[0]))
        found.append((np.asarray(image), *feature["label"].int64_list.value))
    return found


def contents(folder) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(preparation, "SHARD_IMAGES", 4)


FILES = {f"{'ab'[i % 2]}/{i}.png": png(i) for i in range(10)}


@pytest.mark.parametrize("kind", ["folder", "zip", "tar", "tar.gz", "tar.xz"])
def test_piles_of_every_kind(tmp_path, kind, small_shards):
    files = dict(sorted(FILES.items()))
    source = pile(kind, tmp_path / "pile", files)
    info = prepare(source, tmp_path / "out", labels="folders", workers=3)
    assert info["num_images"] == 10 and info["images_of_shard"] == [4, 4, 2]
    assert info["classes"] == ("a", "b") and info["label_totals"] == [5, 5]
    assert (info["height"], info["width"], info["resolution"]) == (16, 16, 16)
    stored = json.loads((tmp_path / "out" / "dataset_info.json").read_text())
    assert stored == json.loads(json.dumps(info))
    shards = sorted((tmp_path / "out").glob("r0016-*-of-00003.tfrecord"))
    found = [record for shard in shards for record in records(shard)]
    for (name, content), (image, label) in zip(files.items(), found, strict=True):
        np.testing.assert_array_equal(image, Image.open(io.BytesIO(content)))
        assert label == "ab".index(name[0])
    assert sorted(contents(tmp_path / "out")) == ["dataset_info.json"] + [
        shard.name for shard in shards
    ]
    assert not (tmp_path / "out.partial").exists()


def test_what_the_data_set_says_of_itself(tmp_path):
    frames = [picture(seed, (32, 16)) for seed in (1, 2)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    files = {"a/1.png": png(1, (32, 16)), "b/2.gif": file.getvalue(), "b/3.png": b"x"}
    source = pile("zip", tmp_path / "pile", files | {"b/4.png": png(4)})
    info = prepare(
        source,
        tmp_path / "out",
        size=(8, 16),
        filter="box",
        labels="folders",
        multires=True,
        max_images=3,
    )
    stored = json.loads((tmp_path / "out" / "dataset_info.json").read_text())
    assert stored == json.loads(json.dumps(info))
    versions, fingerprint = stored.pop("versions"), stored.pop("fingerprint")
    assert sorted(versions) == ["numpy", "pillow", "python", "stylegan_jax"]
    assert len(fingerprint) == 64
    assert stored == {
        "format_version": preparation.FORMAT_VERSION,
        "num_images": 2,
        "height": 8,
        "width": 16,
        "base_size": [4, 8],
        "resolution": 8,
        "channels": 3,
        "classes": ["a", "b"],
        "label_vectors": False,
        "label_totals": [1, 1],
        "resolutions": [8, 4],
        "images_of_shard": [2],
        "crop": "none",
        "filter": "box",
        "source": "pile.zip",
        "animated": 1,
        "skipped": [["b/3.png", "is not an image, or its header is damaged"]],
    }


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_a_dataset_json_is_found_beside_the_images(tmp_path, kind):
    numbers = [[name, i % 3] for i, name in enumerate(FILES)]
    content = json.dumps({"labels": numbers}).encode()
    source = pile(kind, tmp_path / "pile", FILES | {"dataset.json": content})
    info = prepare(source, tmp_path / "out")
    assert info["classes"] == ("0", "1", "2") and info["label_totals"] == [4, 3, 3]


def test_fingerprint_is_of_the_content_not_the_order(tmp_path):
    one = pile("folder", tmp_path / "one", {"1.png": png(1), "2.png": png(2)})
    two = pile("zip", tmp_path / "two", {"x.png": png(2), "y.bmp": png(1, kind="BMP")})
    other = pile("folder", tmp_path / "other", {"1.png": png(1), "2.png": png(3)})
    first, second, third = (
        prepare(source, tmp_path / f"out{i}")["fingerprint"]
        for i, source in enumerate((one, two, other))
    )
    assert first == second != third


def test_jpegs_are_kept_when_nothing_changes(tmp_path):
    jpeg = png(1, kind="JPEG")
    source = pile("folder", tmp_path / "in", {"1.jpg": jpeg, "2.png": png(2)})
    prepare(source, tmp_path / "out")
    shard = tmp_path / "out" / "r0016-00000-of-00001.tfrecord"
    assert jpeg in shard.read_bytes()
    prepare(source, tmp_path / "small", size=(8, 8))
    assert (
        jpeg not in (tmp_path / "small" / "r0008-00000-of-00001.tfrecord").read_bytes()
    )


def test_jpegs_that_center_wide_crops_are_not_kept(tmp_path):
    jpeg = png(1, kind="JPEG")
    source = pile("folder", tmp_path / "in", {"1.jpg": jpeg})
    prepare(source, tmp_path / "out", size=(8, 16), crop="center-wide")
    shard = tmp_path / "out" / "r0016-00000-of-00001.tfrecord"
    assert jpeg not in shard.read_bytes()
    ((image,),) = records(shard)
    assert not image[:4].any() and not image[12:].any() and image[4:12].any()


def test_multires_has_each_level(tmp_path):
    source = pile("folder", tmp_path / "in", {"1.png": png(1), "2.png": png(2)})
    info = prepare(source, tmp_path / "out", multires=True)
    assert info["resolutions"] == [16, 8, 4]
    (large, *_) = records(tmp_path / "out" / "r0016-00000-of-00001.tfrecord")[0]
    (small, *_) = records(tmp_path / "out" / "r0004-00000-of-00001.tfrecord")[0]
    mean = large.reshape(4, 4, 4, 4, 3).mean((1, 3))
    np.testing.assert_array_equal(small, np.rint(mean))


def test_gray_stays_gray_only_if_all_are(tmp_path):
    gray = {"1.png": png(1, bands=1), "2.png": png(2, bands=2)}
    assert prepare(pile("zip", tmp_path / "1", gray), tmp_path / "a")["channels"] == 1
    mixed = pile("zip", tmp_path / "2", gray | {"3.png": png(3, bands=4)})
    assert prepare(mixed, tmp_path / "b")["channels"] == 3
    assert prepare(mixed, tmp_path / "c", channels=4)["channels"] == 4


def test_bad_files_are_skipped_and_listed(tmp_path, small_shards):
    bad = {
        "cut.png": png(1, size=(64, 64))[:900],
        "empty.png": b"",
        "small.png": png(2, size=(8, 8)),
        "text.png": b"hello",
        "wide.png": png(2, size=(32, 16)),
    }
    source = pile("folder", tmp_path / "in", FILES | bad)
    info = prepare(source, tmp_path / "out", size=(16, 16))
    assert info["num_images"] == 10
    reasons = dict(info["skipped"])
    assert sorted(reasons) == sorted(bad)
    assert reasons["cut.png"].startswith("is damaged")
    assert reasons["empty.png"] == "is empty"
    assert reasons["small.png"] == "is 8x8 (width x height), smaller than 16x16"
    assert reasons["text.png"].startswith("is not an image")
    assert "--crop=center cuts instead" in reasons["wide.png"]
    message = failure(source, tmp_path / "strict", size=(16, 16), strict=True)
    assert message.startswith("cut.png of") and "leave out --strict" in message
    message = failure(pile("zip", tmp_path / "bad", bad), tmp_path / "x", size=(16, 16))
    assert message.startswith("None of the 5 images") and "text.png is not" in message
    assert not (tmp_path / "x.partial").exists()


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_entries_never_escape(tmp_path, kind):
    files = {"../up.png": png(1), "/root.png": png(2), "./in.png": png(3)}
    (tmp_path / "deep").mkdir()
    source = pile(kind, tmp_path / "deep" / "pile", files)
    info = prepare(source, tmp_path / "out")
    assert info["num_images"] == 1
    reasons = dict(info["skipped"])
    assert set(reasons) == {"../up.png", "/root.png"}
    assert all("leads out of the archive" in reason for reason in reasons.values())
    assert not (tmp_path / "up.png").exists()


def test_links_in_a_tar_are_not_followed(tmp_path):
    (tmp_path / "secret.png").write_bytes(png(1))
    with tarfile.open(tmp_path / "pile.tar", "w") as archive:
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret.png")
        archive.addfile(link)
    message = failure(tmp_path / "pile.tar", tmp_path / "out")
    assert "link.png is a link or a device" in message


def test_decompression_bombs_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(collection, "MAX_FILE_BYTES", 10_000)
    files = {"ok.png": png(1), "bomb.png": bytes(10_001)}
    path = tmp_path / "pile.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    info = prepare(path, tmp_path / "out")
    assert "decompression bomb" in dict(info["skipped"])["bomb.png"]
    # The size of an entry is a claim; what is behind it is not unpacked further.
    content = path.read_bytes().replace((10_001).to_bytes(4, "little"), b"\x09\0\0\0")
    path.write_bytes(content)
    info = prepare(path, tmp_path / "out2")
    assert "can't be unpacked" in dict(info["skipped"])["bomb.png"]


def zip_that_understates(path, content, size):
    """A deflated entry that says it has `size` bytes, with the crc of those."""
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
def test_entries_are_unpacked_no_further_than_they_say(tmp_path, size):
    bomb = bytes(16_000_001)
    zip_that_understates(tmp_path / "pile.zip", bomb, size)
    opened = formats.open_collection(str(tmp_path / "pile.zip"))
    assert opened.names == ("bomb.png", "ok.png") and opened.read(1) == png(1)
    tracemalloc.start()
    try:
        with pytest.raises(collection.Unusable, match="can't be unpacked|holds more"):
            opened.read(0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * size + 1_000_000


def test_an_entry_longer_than_it_says_is_refused(tmp_path):
    """Cut where it says it ends, with the crc of that, it would pass for whole."""
    content = png(1)
    with zipfile.ZipFile(tmp_path / "pile.zip", "w") as archive:
        archive.writestr("long.png", content)
    with zipfile.ZipFile(tmp_path / "pile.zip") as archive:
        (entry,) = archive.infolist()
        for size, end, problem in [
            (len(content) - 4, -4, "can't be unpacked: Bad CRC"),
            (
                len(content) - 4,
                -3,
                "holds more than the .* bytes that the archive",
            ),
            (len(content) + 4, None, "holds less than the .* bytes that the archive"),
        ]:
            entry.file_size, entry.CRC = size, zlib.crc32(content[:end])
            with pytest.raises(collection.Unusable, match=problem):
                archives.read_entry(archive, entry)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression_methods_are_refused(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "pile.zip", "w") as archive:
        archive.writestr("ok.png", png(1))
        archive.writestr("bomb.png", bytes(100_000), method)
    info = prepare(tmp_path / "pile.zip", tmp_path / "out")
    assert info["num_images"] == 1
    ((name, reason),) = info["skipped"]
    assert name == "bomb.png"
    assert reason.startswith(f"is compressed with method {method}; ")
    assert "only stored and deflated entries are read" in reason


def test_truncated_tar_keeps_what_is_whole(tmp_path):
    path = pile("tar.gz", tmp_path / "pile", FILES)
    path.write_bytes(path.read_bytes()[:-3000])
    info = prepare(path, tmp_path / "out")
    assert 0 < info["num_images"] < 10
    assert "lost" in info["skipped"][-1][1] or "end" in info["skipped"][-1][1]


def test_label_files(tmp_path):
    def with_labels(labels):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        content = json.dumps({"labels": labels}).encode()
        return pile("zip", path, FILES | {"dataset.json": content})

    numbers = [[name, int(name[2]) % 3] for name in FILES]
    info = prepare(with_labels(numbers), tmp_path / "out")
    assert info["classes"] == ("0", "1", "2")
    assert info["label_totals"] == [4, 3, 3]
    assert prepare(with_labels(None), tmp_path / "none")["classes"] == ()
    message = failure(with_labels([*numbers, ["gone.png", 0]]), tmp_path / "x")
    assert "has labels of 1 images that aren't there" in message
    assert "gone.png" in message
    message = failure(with_labels(numbers[1:]), tmp_path / "x")
    assert "has no label of 1 images" in message and "a/0.png" in message
    message = failure(with_labels([["a/0.png", 0.5], *numbers[1:]]), tmp_path / "x")
    assert "a/0.png: 0.5" in message and "whole numbers from 0" in message
    vectors = [[name, [0.5, number]] for name, number in numbers]
    message = failure(with_labels([*vectors[:-1], ["b/9.png", [1]]]), tmp_path / "x")
    assert "has 1 labels that are no lists of 2 finite numbers" in message
    assert "b/9.png: [1]" in message
    message = failure(with_labels(None), tmp_path / "x", labels="dataset.json")
    assert "`--labels` (=dataset.json) finds none in" in message
    top = pile("zip", tmp_path / "top", {"1.png": png(1)})
    message = failure(top, tmp_path / "x", labels="folders")
    assert "all images must lie in sub-folders" in message


def test_nvidias_zip_is_read_and_written(tmp_path, small_shards):
    source = goldens.path("stylegan2_and_3/I7_tiny_dataset.zip")
    info = prepare(source, tmp_path / "out.zip", format="zip")
    assert info["label_totals"] == [3, 1, 2, 1]
    with (
        zipfile.ZipFile(source) as theirs,
        zipfile.ZipFile(tmp_path / "out.zip") as our,
    ):
        names = theirs.namelist()
        assert our.namelist() == [*names[:-1], "dataset_info.json", names[-1]]
        assert {e.compress_type for e in our.infolist()} == {zipfile.ZIP_STORED}
        assert json.loads(our.read(names[-1])) == json.loads(theirs.read(names[-1]))
        for name in names[:-1]:
            ours, other = (Image.open(z.open(name)) for z in (our, theirs))
            assert ours.mode == other.mode
            np.testing.assert_array_equal(ours, other)
    assert not (tmp_path / "out.zip.partial").exists()


KILLED = """
import os, sys
from pathlib import Path
from stylegan_jax.data import formats, preparation, tfrecords
from stylegan_jax.data.formats import collection
from stylegan_jax.data.preparation.request import Request
source, out, format, dying = sys.argv[1:]
preparation.SHARD_IMAGES = 4
write, replace, count = tfrecords.Writer.write, tfrecords.replace, 0
def counted(function):
    def call(*arguments):
        global count
        count += 1
        if count == int(dying):
            os.kill(os.getpid(), 9)
        return function(*arguments)
    return call
tfrecords.Writer.write = counted(write)
tfrecords.replace = counted(replace)
request = Request(Path(out), format=format, labels="folders", resume=True)
preparation.prepare(formats.open_collection(source), request, lambda *_: None)
"""


@pytest.mark.parametrize(
    "format, dying", [("tfrecord", 3), ("tfrecord", 10), ("zip", 14)]
)
def test_killed_and_resumed_is_the_same_bytes(tmp_path, small_shards, format, dying):
    source = pile("zip", tmp_path / "pile", FILES)
    whole, out = tmp_path / "whole", tmp_path / "out"
    prepare(source, whole, format=format, labels="folders")
    command = [sys.executable, "-c", KILLED, str(source), str(out), format, str(dying)]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    assert not out.exists()
    message = failure(source, out, format=format, labels="folders")
    assert "left by a run that did not end; go on with --resume" in message
    message = failure(source, out, format=format, resume=True)
    assert "was begun with other request" in message
    prepare(source, out, format=format, labels="folders", resume=True)
    if format == "zip":
        assert out.read_bytes() == whole.read_bytes()
    else:
        assert contents(out) == contents(whole)
    assert not (tmp_path / "out.partial").exists()
    assert "exists already" in failure(source, out, resume=True)


def test_resume_does_not_redo_finished_shards(tmp_path, small_shards, monkeypatch):
    source = pile("zip", tmp_path / "pile", FILES)

    class Interrupted(Exception):
        pass

    def stop(what, done, total):
        if what.startswith("prepared") and done >= 8:
            raise Interrupted

    opened = formats.open_collection(str(source))
    with pytest.raises(Interrupted):
        preparation.prepare(opened, Request(tmp_path / "out"), stop)
    written = []
    write = tfrecords.Writer.write
    monkeypatch.setattr(
        tfrecords.Writer, "write", lambda *a: (written.append(1), write(*a))
    )
    prepare(source, tmp_path / "out", resume=True)
    assert len(written) == 2


@pytest.mark.parametrize("format", ["tfrecord", "zip"])
def test_names_that_are_no_utf8(tmp_path, small_shards, format):
    folder, name = (os.fsdecode(text) for text in (b"caf\xe9", b"bad\xff.png"))
    files = {f"{folder}/{i}.png": png(i) for i in range(6)} | {f"a/{name}": b"x"}
    source = pile("folder", tmp_path / "in", files | {"ü/1.png": png(7)})
    changes = {"format": format, "labels": "folders"}

    def stop(what, done, total):
        if what.startswith("prepared"):
            raise KeyboardInterrupt

    opened = formats.open_collection(str(source))
    with pytest.raises(KeyboardInterrupt):
        preparation.prepare(opened, Request(tmp_path / "out", **changes), stop)
    info = prepare(source, tmp_path / "out", resume=True, **changes)
    assert (
        info["classes"] == ("a", folder, "ü") and info["skipped"][0][0] == f"a/{name}"
    )
    if format == "zip":
        with zipfile.ZipFile(tmp_path / "out") as archive:
            stored = archive.read(preparation.INFO)
    else:
        stored = (tmp_path / "out" / preparation.INFO).read_bytes()
        data = config.Data(source="prepared", path=str(tmp_path / "out"), resolution=16)
        assert open_source(data).classes == info["classes"]
    assert stored.isascii() and json.loads(stored)["skipped"] == info["skipped"]
    shown = preparation.listing(info["skipped"]).encode().decode()
    assert shown.startswith("\n  a/bad\\udcff.png ")


def test_a_zip_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    synced, sync = [], os.fsync

    def fsync(file):
        synced.append((os.fstat(file).st_ino, (tmp_path / "out.zip").exists()))
        sync(file)

    monkeypatch.setattr(os, "fsync", fsync)
    source = pile("folder", tmp_path / "in", {"1.png": png(1)})
    prepare(source, tmp_path / "out.zip", format="zip")
    assert synced[-1] == ((tmp_path / "out.zip").stat().st_ino, False)


def test_sizes_that_differ_or_do_not_fit(tmp_path):
    mixed = {"1.png": png(1), "2.png": png(2), "3.png": png(3, size=(40, 24))}
    source = pile("folder", tmp_path / "mixed", mixed)
    message = failure(source, tmp_path / "out")
    assert "2 different sizes (width x height): 16x16 (2), 40x24 (1)" in message
    assert "--resolution=16 --crop=center" in message
    assert prepare(source, tmp_path / "out", size=(16, 16), crop="center")["num_images"]
    odd = pile("folder", tmp_path / "odd", {"1.png": png(1, size=(100, 100))})
    message = failure(odd, tmp_path / "x")
    assert "100x100 (width x height) is no size" in message
    assert "--resolution=64 --crop=center" in message
    message = failure(odd, tmp_path / "x", crop="center-wide")
    assert "needs --resolution=WIDTHxHEIGHT" in message


def test_geometry_counts_as_training_does():
    assert geometry_of((512, 1024)).base_size == (4, 8)
    assert geometry_of((384, 512)).base_size == (3, 4)
    assert geometry_of((384, 512)).resolution == 512
    assert geometry_of((4, 4)).resolution == 4
    for size in [(2, 2), (2048, 2048), (96, 96), (4, 400)]:
        with pytest.raises(ValueError, match="is no size for the networks"):
            geometry_of(size)


def test_sources_that_are_none(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.zip").write_bytes(b"PK hello")
    (tmp_path / "bad.tar").write_bytes(b"hello")
    (tmp_path / "x.rar").write_bytes(b"hello")
    for name, reason in {
        "gone": "does not exist",
        "empty": "holds no images",
        "bad.zip": "can't be opened",
        "bad.tar": "can't be opened",
        "x.rar": "must be a folder, tfds:NAME, or a file ending in .zip",
    }.items():
        with pytest.raises(ValueError, match=f"`--source` .*{reason}"):
            formats.open_collection(str(tmp_path / name))


def test_command_line(tmp_path):
    source = pile("zip", tmp_path / "pile", FILES | {"a/x.png": b"hello"})

    def run(*arguments):
        command = [sys.executable, "-m", "stylegan_jax.prepare", f"--source={source}"]
        command += [f"--out={tmp_path / 'out'}", *arguments]
        return subprocess.run(command, capture_output=True, text=True)

    done = run("--resolution=8", "--labels=folders", "--workers=2")
    assert done.returncode == 0, done.stderr
    assert "wrote 10 images of 8x8 (width x height), 3 channels, 2 cl" in done.stdout
    assert "class a: 5" in done.stdout
    assert "a/x.png is not an image" in done.stdout
    again = run()
    assert again.returncode == 1 and again.stderr.startswith("error: `--out`")


def test_full_disk_names_the_file_and_the_remedy():
    with (
        pytest.raises(OSError, match="/dev/full.*can't be written"),
        tfrecords.Writer(FullDisk()) as writer,
    ):
        writer.write(bytes(10_000_000))


class FullDisk:
    """A path whose temporary file has no room."""

    name = "x"

    def with_name(self, _):
        return "/dev/full"

    def __str__(self):
        return "/dev/full"


def test_resolutions_are_parsed():
    assert front_door.parse_resolution("512x384") == (384, 512)
    assert front_door.parse_resolution("256") == (256, 256)
    with pytest.raises(ValueError, match="512x384"):
        front_door.parse_resolution("0x3")
