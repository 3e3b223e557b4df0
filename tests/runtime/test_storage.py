"""Runs and data in a bucket, for which a directory stands in."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stylegan_jax import config, workdir
from stylegan_jax.data import formats, pipeline, sources
from stylegan_jax.runtime import cli, logger, storage
from stylegan_jax.workdir import DataInfo
from tests import buckets, tiny


@pytest.fixture
def bucket(tmp_path):
    root = tmp_path / "served"
    (root / "b").mkdir(parents=True)
    with buckets.served(root):
        yield root / "b"


def test_paths_on_disk_are_unchanged_but_for_the_home_directory(monkeypatch):
    monkeypatch.setenv("HOME", "/home/x")
    assert str(storage.open_path("~/runs")) == "/home/x/runs"
    assert str(storage.open_path(Path("runs") / "a")) == "runs/a"


def test_buckets_keep_their_scheme(bucket):
    path = storage.open_path("gs://b/runs") / "x"
    assert str(path) == "gs://b/runs/x"
    assert storage.scheme_of(path) == "gs" and storage.scheme_of("/gs/x") is None


@pytest.mark.parametrize(
    "path, tensorflow, schemes, message",
    [
        ("s3://b/x", False, [], "s3://b/x needs the package s3fs: pip install s3fs"),
        ("gs://b/x", False, [], "gs://b/x needs the package gcsfs: pip install gcsfs"),
        ("s3://b/x", True, ["gs"], "cannot read s3://b/x; set EPATH_USE_TF=false"),
        ("hdfs://b/x", True, ["hdfs"], "not supported; use gs://, s3://, or a path on"),
    ],
)
def test_missing_support_for_a_scheme_is_named(
    monkeypatch, path, tensorflow, schemes, message
):
    monkeypatch.setattr(storage, "_etils_uses_tensorflow", lambda: tensorflow)
    monkeypatch.setattr(storage, "_tensorflow_schemes", lambda: schemes)
    monkeypatch.setattr(storage, "_is_installed", lambda package: False)
    with pytest.raises(ValueError) as raised:
        storage.open_path(path)
    assert message in str(raised.value)


def test_tensorflow_serves_the_schemes_that_it_supports(monkeypatch):
    monkeypatch.setattr(storage, "_tensorflow_schemes", lambda: ["", "gs"])
    monkeypatch.delenv("EPATH_USE_TF", raising=False)
    assert str(storage.open_path("gs://b/x")) == "gs://b/x"
    monkeypatch.setenv("EPATH_USE_TF", "False")
    monkeypatch.setattr(storage, "_is_installed", lambda package: False)
    with pytest.raises(ValueError, match="pip install gcsfs"):
        storage.open_path("gs://b/x")


def test_tensorflow_lists_its_schemes():
    assert "" in storage._tensorflow_schemes()


def test_the_description_of_a_run_is_in_the_bucket(bucket):
    run, e = storage.open_path("gs://b/run"), tiny.experiment()
    data = DataInfo("folder x", 7, ("a", "b"), "abc")
    workdir.check_resumable(run, e, data)
    workdir.write_description(run, e, data)
    workdir.write_description(run, e, data)
    assert config.load(bucket / "run" / "config.json") == e
    assert config.load("gs://b/run/config.json") == e
    assert workdir.load_data_info(run) == data
    assert len(json.loads((bucket / "run" / "environment.json").read_text())) == 2
    with pytest.raises(ValueError, match="gs://b/run holds a run with other settings"):
        workdir.check_resumable(run, tiny.experiment({"training.r1_gamma": 1.0}), data)


def test_logs_are_uploaded_and_a_resumed_run_appends(bucket):
    images = np.zeros((1, 4, 4, 3), np.uint8)
    for start in (0, 1000):
        run_logger = logger.RunLogger("gs://b/run", enabled=True)
        run_logger.event("start")
        run_logger.scalars(start + 500, {"d_main/loss": 0.5})
        log = bucket / "run" / "log.jsonl"
        assert str(start + 500) in log.read_text()  # at the tick, not at the end
        run_logger.images("fakes", start + 500, images, 1)
        spool = run_logger._workdir
        run_logger.close()
        assert not spool.exists()
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert [row.get("images_seen") for row in rows] == [None, 500, None, 1500]
    names = sorted(p.name for p in (bucket / "run" / "images").iterdir())
    assert names == ["fakes-000000.500.png", "fakes-000001.500.png"]
    assert list((bucket / "run" / "tensorboard").glob("events.*"))


def test_a_failed_upload_does_not_end_the_run(bucket, capsys, monkeypatch):
    def refuse(self, path, mode):
        raise RuntimeError("403 Forbidden")

    run_logger = logger.RunLogger("gs://b/run", enabled=True)
    with monkeypatch.context() as patch:
        patch.setattr(buckets.Bucket, "open", refuse)
        run_logger.scalars(500, {"d_main/loss": 0.5})
    assert "upload to gs://b/run/log.jsonl failed: 403" in capsys.readouterr().out
    run_logger.scalars(1000, {"d_main/loss": 0.5})
    run_logger.close()
    assert len((bucket / "run" / "log.jsonl").read_text().splitlines()) == 2


def test_a_folder_of_images_reads_the_same_from_a_bucket_as_from_disk(bucket):
    random = np.random.RandomState(0)
    for name in ("cats/1.png", "cats/2.PNG", "dogs/deep/3.png", "dogs/.no/4.png"):
        path = bucket / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = random.randint(0, 256, (8, 8, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(path)
    (bucket / "data" / "cats" / "notes.txt").touch()

    def opened(path: str):
        return sources.open_source(
            config.Data(source="folder", path=path, resolution=8)
        )

    there, here = opened("gs://b/data"), opened(str(bucket / "data"))
    assert there.num_images == 3 and there.classes == ("cats", "dogs")
    assert there.fingerprint == here.fingerprint
    assert there.describe(1) == "gs://b/data/cats/2.PNG"
    for source in (there, here):
        assert source.check(2) is None
    batches = [
        pipeline.first_images(s, resolution=8, count=6, seed=0) for s in (there, here)
    ]
    for of_bucket, of_disk in zip(*batches, strict=True):
        np.testing.assert_array_equal(of_bucket, of_disk)

    (bucket / "data" / "cats" / "1.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="gs://b/data/cats/1.png is not an image"):
        opened("gs://b/data")
    with pytest.raises(ValueError, match="is not a directory"):
        opened("gs://b/nothing")


@pytest.mark.parametrize("source", ["zip", "prepared", "tfrecords", "tfds"])
def test_sources_that_buckets_do_not_support_are_rejected(source):
    data = config.Data(source=source, path="gs://b/x")
    if source == "tfds":
        data = config.Data(source=source, tfds_name="x", tfds_data_dir="gs://b/x")
    with pytest.raises(ValueError) as raised:
        sources.open_source(data)
    setting = "data.tfds_data_dir" if source == "tfds" else "data.path"
    assert str(raised.value) == (
        f"`{setting}` (='gs://b/x') must be on a disk: only runs and, in training, "
        "folders of images may be in a bucket; copy it to a disk with "
        "`gcloud storage cp -r gs://b/x ...`"
    )
    with pytest.raises(ValueError, match="`--source` .='s3://b/x'. must be on a disk"):
        formats.open_raw_dataset("s3://b/x")
    with pytest.raises(ValueError, match="`--out` .='ftp://x'. .* copy it to a disk$"):
        storage.local_path("ftp://x", "--out")


def test_checkpoints_keep_the_scheme_of_their_directory(bucket):
    """Writing arrays takes TensorStore's own client, for which nothing stands in."""
    checkpoints = workdir.open_checkpoints(storage.open_path("gs://b/run"), 1, print)
    assert str(checkpoints.directory) == "gs://b/run/checkpoints"
    assert checkpoints.latest_step() is None
    checkpoints.close()


def test_a_full_disk_is_named_with_the_path(tmp_path):
    path = tmp_path / "a.png"
    temporary = tmp_path / f".a.png.{os.getpid()}.tmp"
    temporary.symlink_to("/dev/full")
    with pytest.raises(OSError) as raised:
        storage.write_atomically(path, bytes(10_000))
    assert raised.value.errno == errno.ENOSPC
    assert raised.value.filename == str(path)
    assert cli.describe(raised.value) == f"{path}: No space left on device"
    assert list(tmp_path.iterdir()) == []


def test_commands_that_copy_from_a_bucket_are_quoted():
    with pytest.raises(ValueError) as raised:
        storage.local_path("gs://b/my photos", "--source")
    assert "`gcloud storage cp -r 'gs://b/my photos' ...`" in str(raised.value)
