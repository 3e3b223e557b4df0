"""Training from prepared sets and from zips."""

import json
import shutil
import zipfile

import chex
import numpy as np
import pytest

from stylegan_jax.data import preparation
from stylegan_jax.data.preparation.output import FORMAT_VERSION
from stylegan_jax.data.sources import open_source
from stylegan_jax.runtime.tensorflow import tensorflow
from tests import goldens
from tests.data.opened import data, open_failure, prepare, read, take
from tests.data.raw_data import FILES, pack, png


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory):
    """A folder of images and, beside it, a zip and two prepared sets of them."""
    root = tmp_path_factory.mktemp("sets")
    source = pack("folder", root / "raw", FILES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparation, "SHARD_IMAGES", 4)
        prepare(source, root / "prepared", labels="folders")
        prepare(source, root / "multires", labels="folders", multires=True)
    pack("zip", root / "raw", FILES)
    return source


@pytest.fixture
def folder(shared_folder, tmp_path):
    """A copy of the shared folders that a test may damage."""
    shutil.copytree(shared_folder.parent, tmp_path / "sets")
    return tmp_path / "sets" / shared_folder.name


@pytest.mark.parametrize("kind", ["zip", "prepared", "multires"])
@pytest.mark.parametrize("resolution", [16, 8, 4])
def test_batches_are_those_of_the_folder(shared_folder, kind, resolution):
    path = shared_folder.with_name({"zip": "raw.zip"}.get(kind, kind))
    name = "zip" if kind == "zip" else "prepared"
    source = open_source(data(name, path, conditional=True))
    plain = open_source(data("folder", shared_folder, conditional=True))
    assert source.classes == plain.classes == ("a", "b")
    changes = {"resolution": resolution, "seed": 3}
    expected = take(plain, 5, start_images=8, **changes)
    chex.assert_trees_all_equal(take(source, 5, start_images=8, **changes), expected)
    resumed = take(source, 3, start_images=16, **changes)
    np.testing.assert_array_equal(resumed[0], expected[0][8:])
    assert all(source.check(index) is None for index in range(10))


def test_levels_are_read_from_their_files(folder):
    root = folder.with_name("multires")
    source = open_source(data("prepared", root))
    assert sorted(source.levels) == [4, 8]
    before = take(source, 2, resolution=4)
    for file in root.glob("r0016-*"):  # no longer decodable, of the same length
        file.write_bytes(file.read_bytes().replace(b"IDAT", b"IDAX"))
    np.testing.assert_array_equal(take(source, 2, resolution=4)[0], before[0])
    with pytest.raises(ValueError, match="record . of .*r0016-0000.-of-00003"):
        take(source, 2)


def test_smaller_networks_read_their_level(shared_folder):
    root = shared_folder.with_name("multires")
    half = open_source(data("prepared", root, resolution=8))
    assert sorted(half.levels) == [4]
    full = open_source(
        data("prepared", shared_folder.with_name("prepared"), resolution=8)
    )
    assert not full.levels and half.fingerprint == full.fingerprint
    for index in range(10):
        np.testing.assert_array_equal(read(half, index)[0], read(full, index)[0])


def test_other_channels_are_made_from_the_full_images(shared_folder):
    source = open_source(
        data("prepared", shared_folder.with_name("multires"), channels=1)
    )
    assert not source.levels and read(source)[0].shape == (16, 16, 1)


def test_rectangles(tmp_path):
    files = {f"{i}.png": png(i, size=(32, 16)) for i in range(3)}
    source = pack("folder", tmp_path / "in", files)
    prepare(source, tmp_path / "out", multires=True)
    opened = open_source(data("prepared", tmp_path / "out", base_size=(4, 8)))
    assert sorted(opened.levels) == [4, 8]
    assert take(opened, 1, resolution=8)[0].shape == (4, 8, 16, 3)


def test_prepared_folders_that_do_not_fit(folder, tmp_path):
    root = folder.with_name("prepared")
    message = open_failure(data("prepared", root, resolution=64))
    assert "is 16x16 (width x height)" in message
    assert "prepare the originals again with --resolution=64x64" in message
    message = open_failure(data("prepared", folder))
    assert "with dataset_info.json in it; make one of your images with" in message
    assert (
        f"prepare --source={folder} --out={folder.name}-16x16 --resolution=16x16"
        in message
    )
    (root / "r0016-00001-of-00003.tfrecord").write_bytes(b"x")
    message = open_failure(data("prepared", root))
    assert "r0016-00001-of-00003.tfrecord ends in record 0; prepare the im" in message
    (root / "dataset_info.json").write_text(json.dumps({"format_version": 99}))
    assert "has format version 99" in open_failure(data("prepared", root))
    (root / "dataset_info.json").write_text("{")
    assert "dataset_info.json is damaged" in open_failure(data("prepared", root))
    (root / "dataset_info.json").write_text(
        json.dumps({"format_version": FORMAT_VERSION, "num_images": "7", "height": 16})
    )
    message = open_failure(data("prepared", root))
    assert "dataset_info.json is damaged: num_images, width, resolution, " in message


