"""Two processes train as one does, to the last bit, and go on from each other."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from stylegan_jax import config, workdir
from stylegan_jax.runtime import parallel
from stylegan_jax.training import schedule, setup
from tests.parallel_runs import (
    CONFIG,
    ROOT,
    TIMEOUT_SECONDS,
    experiment,
    finish,
    flat,
    start,
)


class Runs:
    """Starts trainings through the front door, all of one configuration.

    A single process gets two devices: then it runs the very program that two processes
    with a device each run, and the results must be equal to the last bit.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.config = folder / "tiny.py"
        self.config.write_text(CONFIG)

    def one(self, name: str) -> list[subprocess.Popen]:
        log = self.folder / f"{name}-one.log"
        return [start(self.command(name), log, JAX_NUM_CPU_DEVICES="2")]

    def two(self, name: str) -> list[subprocess.Popen]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            coordinator = f"127.0.0.1:{free.getsockname()[1]}"
        flags = [f"--coordinator={coordinator}", "--num_processes=2"]
        return [
            start([*self.command(name), *flags, f"--process_id={i}"], self.log(name, i))
            for i in (0, 1)
        ]

    def command(self, name: str) -> list[str]:
        program = [sys.executable, "-m", "stylegan_jax.train"]
        return [*program, f"--config={self.config}", f"--workdir={self.folder / name}"]

    def log(self, name: str, process: int) -> Path:
        return self.folder / f"{name}-process{process}.log"

    def rows(self, name: str) -> list[dict]:
        """The rows of the log that are complete."""
        path = self.folder / name / "log.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def checkpoints(self, name: str) -> list[int]:
        found = (self.folder / name / "checkpoints").iterdir()
        return sorted(int(p.name) for p in found if p.name.isdigit())


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Runs:
    """With "one", a whole run by one process."""
    out = Runs(tmp_path_factory.mktemp("processes"))
    finish(out.one("one"))
    return out


def test_two_processes_go_on_from_one(runs):
    """The same run to the same numbers, over the change of the stage, to its end."""
    stages = schedule.build_stages(experiment())
    assert [s.end_images for s in stages] == [64, 112]
    first, last = runs.checkpoints("one")[0], stages[-1].end_images
    assert first < stages[0].end_images and runs.checkpoints("one")[-1] == last
    shutil.copytree(runs.folder / "one", runs.folder / "resumed")
    (runs.folder / "resumed" / "log.jsonl").unlink()
    for later in runs.checkpoints("one")[1:]:
        shutil.rmtree(runs.folder / "resumed" / "checkpoints" / str(later))

    finish(runs.two("resumed"))

    (start,) = (r for r in runs.rows("resumed") if r.get("event") == "start")
    assert start["images_seen"] == first
    assert runs.checkpoints("resumed") == runs.checkpoints("one")
    assert_equal_runs(runs, "one", "resumed")
    only_the_main_process_reported(runs, "resumed")


@pytest.mark.slow
def test_one_process_goes_on_from_two_that_a_signal_stopped(runs):
    """From the start by two; one is told to stop: both save, and end in order."""
    both = runs.two("stopped")
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not any("tick" in row for row in runs.rows("stopped")):
        ended = any(p.poll() is not None for p in both)
        if ended or time.monotonic() > deadline:
            finish(both, seconds=1)
            pytest.fail("the run ended before its first tick")
        time.sleep(0.01)
    both[1].send_signal(signal.SIGTERM)
    finish(both)

    stopped_at = runs.checkpoints("stopped")[-1]
    assert 32 <= stopped_at < 112
    assert "stopped by another process at" in runs.log("stopped", 0).read_text()
    only_the_main_process_reported(runs, "stopped")
    rows = [row for row in runs.rows("stopped") if "tick" in row]
    assert rows[-1]["images_seen"] == stopped_at  # nothing was trained in vain

    finish(runs.one("stopped"))
    assert runs.checkpoints("stopped")[-1] == 112
    assert_equal_runs(runs, "one", "stopped")


