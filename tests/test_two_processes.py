"""Two processes train like one, bit for bit, and either resumes the other's run."""

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
from stylegan_jax.runtime.cli import EXIT_PERMANENT
from stylegan_jax.training import schedule, setup
from tests import tiny
from tests.collective_worker import HEARTBEAT_SECONDS
from tests.faulty_train import PROBLEM
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
    """Trainings with the same configuration, started from the command line.

    A single process gets two devices. It then runs the same program as two processes
    with one device each, and the results must be equal bit for bit.
    """

    def __init__(self, folder: Path, config: str = CONFIG):
        self.folder = folder
        self.config = folder / "tiny.py"
        self.config.write_text(config)

    def one(self, name: str) -> list[subprocess.Popen]:
        log = self.folder / f"{name}-one.log"
        return [start(self.command(name), log, JAX_NUM_CPU_DEVICES="2")]

    def two(
        self, name: str, fault: str | None = None, *flags: str, **environment: str
    ) -> list[subprocess.Popen]:
        """Start two processes, possibly with a fault of `tests.faulty_train`."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            coordinator = f"127.0.0.1:{free.getsockname()[1]}"
        command = [*self.command(name), *flags]
        if fault is not None:
            command[2:3] = ["tests.faulty_train", fault]
            command.append(f"--config.run.heartbeat_seconds={HEARTBEAT_SECONDS}")
        command += [f"--coordinator={coordinator}", "--num_processes=2"]
        return [
            start([*command, f"--process_id={i}"], self.log(name, i), **environment)
            for i in (0, 1)
        ]

    def command(self, name: str) -> list[str]:
        program = [sys.executable, "-m", "stylegan_jax.train"]
        return [*program, f"--config={self.config}", f"--workdir={self.folder / name}"]

    def log(self, name: str, process: int) -> Path:
        return self.folder / f"{name}-process{process}.log"

    def rows(self, name: str) -> list[dict]:
        """Return the complete rows of the log."""
        path = self.folder / name / "log.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def checkpoints(self, name: str) -> list[int]:
        found = (self.folder / name / "checkpoints").iterdir()
        return sorted(int(p.name) for p in found if p.name.isdigit())


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Runs:
    """Return the runs, of which "one" is a completed run of one process."""
    out = Runs(tmp_path_factory.mktemp("processes"))
    finish(out.one("one"))
    return out


@pytest.mark.slow
def test_two_processes_resume_a_run_of_one(runs):
    """Resume in the first stage and compare the state at the end of the second."""
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
    assert_only_the_main_process_reported(runs, "resumed")


@pytest.mark.slow
def test_one_process_resumes_a_run_of_two_stopped_by_a_signal(runs):
    """A signal to one of two processes makes both save and exit with status 0."""
    processes = runs.two("stopped")
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not any("tick" in row for row in runs.rows("stopped")):
        ended = any(p.poll() is not None for p in processes)
        if ended or time.monotonic() > deadline:
            finish(processes, seconds=1)
            pytest.fail("the run ended before its first tick")
        time.sleep(0.01)
    processes[1].send_signal(signal.SIGTERM)
    finish(processes)

    stopped_at = runs.checkpoints("stopped")[-1]
    assert 32 <= stopped_at < 112
    assert "stopped by another process at" in runs.log("stopped", 0).read_text()
    assert_only_the_main_process_reported(runs, "stopped")
    rows = [row for row in runs.rows("stopped") if "tick" in row]
    assert rows[-1]["images_seen"] == stopped_at  # the last step is saved

    finish(runs.one("stopped"))
    assert runs.checkpoints("stopped")[-1] == 112
    assert_equal_runs(runs, "one", "stopped")


@pytest.mark.slow
def test_the_control_of_augmentations_is_the_same_in_two_processes(tmp_path):
    """And so is what follows from it, after one adjustment."""
    changes = tiny.STYLEGAN2 | tiny.ADAPTIVE | {"data.held_out": 0.1}
    adaptive = CONFIG.replace(
        "    return c\n",
        "".join(f"    c.{name} = {value!r}\n" for name, value in changes.items())
        + "    c.training.on_collapse = 'rollback'\n    return c\n",
    )
    runs = Runs(tmp_path, adaptive)
    finish(runs.one("one"))
    finish(runs.two("two"))
    assert runs.checkpoints("one")[-1] == 64
    assert_equal_runs(runs, "one", "two")
    state, _ = load_last_state(tmp_path / "two")
    assert state["['training'].augment_probability"] > 0
    measured = [
        [row["overfitting/r_v"] for row in runs.rows(name) if "overfitting/r_v" in row]
        for name in ("one", "two")
    ]
    assert len(measured[0]) == 2
    np.testing.assert_allclose(*measured, rtol=1e-4)


@pytest.mark.slow
def test_a_report_that_takes_longer_than_a_heartbeat(runs):
    """Process 0 writes it alone; the other one has long finished."""
    shutil.copytree(runs.folder / "one", runs.folder / "reported")
    (runs.folder / "reported" / "report.html").unlink()
    finish(runs.two("reported", "slow_report"))
    assert (runs.folder / "reported" / "report.html").exists()


@pytest.mark.slow
def test_a_permanent_failure_of_one_process_is_that_of_all(runs):
    processes = runs.two("wrong", "wrong_setting")
    try:
        assert [p.wait(TIMEOUT_SECONDS) for p in processes] == [EXIT_PERMANENT] * 2
    finally:
        for process in processes:
            process.kill()
    assert f"error: {PROBLEM}" in runs.log("wrong", 1).read_text()
    told = f"process 1 of 2 has failed, and process 0 ends with it: {PROBLEM}"
    assert told in runs.log("wrong", 0).read_text()


@pytest.mark.slow
def test_sigterm_during_the_setup_ends_both(runs):
    """There is nothing to save; JAX's own handler would swallow the signal."""
    processes = runs.two("early", "slow_setup")
    try:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not all("building" in runs.log("early", i).read_text() for i in (0, 1)):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        for process in processes:
            process.send_signal(signal.SIGTERM)
        assert [p.wait(20) for p in processes] == [-signal.SIGTERM] * 2
    finally:
        for process in processes:
            process.kill()


