"""Runs of `prepare` that are killed, resumed, or cannot write."""

import json
import os
import signal
import subprocess
import sys
import zipfile

import pytest

from stylegan_jax import config
from stylegan_jax.data import formats, preparation
from stylegan_jax.data.formats import tfrecord
from stylegan_jax.data.preparation.options import PrepareOptions
from stylegan_jax.data.preparation.output import INFO
from stylegan_jax.data.sources import open_source
from tests.data.opened import contents, prepare, prepare_failure
from tests.data.raw_data import FILES, pack, png

KILLED = """
import os, sys
from pathlib import Path
from stylegan_jax.data import formats, preparation
from stylegan_jax.data.formats import tfrecord
from stylegan_jax.data.preparation.options import PrepareOptions
from stylegan_jax.runtime.tensorflow import tensorflow
source, *runs = sys.argv[1:]
tensorflow()  # imported once for all runs
preparation.SHARD_IMAGES = 4
write, replace, calls_left = tfrecord.Writer.write, tfrecord.replace, 0
def counted(function):
    def call(*arguments):
        global calls_left
        calls_left -= 1
        if not calls_left:
            os.kill(os.getpid(), 9)
        return function(*arguments)
    return call
tfrecord.Writer.write = counted(write)
tfrecord.replace = counted(replace)
for run in runs:
    out, format, calls_left = run.split(",")
    calls_left = int(calls_left)
    if os.fork():
        print(os.waitstatus_to_exitcode(os.wait()[1]))
        continue
    options = PrepareOptions(Path(out), format=format, labels="folders", resume=True)
    preparation.prepare(formats.open_raw_dataset(source), options, lambda *_: None)
    break
"""
# Format, and the number of the write or rename at which the run is killed: in the first
# shard, in the second, and when the zip is about to be renamed.
KILLS = [("tfrecord", 3), ("tfrecord", 10), ("zip", 14)]


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """Zip of images, and a folder for each killed run of `KILLS`."""
    root = tmp_path_factory.mktemp("killed")
    source = pack("zip", root / "raw", FILES)
    runs = [f"{root / str(i)}/out,{kind},{at}" for i, (kind, at) in enumerate(KILLS)]
    command = [sys.executable, "-c", KILLED, str(source), *runs]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.split() == [str(-signal.SIGKILL)] * len(KILLS), done.stderr
    return source, [root / str(i) for i in range(len(KILLS))]


@pytest.mark.parametrize("run", range(len(KILLS)))
def test_killed_and_resumed_is_the_same_bytes(killed, small_shards, run):
    source, folders = killed
    format, _ = KILLS[run]
    whole, out = folders[run] / "whole", folders[run] / "out"
    prepare(source, whole, format=format, labels="folders")
    assert not out.exists()
    message = prepare_failure(source, out, format=format, labels="folders")
    assert "left by an unfinished run; continue it with --resume" in message
    message = prepare_failure(source, out, format=format, resume=True)
    assert "was started with different request" in message
    prepare(source, out, format=format, labels="folders", resume=True)
    if format == "zip":
        assert out.read_bytes() == whole.read_bytes()
    else:
        assert contents(out) == contents(whole)
    assert not out.with_name("out.partial").exists()
    assert "already exists" in prepare_failure(source, out, resume=True)


def test_resume_does_not_redo_finished_shards(tmp_path, small_shards, monkeypatch):
    source = pack("zip", tmp_path / "raw", FILES)

    class Interrupted(Exception):
        pass

    def stop(activity, done, total):
        if activity.startswith("prepared") and done >= 8:
            raise Interrupted

    opened = formats.open_raw_dataset(str(source))
    with pytest.raises(Interrupted):
        preparation.prepare(opened, PrepareOptions(tmp_path / "out"), stop)
    written = []
    write = tfrecord.Writer.write
    monkeypatch.setattr(
        tfrecord.Writer, "write", lambda *a: (written.append(1), write(*a))
    )
    prepare(source, tmp_path / "out", resume=True)
    assert len(written) == 2


@pytest.mark.parametrize("format", ["tfrecord", "zip"])
def test_names_that_are_not_utf8(tmp_path, small_shards, format):
    folder, name = (os.fsdecode(text) for text in (b"caf\xe9", b"bad\xff.png"))
    files = {f"{folder}/{i}.png": png(i) for i in range(6)} | {f"a/{name}": b"x"}
    source = pack("folder", tmp_path / "in", files | {"ü/1.png": png(7)})
    changes = {"format": format, "labels": "folders"}

    def stop(activity, done, total):
        if activity.startswith("prepared"):
            raise KeyboardInterrupt

    opened = formats.open_raw_dataset(str(source))
    with pytest.raises(KeyboardInterrupt):
        preparation.prepare(opened, PrepareOptions(tmp_path / "out", **changes), stop)
    info = prepare(source, tmp_path / "out", resume=True, **changes)
    assert (
        info["classes"] == ("a", folder, "ü") and info["skipped"][0][0] == f"a/{name}"
    )
    if format == "zip":
        with zipfile.ZipFile(tmp_path / "out") as archive:
            stored = archive.read(INFO)
    else:
        stored = (tmp_path / "out" / INFO).read_bytes()
        data = config.Data(source="prepared", path=str(tmp_path / "out"), resolution=16)
        assert open_source(data).classes == info["classes"]
    assert stored.isascii() and json.loads(stored)["skipped"] == info["skipped"]
    shown = preparation.listing(info["skipped"]).encode().decode()
    assert shown.startswith("\n  a/bad\\udcff.png ")


def test_a_zip_is_synced_before_it_is_renamed(tmp_path, monkeypatch):
    synced, sync = [], os.fsync

    def fsync(file):
        synced.append((os.fstat(file).st_ino, (tmp_path / "out.zip").exists()))
        sync(file)

    monkeypatch.setattr(os, "fsync", fsync)
    source = pack("folder", tmp_path / "in", {"1.png": png(1)})
    prepare(source, tmp_path / "out.zip", format="zip")
    assert synced[-1] == ((tmp_path / "out.zip").stat().st_ino, False)


def test_a_full_disk_names_the_file():
    with (
        pytest.raises(OSError, match="/dev/full.*cannot be written"),
        tfrecord.Writer(FullDisk()) as writer,
    ):
        writer.write(bytes(10_000_000))


class FullDisk:
    """Path whose temporary file lies on a full disk."""

    name = "x"

    def with_name(self, _):
        return "/dev/full"

    def __str__(self):
        return "/dev/full"
