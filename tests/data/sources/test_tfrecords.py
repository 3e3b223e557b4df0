"""Training from NVIDIA's multi-resolution TFRecords without preparation."""

import chex
import numpy as np
import pytest

from stylegan_jax.data.formats import tfrecord
from stylegan_jax.data.sources import open_source
from stylegan_jax.runtime.tensorflow import tensorflow
from tests import goldens
from tests.data.opened import data, open_failure, prepare, read, take
from tests.data.raw_data import noise, nvidia_folder

SIDES = (4, 8, 16, 32)


@pytest.fixture
def golden():
    """The levels of the official images, [2, C, R, R]."""
    arrays = goldens.arrays("stylegan1/dataset_pyramid.npz")
    return {side: arrays[f"out/level_{side}x{side}"] for side in SIDES}


def test_each_resolution_is_read_from_its_file(tmp_path, golden):
    golden[8] = 255 - golden[8]  # other than the average
    labels = [[0, 1, 0], [0, 0, 1]]
    nvidia_folder(tmp_path / "in", golden.values(), labels=labels)
    source = open_source(
        data("tfrecords", tmp_path / "in", resolution=32, conditional=True)
    )
    assert sorted(source.levels) == [4, 8, 16] and source.classes == ("0", "1", "2")
    for index in range(2):
        image, label = read(source, index)
        np.testing.assert_array_equal(image, goldens.nhwc(golden[32])[index])
        assert label == index + 1 and source.check(index) is None
    for side in SIDES:
        found = take(source, 3, resolution=side)[0]
        expected = goldens.nhwc(golden[side])
        assert {i.tobytes() for i in found} == {i.tobytes() for i in expected}


def test_they_train_as_a_prepared_set_of_them(tmp_path):
    images = noise(9, 1, 16, 16)
    nvidia_folder(tmp_path / "in", [images])
    prepare(tmp_path / "in", tmp_path / "out")
    for channels in (1, 3):
        direct, prepared = (
            open_source(data(kind, tmp_path / name, channels=channels))
            for kind, name in [("tfrecords", "in"), ("prepared", "out")]
        )
        for resolution in (16, 4):
            changes = {"start_images": 5, "resolution": resolution}
            chex.assert_trees_all_equal(
                take(direct, 3, **changes), take(prepared, 3, **changes)
            )


def test_smaller_networks_read_smaller_files(tmp_path, golden):
    del golden[16]
    nvidia_folder(tmp_path / "in", golden.values())
    half = open_source(data("tfrecords", tmp_path / "in", resolution=16))
    assert sorted(half.levels) == [4, 8]  # no file of 16: it is averaged from 32
    mean = goldens.nhwc(golden[32]).reshape(2, 16, 2, 16, 2, 3).mean((2, 4))
    np.testing.assert_array_equal(read(half, 1)[0], np.rint(mean)[1])
    small = open_source(data("tfrecords", tmp_path / "in", resolution=8))
    for file in (tmp_path / "in").glob("*-r05.tfrecords"):
        file.unlink()
    again = open_source(data("tfrecords", tmp_path / "in", resolution=8))
    np.testing.assert_array_equal(read(again)[0], read(small)[0])


def test_fingerprint_is_of_the_content(tmp_path, golden):
    def fingerprint(name, arrays, **changes):
        nvidia_folder(tmp_path / name, arrays)
        return open_source(data("tfrecords", tmp_path / name, **changes)).fingerprint

    first = fingerprint("one", golden.values(), resolution=32)
    assert first == fingerprint("two", golden.values(), resolution=8)
    for side in SIDES:  # other images of the same sizes
        changed = [255 - a if s == side else a for s, a in golden.items()]
        assert fingerprint(f"other{side}", changed, resolution=8) != first
    # A single image among many that is in none of the pieces of the file.
    many = noise(600, 1, 8, 8)
    found = {fingerprint("many", [many], resolution=8)}
    for index in (0, 1, 299, 300):
        changed = many.copy()
        changed[index, 0, 3, 3] ^= 1
        found.add(fingerprint(f"many{index}", [changed], resolution=8))
    assert len(found) == 5


def test_other_channels_are_made_from_the_full_images(tmp_path, golden):
    nvidia_folder(tmp_path / "in", golden.values())
    source = open_source(data("tfrecords", tmp_path / "in", resolution=32, channels=1))
    assert not source.levels and read(source)[0].shape == (32, 32, 1)


def test_files_that_do_not_fit_are_refused(tmp_path, golden):
    root = tmp_path / "in"
    nvidia_folder(root, golden.values())
    message = open_failure(data("tfrecords", root, resolution=64))
    assert "is 32x32 (width x height)" in message
    assert f"`python -m stylegan_jax.prepare --source={root} --out=" in message
    message = open_failure(data("tfrecords", tmp_path))
    assert "is a folder that contains a folder of NVIDIA's" in message
    for name, images, reason in [
        ("r03", noise(1, 3, 8, 8), "holds 1 images of 3 channels, "),
        ("r03", noise(2, 1, 8, 8), "holds 2 images of 1 channels, "),
        ("r03", noise(2, 3, 4, 4), "holds images of 4x4; by its name, they are 8x8"),
    ]:
        nvidia_folder(tmp_path / "other", [images])
        (made,) = (tmp_path / "other").iterdir()
        made.rename(root / f"set-{name}.tfrecords")
        made.parent.rmdir()
        assert reason in open_failure(data("tfrecords", root, resolution=32))
    (root / "set-r03.tfrecords").write_bytes(b"hello")
    message = open_failure(data("tfrecords", root, resolution=32))
    assert "set-r03.tfrecords cannot be read" in message and "copy it again" in message
    (root / "b-r03.tfrecords").write_bytes(b"hello")
    message = open_failure(data("tfrecords", root))
    assert "holds several data sets, b, set; give each its own folder" in message


def test_a_record_of_another_shape_is_named(tmp_path):
    nvidia_folder(tmp_path / "in", [noise(3, 3, 16, 16)])
    (path,) = (tmp_path / "in").iterdir()
    nvidia_folder(tmp_path / "wide", [noise(1, 3, 8, 32)])
    (odd,) = (tmp_path / "wide").iterdir()
    path.write_bytes(path.read_bytes() + odd.read_bytes())
    source = open_source(data("tfrecords", tmp_path / "in"))
    reason = "record 3 of .*r04.tfrecords .* has shape .8, 32, 3., not .16, 16, 3."
    with pytest.raises(ValueError, match=reason):
        take(source, 2, batch_size=2)
    with pytest.raises(tensorflow().errors.InvalidArgumentError):
        read(source, 3)


def test_a_bad_crc_is_named_when_something_fails(tmp_path):
    nvidia_folder(tmp_path / "in", [noise(3, 3, 16, 16)])
    (path,) = (tmp_path / "in").iterdir()
    content = bytearray(path.read_bytes())
    begin = int(tfrecord.offsets(path)[1]) + tfrecord.HEADER_BYTES
    content[begin : begin + 8] = bytes(8)  # no longer an example
    path.write_bytes(content)
    source = open_source(data("tfrecords", tmp_path / "in"))
    with pytest.raises(ValueError, match="record 1 of .* has a wrong checksum"):
        take(source, 1, batch_size=3)
