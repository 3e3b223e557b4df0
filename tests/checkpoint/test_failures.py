"""A save that fails gives the reason and does no damage."""

import contextlib
import errno
import resource
import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.checkpoint import CheckpointError, failures
from tests.checkpoint.states import assert_same, finish, open_, start


def fill_up(path):
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1000))


def check_failed_save(directory, break_disk, mend_disk, cause):
    checkpoints, _ = open_(directory, keep=1)
    checkpoints.save(1, {"x": jnp.arange(10.0)}, {})
    checkpoints.wait()
    big = jax.random.normal(jax.random.key(0), (400_000,))
    break_disk()
    try:
        with pytest.raises(CheckpointError) as raised:
            checkpoints.save(2, {"x": big, "y": big + 1}, {})
            checkpoints.wait()
        checkpoints.wait()  # raised once
        # Otherwise the next save raises it.
        with pytest.raises(CheckpointError, match="saving step 2 to"):
            checkpoints.save(2, {"x": big}, {})
            checkpoints.save(3, {"x": big}, {})
    finally:
        mend_disk()
    message = str(raised.value)
    assert message.startswith(f"saving step 2 to {directory} failed: ")
    assert cause in message
    assert "(its arrays take 3.2 MB, and the disk had " in message
    assert "; the last complete checkpoint, step 1, is intact; " in message
    assert "\n" not in message
    assert checkpoints.latest_step() == 1
    step, items, _ = checkpoints.restore({"x": jnp.zeros(10)})
    assert step == 1
    np.testing.assert_array_equal(np.asarray(items["x"]), np.arange(10.0))

    small = jax.random.normal(jax.random.key(0), (50_000,))
    checkpoints.save(2, {"x": small}, {})
    checkpoints.close()
    assert [p.name for p in directory.iterdir() if p.name != "fill"] == ["2"]
    assert_same(open_(directory)[0].restore({"x": small})[1]["x"], small)


def test_failed_save(tmp_path, caplog):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    check_failed_save(
        tmp_path,
        lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1])),
        lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits),
        "File too large",
    )
    assert not [r for r in caplog.records if r.exc_info]


@pytest.mark.parametrize("fill", [lambda p: p.write_bytes(bytes(900_000)), fill_up])
def test_full_disk(tmp_path, fill):
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    filler = tmp_path / "fill"
    try:
        check_failed_save(
            tmp_path,
            lambda: fill(filler),
            filler.unlink,
            "the disk is full: ",
        )
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def test_lost_directory(tmp_path):
    """The program reports it and ends, where Orbax alone would wait for minutes."""
    code = """
        import os, shutil, sys, jax.numpy as jnp
        from stylegan_jax.checkpoint import CheckpointError, Checkpoints
        directory = sys.argv[1]
        checkpoints = Checkpoints(directory, keep=2)
        checkpoints.save(1, {"x": jnp.ones(3)}, {})
        checkpoints.wait()
        shutil.rmtree(directory)
        open(directory, "w").close()
        for step in (2, 3):
            try:
                checkpoints.save(step, {"x": jnp.ones(3)}, {})
            except CheckpointError as error:
                print(error)
        os.remove(directory)
        checkpoints.save(4, {"x": jnp.ones(3)}, {})
        checkpoints.close()
        """
    second, third = finish(start(code, tmp_path / "run")).splitlines()
    assert "saving step 2 to" in second and "File exists" in second
    assert "; there is no complete checkpoint yet; " in second
    assert "saving step 3 to" in third
    assert open_(tmp_path / "run")[0].latest_step() == 4


def caused(error, cause):
    error.__cause__ = cause
    return error


class HttpError(Exception):
    __module__ = "gcsfs.retry"


class UnavailableError(Exception):
    """Stand-in for the error class that TensorFlow defines."""


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Checkpoints 1 and 2, and the warnings about them."""
    checkpoints, warned = open_(tmp_path_factory.mktemp("opened"))
    for step in (1, 2):
        checkpoints.save(step, {"x": jnp.float32(step)}, {})
    checkpoints.wait()
    yield checkpoints, warned
    checkpoints.close()


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, "Permission denied"),
        OSError(errno.EIO, "Input/output error"),
        OSError("Forbidden: https://storage.googleapis.com/b"),
        TimeoutError(),
        ValueError("ABORTED: All 32 retry attempts failed: UNAVAILABLE: HTTP code 503"),
        ValueError("PERMISSION_DENIED: Error reading local file"),
        HttpError("Service Unavailable, 503"),
        UnavailableError("503"),
        caused(Exception("Orbax"), caused(KeyError("x"), ConnectionResetError())),
    ],
    ids=repr,
)
def test_a_transient_error_is_not_taken_for_damage(opened, monkeypatch, error):
    checkpoints, warned = opened

    def restore(step, **kwargs):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints._manager, "restore", restore)
        with pytest.raises(CheckpointError, match="checkpoint 2 in .* could not be re"):
            checkpoints.restore({"x": jnp.float32(0)})
    assert not warned
    assert sorted(p.name for p in checkpoints.directory.iterdir()) == ["1", "2"]


def test_checkpoints_are_read_and_written_after_a_transient_error(
    tmp_path, monkeypatch
):
    checkpoints, warned = open_(tmp_path)
    for step in (1, 2):
        checkpoints.save(step, {"x": jnp.float32(step)}, {})
    checkpoints.wait()

    def restore(step, **kwargs):
        raise TimeoutError

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints._manager, "restore", restore)
        with pytest.raises(CheckpointError):
            checkpoints.restore({"x": jnp.float32(0)})
    assert checkpoints.restore({"x": jnp.float32(0)})[0] == 2
    checkpoints.save(3, {"x": jnp.float32(3)}, {})
    checkpoints.close()
    assert not warned
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1", "2", "3"]


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "No such file"),
        NotADirectoryError(errno.ENOTDIR, "Not a directory"),
        ValueError("DATA_LOSS: CRC-32C checksum mismatch"),
        KeyError("meta"),
        caused(Exception("Orbax"), FileNotFoundError("x")),
    ],
    ids=repr,
)
def test_damage_is_not_transient(error):
    assert not failures.is_transient(error)
    with pytest.raises(failures.DamagedError), failures.reading("it"):
        raise error