@pytest.mark.slow
def test_two_processes_killed_twice_are_brought_back(runs):
    """By launch/local.sh, from the last checkpoint, with nothing lost."""
    log = runs.folder / "killed.log"
    command = [str(ROOT / "launch" / "local.sh"), "-n", "2", "-d", "1"]
    flags = runs.command("killed")[3:]
    supervisor = start(
        [*command, "--restarts=3", "--", *flags], log, PYTHON=sys.executable
    )
    try:
        for victim, checkpoint in ((1, 32), (0, 64)):
            path = runs.folder / "killed" / "checkpoints" / str(checkpoint)
            deadline = time.monotonic() + TIMEOUT_SECONDS
            while not path.exists():
                assert supervisor.poll() is None and time.monotonic() < deadline, (
                    log.read_text()
                )
                time.sleep(0.01)
            os.kill(child(supervisor, f"--process_id={victim}"), signal.SIGKILL)
    except BaseException:
        supervisor.terminate()
        raise
    finish([supervisor])
    text = log.read_text()
    for victim in (0, 1):
        assert f"process {victim} of 2 was killed by SIGKILL (status 137)" in text
    assert "restart 2 of 3" in text and "restart 3 of 3" not in text
    starts = [
        r["images_seen"] for r in runs.rows("killed") if r.get("event") == "start"
    ]
    assert starts[0] == 0 and starts[1] >= 32 and starts[2] >= 64
    assert runs.checkpoints("killed") == runs.checkpoints("one")
    assert_equal_runs(runs, "one", "killed")


def child(parent: subprocess.Popen, argument: str) -> int:
    """The running child of a process that has an argument."""
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text()
    (found,) = (
        int(pid)
        for pid in children.split()
        if argument in Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    )
    return found


def test_the_generator_of_two_processes_is_used_by_one(runs):
    trained = workdir.load_generator(runs.folder / "resumed")
    assert trained.lod.resolution == 8 and 0 < trained.lod.fade < 1
    assert len(trained.classes) == trained.generator.label_size > 0


def only_the_main_process_reported(runs: Runs, name: str) -> None:
    printed = [runs.log(name, i).read_text() for i in (0, 1)]
    assert "tick" in printed[0] and "2 process(es)" in printed[0]
    assert not re.search("tick|stage|images|saved|checkpoint", printed[1]), printed[1]
    rows = runs.rows(name)
    ticks = [row["tick"] for row in rows if "tick" in row]
    assert ticks == sorted(set(ticks)) and ticks
    events = [row["event"] for row in rows if "event" in row]
    assert events.count("start") == events.count("end") == 1


def assert_equal_runs(runs: Runs, name: str, other: str) -> None:
    """The last checkpoints hold the same bits; ticks said the same where both are."""
    (state, meta), (other_state, other_meta) = (
        last_state(runs.folder / n) for n in (name, other)
    )
    assert state.keys() == other_state.keys() and len(state) > 100
    for key, value in state.items():
        np.testing.assert_array_equal(value, other_state[key], err_msg=key)
    for clock in ("step", "images_seen", "resolution", "fade"):
        assert meta[clock] == other_meta[clock]
    assert meta["step"] == state["['training'].step"]


def last_state(directory: Path) -> tuple[dict[str, np.ndarray], dict]:
    """Everything in the newest checkpoint of a run."""
    e = config.load(directory / "config.json")
    size = workdir.label_size(e, workdir.load_data_info(directory))
    state = setup.build(e, parallel.local(), size).abstract_state
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    state = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device), state
    )
    checkpoints = workdir.open_checkpoints(directory, 10, pytest.fail)
    items = {"ema": state.ema, "training": state.replace(ema={})}
    _, items, meta = checkpoints.restore(items)
    checkpoints.close()
    return flat("", items), meta