@pytest.mark.slow
def test_the_programs_of_two_processes_are_kept_in_the_run_directory(runs):
    """Process 0 finds them again; on CPUs, process 1 does not."""
    shutil.copytree(runs.folder / "one", runs.folder / "cached")
    for later in runs.checkpoints("one")[1:]:
        shutil.rmtree(runs.folder / "cached" / "checkpoints" / str(later))
    default = f"--config.run.compilation_cache={config.Run().compilation_cache}"
    environment = {"JAX_LOG_COMPILES": "1", "JAX_COMPILATION_CACHE_DIR": ""}
    for attempt in ("first", "second"):
        again = runs.folder / attempt
        shutil.copytree(runs.folder / "cached" / "checkpoints", again)
        finish(runs.two("cached", None, default, **environment))
        shutil.rmtree(runs.folder / "cached" / "checkpoints")
        again.rename(runs.folder / "cached" / "checkpoints")
    assert list((runs.folder / "cached" / "compilation_cache").iterdir())
    hits = r"compilation cache hit for .jit_update"
    assert re.search(hits, runs.log("cached", 0).read_text())


@pytest.mark.slow
def test_local_launcher_restarts_two_killed_processes(runs):
    """launch/local.sh restarts them from the last checkpoint, to the same state."""
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
            os.kill(find_child(supervisor, f"--process_id={victim}"), signal.SIGKILL)
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


def find_child(parent: subprocess.Popen, argument: str) -> int:
    """Return the id of the running child process that has an argument."""
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text()
    (found,) = (
        int(pid)
        for pid in children.split()
        if argument in Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    )
    return found


@pytest.mark.slow
def test_one_process_loads_the_generator_of_two(runs):
    trained = workdir.load_generator(runs.folder / "resumed")
    assert trained.lod.resolution == 8 and 0 < trained.lod.fade < 1
    assert len(trained.classes) == trained.generator.label_size > 0


def assert_only_the_main_process_reported(runs: Runs, name: str) -> None:
    # Libraries warn in every process, for example if saving takes longer than usual.
    warning = re.compile(r"^[WE]\d{4} .*\n", re.MULTILINE)
    printed = [warning.sub("", runs.log(name, i).read_text()) for i in (0, 1)]
    assert "tick" in printed[0] and "2 process(es)" in printed[0]
    # Orbax warns in each process if the disk is slow.
    reports = re.sub(r"^[IWE]\d{4} .*$", "", printed[1], flags=re.MULTILINE)
    assert not re.search("tick|stage|images|saved|checkpoint", reports), reports
    rows = runs.rows(name)
    ticks = [row["tick"] for row in rows if "tick" in row]
    assert ticks == sorted(set(ticks)) and ticks
    events = [row["event"] for row in rows if "event" in row]
    assert events.count("start") == events.count("end") == 1


def assert_equal_runs(runs: Runs, name: str, other: str) -> None:
    """Assert that the last checkpoints are equal bit for bit."""
    (state, meta), (other_state, other_meta) = (
        load_last_state(runs.folder / n) for n in (name, other)
    )
    assert state.keys() == other_state.keys() and len(state) > 100
    for key, value in state.items():
        np.testing.assert_array_equal(value, other_state[key], err_msg=key)
    for clock in ("step", "images_seen", "resolution", "fade"):
        assert meta[clock] == other_meta[clock]
    assert meta["step"] == state["['training'].step"]


def load_last_state(directory: Path) -> tuple[dict[str, np.ndarray], dict]:
    """Load the state and metadata of the newest checkpoint of a run."""
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
