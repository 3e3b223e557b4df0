"""Training runs that fail to write checkpoints."""

import contextlib
import shutil
import subprocess

import pytest

from stylegan_jax import train
from stylegan_jax.checkpoint import CheckpointError, Checkpoints
from tests import tiny

# Orbax leaves coroutines of a failed read or write behind.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("quick_compilation"),
]


@pytest.fixture
def small_disk(tmp_path):
    """Return a run with one checkpoint, whose checkpoints are on a small disk."""
    run = tmp_path / "run"
    train.train(tiny.experiment(tiny.SMALLEST | {"training.total_kimg": 0.016}), run)
    kept = shutil.move(run / "checkpoints", tmp_path / "kept")
    (run / "checkpoints").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", run / "checkpoints"]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        shutil.copytree(kept, run / "checkpoints", dirs_exist_ok=True)
        yield run
    finally:
        subprocess.run(["umount", "--lazy", run / "checkpoints"], check=True)


@pytest.mark.slow
def test_full_disk_does_not_end_the_run_early(small_disk, tmp_path, capsys):
    run, filler = small_disk, small_disk / "checkpoints" / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    changes = tiny.SMALLEST | {"training.total_kimg": 0.08}
    path = tiny.config_file(tmp_path, changes)
    out, err = tiny.finish(tiny.start_training(run, path), code=1)
    warnings = [line for line in out.splitlines() if line.startswith("WARNING: ")]
    # The failures of ticks 2 to 4 are reported; the last one is fatal.
    assert len(warnings) == len(tiny.events(run, "checkpoint_failed")) == 3
    for line, step in zip(warnings, (32, 48, 64), strict=True):
        assert f"saving step {step} to {run / 'checkpoints'} failed: the disk" in line
        assert "; the last complete checkpoint, step 16, is intact; " in line
        assert line.endswith("The run continues and will try again.")
    (message,) = err.splitlines()  # without a traceback
    assert message.startswith("error: ")
    assert "saving step 80 to" in message and "the disk is full" in message
    assert [row["tick"] for row in tiny.ticks(run)] == [1, 2, 3, 4, 5]

    filler.unlink()
    state = train.train(tiny.experiment(changes), run)
    assert "resuming at 0.016 kimg" in capsys.readouterr().out
    assert int(state.images_seen) == tiny.restored(run)["meta"]["images_seen"] == 80


def test_last_checkpoint_is_saved_after_an_earlier_failure(
    tmp_path, monkeypatch, capsys
):
    """A failure that surfaces before the last save does not prevent that save."""
    wait, failures = Checkpoints.wait, [CheckpointError("saving step 16 failed")]

    def fail_once(checkpoints):
        wait(checkpoints)
        if failures and checkpoints.directory.exists():
            raise failures.pop()

    monkeypatch.setattr(Checkpoints, "wait", fail_once)
    changes = tiny.SMALLEST | {"training.total_kimg": 0.032}
    train.train(tiny.experiment(changes), tmp_path)
    assert not failures
    assert (
        "WARNING: saving step 16 failed. The run continues" in capsys.readouterr().out
    )
    assert tiny.restored(tmp_path)["meta"]["images_seen"] == 32
