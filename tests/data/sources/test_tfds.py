"""TensorFlow Datasets, prepared here; nothing is downloaded."""

import dataclasses
import hashlib
import shutil
import socket
import subprocess
import sys

import numpy as np
import pytest

from stylegan_jax import config
from stylegan_jax.data import preparation
from stylegan_jax.data.formats import open_raw_dataset
from stylegan_jax.data.preparation.options import PrepareOptions
from stylegan_jax.data.sources import open_source
from stylegan_jax.data.sources import tfds as tfds_source
from stylegan_jax.runtime.tensorflow import tensorflow
from tests.data.opened import folder, open_failure, read
from tests.data.raw_data import random_image
from tests.tiny import ROOT


@pytest.fixture(scope="module")
def tfds_root(tmp_path_factory):
    """Folders `tfrecord` and `array_record`, each with the data set `tiny`."""
    tensorflow()
    import tensorflow_datasets as tfds

    def generate(seeds, labelled=True):
        for seed in seeds:
            image = np.asarray(random_image(seed=seed))
            label = seed % 2 if labelled else -1
            yield seed, {"image": image, "label": label, "weight": 0.5}

    class Tiny(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3)),
                    "label": tfds.features.ClassLabel(names=["even", "odd"]),
                    "weight": np.float32,
                }
            )
            return self.dataset_info_from_configs(features=features)

        def _split_generators(self, dl_manager):
            return {
                "train": generate(range(12)),
                "test": generate(range(12, 15)),
                "blank": generate(range(15, 18), labelled=False),
            }

        def _generate_examples(self):
            raise AssertionError("unused")

    root = tmp_path_factory.mktemp("tfds")
    for file_format in ("tfrecord", "array_record"):
        builder = Tiny(data_dir=root / file_format, file_format=file_format)
        # Several shards, to test reading across their borders.
        settings = tfds.download.DownloadConfig(num_shards=3)
        builder.download_and_prepare(download_config=settings)
    return root


def tiny(root, file_format, **changes):
    if file_format == "array_record":
        pytest.importorskip("array_record")
    data = config.Data(
        source="tfds",
        tfds_name="tiny",
        tfds_data_dir=str(root / file_format),
        tfds_download=False,
        resolution=16,
        conditional=True,
    )
    return dataclasses.replace(data, **changes)


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
@pytest.mark.parametrize("split", ["train", "train[3:9]", "test", "train+test"])
def test_tfds_matches_its_own_reader(tfds_root, file_format, split):
    import tensorflow_datasets as tfds

    data = tiny(tfds_root, file_format, tfds_split=split)
    source = open_source(data)
    builder = tfds.builder("tiny", data_dir=data.tfds_data_dir)
    if file_format == "tfrecord":
        settings = tfds.ReadConfig(interleave_cycle_length=1)
        examples = builder.as_dataset(split=split, read_config=settings)
        expected = list(tfds.as_numpy(examples))
    else:
        expected = list(builder.as_data_source(split=split))
    assert source.num_images == len(expected) > 0
    assert source.classes == ("even", "odd")
    for index, example in enumerate(expected):
        image, label = read(source, index)
        np.testing.assert_array_equal(image, example["image"])
        assert label == example["label"]
    assert source.check(0) is source.check(source.num_images - 1) is None
    assert "tiny/1.0.0" in source.describe(0) and "record" in source.describe(0)


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_tfds_is_batched(tfds_root, file_format):
    from stylegan_jax.data import pipeline

    source = open_source(tiny(tfds_root, file_format))
    pixels, labels = pipeline.first_images(source, resolution=8, count=12, seed=1)
    assert pixels.shape == (12, 8, 8, 3)
    assert labels.sum(0).tolist() == [6, 6]
    assert len(np.unique(pixels, axis=0)) == 12


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_tfds_is_prepared_into_our_form(tfds_root, file_format, tmp_path):
    data = tiny(tfds_root, file_format, tfds_split="train[2:]")
    opened = open_raw_dataset("tfds:tiny", "train[2:]", data.tfds_data_dir)
    info = preparation.prepare(
        opened, PrepareOptions(tmp_path / "out"), lambda *_: None
    )
    assert info["num_images"] == 10 and info["skipped"] == []
    assert info["classes"] == ("even", "odd") and sum(info["label_totals"]) == 10
    ours = open_source(folder(tmp_path / "out", source="prepared"))
    theirs = open_source(data)
    for index in range(10):
        for our, their in zip(read(ours, index), read(theirs, index), strict=True):
            np.testing.assert_array_equal(our, their)
    assert ours.label_totals == theirs.label_totals
    with pytest.raises(
        ValueError, match="`--source` .=tfds:tiny. cannot be opened. `d"
    ):
        open_raw_dataset("tfds:tiny", "valid", data.tfds_data_dir)


def test_tfds_splits_without_labels(tfds_root, tmp_path):
    data = tiny(tfds_root, "tfrecord", tfds_split="blank", conditional=False)
    source = open_source(data)
    assert source.num_images == 3 and source.classes == source.label_totals == ()
    assert read(source)[0].shape == (16, 16, 3) and source.check(0) is None
    opened = open_raw_dataset("tfds:tiny", "blank", data.tfds_data_dir)
    info = preparation.prepare(
        opened, PrepareOptions(tmp_path / "out"), lambda *_: None
    )
    assert info["num_images"] == 3 and info["classes"] == ()
    message = open_failure(dataclasses.replace(data, conditional=True))
    assert "blank has no class labels" in message


