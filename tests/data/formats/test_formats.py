"""CIFAR-10, MNIST and NVIDIA's TFRecords in their original formats, made here."""

import gzip
import pickle
import tarfile

import numpy as np
import pytest

from stylegan_jax.data import formats
from stylegan_jax.data.formats import cifar, tfrecord
from stylegan_jax.data.interface import InvalidImage
from stylegan_jax.data.sources import open_source
from stylegan_jax.runtime.tensorflow import tensorflow
from tests import goldens
from tests.data.opened import data, prepare, read
from tests.data.raw_data import (
    CIFAR_CLASSES,
    CIFAR_LABELS,
    cifar_files,
    cifar_images,
    idx,
    noise,
    nvidia_folder,
    pack,
)


def failure(source) -> str:
    with pytest.raises(ValueError) as error:
        formats.open_raw_dataset(str(source))
    return str(error.value)


def check_trains(folder, images, labels, resolution, channels=3):
    """Check that a prepared folder holds these images and labels in training."""
    settings = {"resolution": resolution, "channels": channels, "conditional": True}
    source = open_source(data("prepared", folder, **settings))
    assert source.num_images == len(images)
    for index in range(len(images)):
        image, label = read(source, index)
        np.testing.assert_array_equal(image, images[index])
        assert label == labels[index] and source.check(index) is None
    return source


# CIFAR-10


@pytest.mark.parametrize("kind", ["py", "bin"])
def test_cifar(tmp_path, kind):
    source = pack("tar.gz", tmp_path / "cifar-10", cifar_files(kind))
    info = prepare(source, tmp_path / "out", multires=True)
    assert info["classes"] == CIFAR_CLASSES and info["label_totals"] == [4, 3, 3]
    expected = cifar_images().transpose(0, 2, 3, 1)
    opened = check_trains(tmp_path / "out", expected, CIFAR_LABELS, 32)
    assert sorted(opened.levels) == [4, 8, 16]


def test_cifar_pickles_cannot_run_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return print, ("this ran",)

    files = cifar_files("py")
    files["cifar-10-batches-py/data_batch_3"] = pickle.dumps(Evil())
    message = failure(pack("tar.gz", tmp_path / "cifar", files))
    assert (
        "looks like CIFAR-10 but is damaged (its pickle refers to builtins.print)"
        in message
    )


def test_cifar_damage_is_reported(tmp_path):
    for number, (name, content) in enumerate(
        {
            "py/data_batch_2": pickle.dumps({"data": np.zeros(3), "labels": [0]}),
            "bin/data_batch_2.bin": bytes(100),
            "bin/batches.meta.txt": b"airplane",
        }.items()
    ):
        files = cifar_files(name.split("/")[0])
        files[f"cifar-10-batches-{name}"] = content
        message = failure(pack("tar", tmp_path / str(number), files))
        assert "looks like CIFAR-10 but is damaged" in message
    files = cifar_files("py")
    del files["cifar-10-batches-py/data_batch_5"]
    message = failure(pack("tar", tmp_path / "x", files))
    assert "data_batch_5' not found" in message


def test_other_tars_are_not_cifar(tmp_path):
    (tmp_path / "bad.tar").write_bytes(b"hello")
    assert cifar.open_cifar(tmp_path / "bad.tar") is None
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    assert cifar.open_cifar(tmp_path / "empty.tar") is None


# MNIST


@pytest.mark.parametrize("side", [28, 16])
@pytest.mark.parametrize("suffix", [".gz", ""])
def test_mnist(tmp_path, side, suffix):
    digits, labels = noise(5, side, side), np.uint8([3, 0, 1, 3, 2])
    for kind, array in {"images-idx3": digits, "labels-idx1": labels}.items():
        content = idx(array)
        path = tmp_path / f"train-{kind}-ubyte{suffix}"
        path.write_bytes(gzip.compress(content) if suffix else content)
    info = prepare(tmp_path / f"train-images-idx3-ubyte{suffix}", tmp_path / "out")
    assert info["channels"] == 1 and info["label_totals"] == [1, 1, 1, 2]
    border = 2 if side == 28 else 0
    padded = np.pad(digits, [(0, 0), (border, border), (border, border)])
    side += 2 * border
    check_trains(tmp_path / "out", padded[..., None], labels, side, channels=1)


