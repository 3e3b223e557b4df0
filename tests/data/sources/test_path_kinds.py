"""data.source=auto, and paths of another kind than data.source."""

import dataclasses
import json
import shutil

import pytest

from stylegan_jax import config
from stylegan_jax.data.sources import (
    from_path,
    open_source,
    path_kinds,
    resolve,
)
from tests.config.reading import read
from tests.data.opened import data, folder, open_failure, prepare, prepare_failure
from tests.data.raw_data import idx, noise, nvidia_folder, pack, png

FILES = {"a.png": png(1), "b.png": png(2)}


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Data sets of each kind by name."""
    root = tmp_path_factory.mktemp("kinds")
    images = pack("folder", root / "images", FILES)
    found = {
        "folder": images,
        "zip": pack("zip", root / "images", FILES),
        "tar": pack("tar", root / "images", FILES),
        "prepared": root / "prepared",
        "tfrecords": root / "tfrecords",
        "parquet": pack("folder", root / "parquet", {"train-0.parquet": b"PAR1"}),
        "lsun": pack("folder", root / "lsun", {"data.mdb": b"x"}),
    }
    prepare(images, found["prepared"])
    nvidia_folder(found["tfrecords"], [noise(2, 3, side, side) for side in (8, 16)])
    found["idx"] = root / "train-images-idx3-ubyte"
    found["idx"].write_bytes(idx(noise(2, 16, 16)))
    found["image"] = images / "a.png"
    found["unnamed zip"] = shutil.copy(found["zip"], root / "unnamed")
    found["unnamed tar"] = shutil.copy(found["tar"], root / "unnamed2")
    found["shard"] = next(found["prepared"].glob("*.tfrecord"))
    found["text"] = root / "x.txt"
    found["text"].write_text("hello")
    return found


READERS = {
    "folder": "folder",
    "zip": "zip",
    "unnamed zip": "zip",
    "prepared": "prepared",
    "tfrecords": "tfrecords",
}
TO_PREPARE = {
    "tar": "a tar archive",
    "unnamed tar": "a tar archive",
    "parquet": "a folder of parquet files",
    "lsun": "a folder with LSUN's LMDB",
    "idx": "an idx file of images",
}
NEITHER = {
    "image": "is a single image; use a folder or a zip of images",
    "text": "is a file of an unknown kind; use a folder or a zip of images, a folder",
    "shard": "is a single TFRecord file; use its folder, ",
}


@pytest.mark.parametrize("name", READERS)
def test_auto_finds_the_source_of_a_path(paths, name):
    path, reader = paths[name], READERS[name]
    found, note = resolve(data("auto", path))
    assert found == data(reader, path)
    assert note.startswith(f"`data.path` (={str(path)!r}) is a ")
    assert note.endswith(f"(`data.source` {reader!r}, chosen by 'auto')")
    source = open_source(data("auto", path))
    assert source.num_images == 2
    assert source.fingerprint == open_source(data(reader, path)).fingerprint
    assert from_path.infer_source(str(path)) == reader
    assert from_path.first_image_size(str(path)) == (16, 16)


@pytest.mark.parametrize("name", [*TO_PREPARE, *NEITHER])
def test_auto_says_what_a_path_is_that_no_source_reads(paths, name):
    message = open_failure(data("auto", paths[name]))
    assert message.startswith(f"`data.path` (={str(paths[name])!r}) is ")
    if name in NEITHER:
        assert NEITHER[name] in message
    else:
        assert f"is {TO_PREPARE[name]}; make a data set of it with" in message
        command = f"`python -m stylegan_jax.prepare --source={paths[name]} --out=...`"
        assert command in message
    with pytest.raises(ValueError) as error:
        from_path.infer_source(str(paths[name]), "--data")
    assert str(error.value) == message.replace("`data.path`", "`--data`")


def test_prepare_knows_what_it_made(paths, tmp_path):
    message = prepare_failure(paths["prepared"], tmp_path / "out")
    assert "was made by `prepare`; train on it" in message
    for name in ("unnamed zip", "unnamed tar"):
        assert prepare(paths[name], tmp_path / name)["num_images"] == 2


def test_auto_without_a_path_or_in_a_bucket():
    found, note = resolve(config.Data(resolution=64))
    assert found.source == "builtin" and "the built-in emoji are used" in note
    found, note = resolve(config.Data(tfds_name="cifar10"))
    assert found.source == "tfds" and "`data.tfds_name` is 'cifar10'" in note
    assert resolve(data("auto", "gs://b/x"))[0].source == "folder"
    explicit = config.Data(source="builtin")
    assert resolve(explicit) == (explicit, None)
    assert config.Data().source == config.base().data.source == "auto"


@pytest.mark.parametrize("source", ["folder", "zip", "prepared", "tfrecords"])
@pytest.mark.parametrize("name", [*READERS, *TO_PREPARE, *NEITHER])
def test_a_path_of_another_kind_names_the_right_source(paths, name, source):
    right = READERS.get(name)
    if right == source:
        assert open_source(data(source, paths[name])).num_images == 2
        return
    message = open_failure(data(source, paths[name]))
    assert str(paths[name]) in message
    if right is not None:
        assert f"`--config.data.source={right}`" in message
    elif name in TO_PREPARE:
        assert f"is {TO_PREPARE[name]}, which `data.source` {source!r} do" in message
        assert f"prepare --source={paths[name]}" in message
    else:
        assert NEITHER[name].partition("; ")[2] in message


def test_problems_of_the_right_kind_are_left_as_they_are(tmp_path, paths):
    pack("folder", tmp_path / "small", {"a.png": png(size=(8, 8))})
    assert "have a size that does not fit" in open_failure(folder(tmp_path / "small"))
    (tmp_path / "bad.zip").write_bytes(b"PK hello")
    for source in ("auto", "zip"):
        assert "cannot be opened" in open_failure(data(source, tmp_path / "bad.zip"))
    # Images beside files of another kind are read if the source says so.
    mixed = shutil.copytree(paths["tfrecords"], tmp_path / "mixed")
    (mixed / "preview.png").write_bytes(png())
    assert open_source(folder(mixed)).num_images == 1
    assert open_source(data("auto", mixed)).num_images == 2


def test_a_missing_path_says_if_it_is_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for source in ("auto", "folder", "zip"):
        message = open_failure(data(source, "photos"))
        assert message == (
            "`data.path` (='photos') does not exist; it is relative to the current "
            f"directory, {tmp_path}"
        )
        gone = tmp_path / "gone"
        assert open_failure(data(source, gone)).endswith("gone') does not exist")


def test_folders_that_resemble_a_data_set(tmp_path, paths):
    for name, what in {
        "prepared": "a folder that `prepare` made",
        "tfrecords": "a folder of NVIDIA's TFRecords",
        "parquet": "a folder of parquet files",
    }.items():
        around = tmp_path / f"around {name}"
        shutil.copytree(paths[name], around / "photos")
        for source in ("auto", "folder", "prepared", "tfrecords"):
            message = open_failure(data(source, around))
            assert (
                f" is a folder that contains {what}, '{around / 'photos'}'" in message
            )
    unfinished = tmp_path / "photos.partial" / "progress"
    unfinished.mkdir(parents=True)
    (unfinished / "request.json").write_text("{}")
    message = open_failure(data("auto", unfinished.parent))
    assert "the partial output of `prepare`; continue it with" in message
    tfds = pack("folder", tmp_path / "1.0.0", {"dataset_info.json": b"{}"})
    (tfds / "features.json").write_text("{}")
    assert "with `data.source=tfds`" in open_failure(data("auto", tfds))
    # `prepare --format=zip`, unpacked, is a folder of images.
    unpacked = pack("folder", tmp_path / "unpacked", FILES)
    (unpacked / "dataset_info.json").write_text("{}")
    (unpacked / "dataset.json").write_text(json.dumps({"labels": None}))
    assert path_kinds.kind_of(str(unpacked)).reader == "folder"


def test_sizes_that_fit_other_settings_are_named(tmp_path):
    files = {f"{i}.png": png(i, size=(40, 36)) for i in range(3)}
    path = pack("folder", tmp_path / "in", files)
    prepare(path, tmp_path / "out")
    flags = "`--config.data.resolution=16 --config.data.base_size='(9, 10)'`"
    for place in (path, tmp_path / "out"):
        assert f"; all of them fit {flags}; or " in open_failure(data("auto", place))
        fitting = data("auto", place, resolution=16, base_size=(9, 10))
        assert open_source(fitting).size == (36, 40)
    square = pack("folder", tmp_path / "square", {"a.png": png(size=(32, 32))})
    prepare(square, tmp_path / "square_out")
    for place in (square, tmp_path / "square_out"):
        too_large = dataclasses.replace(data("auto", place), resolution=64)
        assert "; all of them fit `--config.data.resolution=32`; or " in open_failure(
            too_large
        )
    mixed = pack("folder", tmp_path / "mixed", files | {"x.png": png(size=(16, 16))})
    assert "all of them" not in open_failure(folder(mixed))


def test_the_command_line_reads_the_named_settings():
    c = read("emoji", "--config.data.base_size=(9, 10)", "--config.data.resolution=16")
    assert (c.data.base_size, c.data.resolution) == ((9, 10), 16)
