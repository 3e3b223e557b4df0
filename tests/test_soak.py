"""A run that loses processes at random moments ends as one that does not.

It trains with four processes of two devices each under `launch/local.sh --restarts`.
For half an hour, or SOAK_MINUTES, one or more of them are killed again and again, while
they start, compile, train or save. Then the run is stopped, and another one trains
undisturbed for as many images.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stylegan_jax import config
from tests import tiny

MINUTES = float(os.environ.get("SOAK_MINUTES", 30))
PROCESSES, DEVICES = 4, 2
SECONDS_BETWEEN_KILLS = (2, 120)  # uniform in the logarithm
EXPERIMENT = tiny.STYLEGAN2 | {
    "training.total_kimg": 1e6,
    "run.tick_kimg": 0.064,
    "run.grid_every_ticks": 20,
    "run.keep_checkpoints": 3,
    "run.compilation_cache": config.Run().compilation_cache,  # in the run's directory
}


@contextlib.contextmanager
def launch(run: Path, path: Path, *flags: str) -> Iterator[subprocess.Popen]:
    """Run `launch/local.sh` in the block; both outputs are appended to `run`.log."""
    script = tiny.ROOT / "launch" / "local.sh"
    options = ("-n", str(PROCESSES), "-d", str(DEVICES), "--restarts=100000", "--")
    with run.with_suffix(".log").open("a") as output:
        started = subprocess.Popen(
            [script, *options, f"--config={path}", f"--workdir={run}", *flags],
            cwd=tiny.ROOT,
            env=os.environ | {"PYTHON": sys.executable, "GRACE_SECONDS": "5"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield started
    finally:
        while started.poll() is None:  # the second signal does not wait
            started.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                started.wait(60)


def training_processes(run: Path) -> list[int]:
    """Return the ids of the processes that train in a directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it has ended
            continue
        if (
            b"stylegan_jax.train" in arguments
            and f"--workdir={run}".encode() in arguments
        ):
            found.append(int(process.name))
    return found


def kill_some(run: Path, rng: random.Random) -> int:
    """Kill one process, rarely more; return their number."""
    running = training_processes(run)
    victims = rng.sample(running, min(len(running), rng.choice([1, 1, 1, 2, 4])))
    for process in victims:
        with contextlib.suppress(ProcessLookupError):  # it has ended since
            os.kill(process, signal.SIGKILL)
    return len(victims)


def last_checkpoint(run: Path) -> int:
    """Return the number of images at the last complete checkpoint; 0 without one."""
    names = [path.name for path in (run / "checkpoints").glob("*")]
    return max((int(name) for name in names if name.isdigit()), default=0)


def kill_for_minutes(started: subprocess.Popen, run: Path) -> tuple[int, set[int]]:
    """Kill processes of a run at random moments.

    Returns:
      The number of kills, and the images at the last checkpoint before each.
    """
    rng, kills, positions = random.Random(0), 0, set()
    began, (low, high) = time.monotonic(), SECONDS_BETWEEN_KILLS
    while (elapsed := time.monotonic() - began) < 60 * MINUTES:
        time.sleep(low * (high / low) ** rng.random())
        assert started.poll() is None, run.with_suffix(".log").read_text()[-5000:]
        position, killed = last_checkpoint(run), kill_some(run, rng)
        kills += killed
        positions.add(position)
        print(f"{elapsed:6.0f} s: killed {killed} at {position} images or later")
    return kills, positions


@pytest.mark.soak
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_kills_change_no_bit(tmp_path):
    path = tiny.config_file(tmp_path, EXPERIMENT)
    run, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    with launch(run, path) as started:
        kills, resumed_from = kill_for_minutes(started, run)
        time.sleep(SECONDS_BETWEEN_KILLS[1])  # to start once more
        started.send_signal(signal.SIGTERM)
        assert started.wait(300) == 0, run.with_suffix(".log").read_text()[-5000:]
    images = last_checkpoint(run)
    restarts = run.with_suffix(".log").read_text().count("restart ")
    print(f"{kills} kills, {restarts} restarts, {images} images")
    assert kills > MINUTES / 2 and len(resumed_from) > 1

    total = f"--config.training.total_kimg={images / 1000}"
    with launch(undisturbed, path, total) as started:
        assert started.wait(60 * 60) == 0
    assert last_checkpoint(undisturbed) == images
    tiny.assert_same(tiny.restored(run, images), tiny.restored(undisturbed, images))