def test_tfds_splits_with_some_labels_are_refused(tfds_root, monkeypatch):
    data = tiny(tfds_root, "tfrecord", tfds_split="test+blank")
    reason = "3 of the 6 images checked in tfds tiny/1.0.0 test.blank have no class"
    with pytest.raises(ValueError, match=reason):
        open_source(data)
    with pytest.raises(ValueError, match=f"`--source` .=tfds:tiny. cannot .*{reason}"):
        open_raw_dataset("tfds:tiny", "test+blank", data.tfds_data_dir)
    # Only a sample of many images is looked at.
    monkeypatch.setattr(tfds_source, "MAX_LABELS", 1)
    source = open_source(dataclasses.replace(data, tfds_split="train+blank"))
    assert source.classes == ("even", "odd") and source.check(0) is None
    assert source.check(14) == "has no class (its label is -1), others have one"
    with pytest.raises(tensorflow().errors.InvalidArgumentError):
        read(source, 14)


def test_tfds_does_not_keep_the_process_from_exiting(tfds_root):
    # Prefetches so many batches that records are being read when it exits.
    program = f"""
from stylegan_jax import config
from stylegan_jax.data import pipeline, sources
source = sources.open_source({tiny(tfds_root, "tfrecord")!r})
batches = pipeline.batches(source, resolution=16, batch_size=32, start_images=0, seed=0,
    process_index=0, process_count=1, prefetch_batches=100000)
for _ in range(3):
    next(batches)
""".replace("Data(", "config.Data(")
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_tfds_fingerprint_is_of_the_content(tfds_root, tmp_path):
    first = open_source(tiny(tfds_root, "tfrecord"))
    content = b'["tiny/1.0.0", "train", 12]'  # runs have stored its digest
    assert first.fingerprint == hashlib.sha256(content).hexdigest()
    shutil.copytree(tfds_root / "tfrecord", tmp_path / "tfrecord")
    assert open_source(tiny(tmp_path, "tfrecord")).fingerprint == first.fingerprint
    other = open_source(tiny(tfds_root, "tfrecord", tfds_split="test"))
    assert other.fingerprint != first.fingerprint


def test_tfds_damage_is_named(tfds_root, tmp_path):
    from stylegan_jax.data import pipeline

    shutil.copytree(tfds_root / "tfrecord", tmp_path / "tfrecord")
    source = open_source(tiny(tmp_path, "tfrecord"))
    shard = source.describe(0).split(" of ")[1]
    with open(shard, "r+b") as file:
        content = file.read()
        file.seek(content.index(b"IDAT") + 40)
        file.write(bytes(200))
    with pytest.raises(ValueError, match="tiny.*record 0 of .*00000-of-.* is damaged"):
        pipeline.first_images(source, resolution=8, count=12, seed=1)
    with open(shard, "r+b") as file:
        file.truncate(len(content) - 5)
    message = open_failure(tiny(tmp_path, "tfrecord"))
    assert shard in message and "prepare the data set again" in message


def test_tfds_not_prepared_names_directory_and_command(tfds_root, tmp_path):
    message = open_failure(tiny(tmp_path, "", tfds_name="mnist"))
    assert "`data.tfds_name` (='mnist') is not prepared in" in message
    assert str(tmp_path / "mnist") in message
    assert f"`tfds build mnist --data_dir={tmp_path}" in message
    assert not (tmp_path / "mnist").exists()


def test_tfds_is_prepared_when_allowed(tfds_root, tmp_path):
    source = open_source(tiny(tmp_path, "new", tfds_download=True))
    assert source.num_images == 12
    assert open_source(tiny(tmp_path, "new")).fingerprint == source.fingerprint


def test_tfds_unknown_name_and_split(tfds_root):
    message = open_failure(tiny(tfds_root, "tfrecord", tfds_name="cifar11"))
    assert "`data.tfds_name` (='cifar11') is neither" in message
    assert str(tfds_root / "tfrecord") in message and "did you mean cifar10" in message
    message = open_failure(tiny(tfds_root, "tfrecord", tfds_name="lsun/bedrom"))
    assert "`data.tfds_name` (='lsun/bedrom') cannot be opened" in message
    message = open_failure(tiny(tfds_root, "tfrecord", tfds_split="valid"))
    assert (
        "`data.tfds_split` (='valid') must be one of ['blank', 'test', 'train']"
        in message
    )


def test_tfds_sizes_are_checked(tfds_root):
    message = open_failure(tiny(tfds_root, "tfrecord", resolution=64))
    assert "record 0 of" in message
    assert "is 16x16 (width x height); `data.fit`='exact' takes 64x64" in message
    assert "use `--config.data.resolution=16`" in message
    command = "`python -m stylegan_jax.prepare --source=tfds:tiny --split=train --out="
    assert command in message


@pytest.mark.slow
def test_two_processes_prepare_a_data_set_once(tmp_path):
    """Each would write all of it, and the second could not rename its directory."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    # TFDS looks for a builder's files beside its module, which `-m` would rename.
    code = "import sys; from tests.data.sources import tfds_worker as worker; "
    code += "worker.run(*sys.argv[1:])"
    command = [sys.executable, "-c", code, str(tmp_path), port]
    running = [
        subprocess.Popen(
            [*command, str(i)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in (0, 1)
    ]
    try:
        results = [process.communicate(timeout=120) for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0], results
    assert [output.splitlines()[-1] for output, _ in results] == ["3", "3"]
    assert ["generates" in output for output, _ in results] == [True, False]