@pytest.mark.parametrize("as_folder", [False, True])
def test_nvidias_zip_has_the_images_and_labels_of_nvidias_reader(tmp_path, as_folder):
    path = goldens.path("stylegan2_and_3/I7_tiny_dataset.zip")
    if as_folder:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(tmp_path)
        path = tmp_path
    kind = "folder" if as_folder else "zip"
    source = open_source(data(kind, path, conditional=True))
    reader = json.loads(
        goldens.path("stylegan2_and_3/I8_dataset_reader.json").read_text()
    )
    labels = np.array(reader["cases"][0]["labels"])
    expected = goldens.arrays("stylegan2_and_3/I8_dataset_reader.npz")["out/images_u8"]
    assert source.num_images == 7 and source.label_size == 4
    for index in range(7):
        image, label = read(source, index)
        np.testing.assert_array_equal(image.transpose(2, 0, 1), expected[index])
        np.testing.assert_array_equal(np.eye(4)[label], labels[index])


def test_our_zip_for_nvidia_trains_here_too(shared_folder, tmp_path):
    prepare(shared_folder, tmp_path / "out.zip", format="zip", labels="folders")
    source = open_source(data("zip", tmp_path / "out.zip", conditional=True))
    plain = open_source(data("folder", shared_folder))
    assert source.classes == ("0", "1")
    for index in range(10):
        for ours, theirs in zip(read(source, index), read(plain, index), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_label_files_without_labels_give_no_classes(tmp_path):
    files = FILES | {"dataset.json": b'{"labels": null}'}
    source = pack("zip", tmp_path / "raw", files)
    assert open_source(data("zip", source)).classes == ()
    message = open_failure(data("zip", source, conditional=True))
    assert "has no class labels" in message


def test_zip_problems_are_named(tmp_path):
    message = open_failure(data("zip", tmp_path / "gone.zip"))
    assert message.startswith("`data.path`") and message.endswith("does not exist")
    bad = pack("zip", tmp_path / "bad", {"a.png": b"hello", "../b.png": png(1)})
    message = open_failure(data("zip", bad))
    assert "2 of the 2 images checked" in message
    assert f"{bad}/a.png is not an image" in message
    assert f"{bad}/../b.png has a name that points outside the archive" in message
    small = pack("zip", tmp_path / "small", {"a.png": png(1, size=(20, 20))})
    message = open_failure(data("zip", small))
    assert f"python -m stylegan_jax.prepare --source={small} --out=" in message
    none = pack("zip", tmp_path / "none", {"a.txt": b"hello"})
    assert "`data.path` (=" in open_failure(data("zip", none))


def test_damage_in_a_zip_is_named_when_it_is_read(tmp_path):
    # Too large for the buffer of the open file.
    files = {name: png(size=(128, 128)) for name in ("a.png", "b.png")}
    path = pack("zip", tmp_path / "raw", files)
    source = open_source(data("zip", path))
    content = path.read_bytes()
    at = content.index(b"IDAT") + 100
    path.write_bytes(content[:at] + b"xxxx" + content[at + 4 :])
    with pytest.raises(ValueError, match="raw.zip/a.png cannot be unpacked: Bad CRC"):
        take(source, 1)


def test_each_damaged_byte_of_a_png_is_noticed(tmp_path):
    """Training does not check the CRC of records; PNG has checksums of its own."""
    prepare(pack("folder", tmp_path / "in", {"a.png": png()}), tmp_path / "out")
    (path,) = (tmp_path / "out").glob("*.tfrecord")
    whole = path.read_bytes()
    source = open_source(data("prepared", tmp_path / "out"))
    begin, end = whole.index(b"IHDR"), whole.index(b"IEND") - 4
    for at in range(begin, end, 7):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(tensorflow().errors.OpError):
            read(source)
        assert source.check(0) == (
            "has a wrong checksum (CRC); the file is damaged there"
        )
