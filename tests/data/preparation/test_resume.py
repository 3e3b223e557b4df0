"""Runs of `prepare` that are killed, go on, or can't write."""

import json
import os
import signal
import subprocess
import sys
import zipfile

import pytest

from stylegan_jax import config
from stylegan_jax.data import formats, preparation, tfrecords
from stylegan_jax.data.preparation.request import Request
from stylegan_jax.data.sources import open_source
from tests.data.preparation.piles import FILES, contents, failure, pile, png, prepare

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