def test_mnist_damage_is_reported(tmp_path):
    path = tmp_path / "x-images-idx3-ubyte.gz"
    good = idx(noise(5, 28, 28))
    for content, reason in {
        gzip.compress(
            good[:-1]
        ): "does not hold the 3,920 bytes that its header declares",
        gzip.compress(good)[:-900]: "cannot be read",
        b"hello": "cannot be read",
        gzip.compress(idx(noise(5))): "does not begin like an idx3 file",
        gzip.compress(bytes([0, 0, 8, 3]) + b"\xff" * 12): "from 1 to 2,147,",
    }.items():
        path.write_bytes(content)
        assert reason in failure(path)
    path.write_bytes(gzip.compress(good))
    labels = tmp_path / "x-labels-idx1-ubyte.gz"
    labels.write_bytes(gzip.compress(idx(np.uint8([1, 2]))))
    assert "has 2 labels for the 5 images" in failure(path)


# NVIDIA's TFRecords


def test_nvidias_tfrecords_are_prepared_with_their_levels(tmp_path):
    arrays = goldens.arrays("stylegan1/dataset_pyramid.npz")
    levels = [arrays[f"out/level_{side}x{side}"] for side in (4, 8, 16, 32)]
    nvidia_folder(tmp_path / "in", levels, labels=[[0, 1, 0], [0, 0, 1]])
    prepare(tmp_path / "in", tmp_path / "out", multires=True)
    full = goldens.nhwc(arrays["in/images_uint8"])
    source = check_trains(tmp_path / "out", full, [1, 2], 32)
    for level in levels[:-1]:
        load = source.levels[level.shape[2]]
        for index in range(2):
            image, _ = load(tensorflow().constant(index, tensorflow().int64))
            np.testing.assert_array_equal(image, goldens.nhwc(level)[index])


def test_records_with_a_bad_crc_are_skipped(tmp_path):
    nvidia_folder(tmp_path / "in", [noise(3, 3, 16, 16)])
    path = tmp_path / "in" / "set-r04.tfrecords"
    content = bytearray(path.read_bytes())
    content[tfrecord.offsets(path)[1] + 300] ^= 1
    path.write_bytes(content)
    info = prepare(path, tmp_path / "out")
    assert info["num_images"] == 2
    assert info["skipped"] == [["record 1", info["skipped"][0][1]]]
    assert "has a wrong checksum (CRC)" in info["skipped"][0][1]
    path.write_bytes(content[:-5])
    assert "ends in record 2; copy it again" in failure(tmp_path / "in")


def test_other_records_and_labels_are_refused(tmp_path):
    nvidia_folder(tmp_path / "in", [noise(2, 1, 8, 8)], labels=[[0, 1]])
    assert "it must hold a row of finite numbers" in failure(tmp_path / "in")
    with tfrecord.Writer(tmp_path / "x.tfrecords") as writer:
        writer.write(tensorflow().train.Example().SerializeToString())
        writer.write(b"\xffhello")
    opened = formats.open_raw_dataset(str(tmp_path / "x.tfrecords"))
    for index, reason in enumerate(["no raw image", "no tf.train.Example"]):
        with pytest.raises(InvalidImage, match=reason):
            opened.read(index)


@pytest.mark.parametrize("length", [0, 1, 1000, 100_003])
def test_checksums_are_those_of_tensorflow(tmp_path, length):
    payload = noise(length).tobytes()
    with tfrecord.Writer(tmp_path / "x") as writer:
        writer.write(payload)
    reader = tfrecord.Reader([tmp_path / "x"])
    assert reader.read_checked(0) == reader.read(0) == payload
