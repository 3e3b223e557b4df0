"""Processes that differ, are killed, or hang: the others detect and name them."""

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from stylegan_jax import workdir
from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.runtime import collectives, parallel, processes
from tests import tiny
from tests.collective_worker import HEARTBEAT_SECONDS

ROOT = Path(__file__).resolve().parents[2]


class Pair:
    """A pair of workers."""

    def __init__(self, folder: Path, mode: str):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        self._logs = [folder / f"{i}.log" for i in (0, 1)]
        self.processes = []
        for i in (0, 1):
            with self._logs[i].open("w") as log:
                command = ["-m", "tests.collective_worker", mode, port, str(i)]
                process = subprocess.Popen(
                    [sys.executable, *command], cwd=ROOT, stdout=log, stderr=log
                )
            self.processes.append(process)

    def log(self, process: int) -> str:
        return self._logs[process].read_text()

    def wait_for(self, text: str) -> None:
        """Wait until both have printed the text."""
        deadline = time.monotonic() + 120
        while not all(text in self.log(i) for i in (0, 1)):
            assert time.monotonic() < deadline, (self.log(0), self.log(1))
            time.sleep(0.02)

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def start(tmp_path):
    pairs = []

    def make(mode: str) -> Pair:
        folder = tmp_path / str(len(pairs))
        folder.mkdir()
        pairs.append(Pair(folder, mode))
        return pairs[-1]

    yield make
    for pair in pairs:
        pair.end()


def test_differences_between_processes_are_named(start):
    pair = start("differ")
    pair.wait_for("error: the processes of this run differ")
    for i in (0, 1):
        assert "agreed" in pair.log(i)  # while they did
        problems = pair.log(i).split("differ; ")[1].splitlines()[1:3]
        assert problems == [
            "  jax: '1.2.3' in process 0; 'a much longer version, of other bytes: "
            "\u00e4\u00f6' in process 1",
            "  data: 'seven images and 0' in process 0; 'seven images and 1' in "
            "process 1",
        ]
        assert "Traceback" not in pair.log(i)
        assert pair.processes[i].wait(60) == 2


def test_processes_wait_for_the_last_one(start):
    """Process 0 writes for longer than a heartbeat while the other has finished."""
    pair = start("report")
    pair.wait_for("agreed")
    assert [process.wait(60) for process in pair.processes] == [0, 0]


@pytest.mark.parametrize(
    ("mode", "failing", "status", "text"),
    [
        ("wrong", 1, 2, "error: the images of this host are others"),
        ("crash", 0, 1, "KeyError: 'no such label'"),
        ("late", 1, 2, "error: the report cannot be read"),
    ],
)
def test_a_failure_ends_both_with_its_status(start, mode, failing, status, text):
    """The other process waits in a collective, which cannot be interrupted."""
    pair = start(mode)
    pair.wait_for("agreed")
    assert [process.wait(60) for process in pair.processes] == [status, status]
    assert text in pair.log(failing)
    told = f"error: process {failing} of 2 has failed, and process {1 - failing} ends"
    assert told in pair.log(1 - failing)
    assert text.split(": ")[1] in pair.log(1 - failing)


def test_a_failure_keeps_its_status_if_the_other_process_hangs(start):
    pair = start("stuck")
    pair.wait_for("agreed")
    pair.processes[1].send_signal(signal.SIGSTOP)
    assert pair.processes[0].wait(HEARTBEAT_SECONDS + 5) == 2


def test_an_error_while_the_processes_disconnect_is_raised(monkeypatch):
    """All have finished, so there is nothing to tell the others."""

    def fail(*_):
        raise jax.errors.JaxRuntimeError("the others are gone")

    client = SimpleNamespace(wait_at_barrier=lambda *_: None, key_value_try_get=fail)
    monkeypatch.setattr(processes, "_client", lambda: client)
    monkeypatch.setattr(processes, "_watcher", processes._Watcher(client, 10))
    monkeypatch.setattr(jax.distributed, "shutdown", fail)
    raised = []

    def end():
        try:
            with processes.ending_together():
                processes.finish()
        except jax.errors.JaxRuntimeError as error:
            raised.append(str(error))

    program = threading.Thread(target=end, daemon=True)  # it may hang
    program.start()
    program.join(30)
    assert raised == ["the others are gone"]


def test_sigterm_ends_a_process_before_its_loop(start):
    pair = start("idle")
    pair.wait_for("agreed")
    pair.processes[1].send_signal(signal.SIGTERM)
    assert pair.processes[1].wait(5) == -signal.SIGTERM


def test_a_lost_process_ends_the_other_within_the_heartbeat_and_is_named(start):
    """If it is killed, the collective fails; if it is stopped, the collective hangs."""
    pairs = {how: start("forever") for how in (signal.SIGKILL, signal.SIGSTOP)}
    for pair in pairs.values():
        pair.wait_for("agreed")
    time.sleep(0.5)
    for how, pair in pairs.items():
        pair.processes[1].send_signal(how)
    lost = time.monotonic()
    for pair in pairs.values():
        status = pair.processes[0].wait(60)
        seconds = time.monotonic() - lost
        print(f"the other one ended after {seconds:.1f} s")
        assert status == -signal.SIGABRT
        assert seconds < HEARTBEAT_SECONDS + 5
        log = pair.log(0)
        assert (
            "Task 1 heartbeat timeout" in log
            or "stopped sending heartbeats):\n1" in log
        )
    log = pairs[signal.SIGKILL].log(0)
    assert "error: process 0 of 2 has lost another process of the run" in log
    assert "in all of them, to resume from the last checkpoint" in log
    log = pairs[signal.SIGSTOP].log(0)
    assert "process 0 of 2 has spent 1 s on the round from step 8 on" in log
    assert "run the same command again: the run resumes" in log


def test_differences_group_processes_by_value():
    a, b, c = ({"jax": v, "flax": "1"} for v in ("0.10", "0.9", "0.10"))
    assert collectives.differences([a, a]) == []
    assert collectives.differences([a, b, c]) == [
        "jax: '0.10' in processes 0, 2; '0.9' in process 1"
    ]
    assert collectives.differences([a, a | {"new": "x"}]) == [
        "new: 'nothing' in process 0; 'x' in process 1"
    ]


def test_facts_cover_versions_settings_and_data_but_not_host_paths():
    data = workdir.DataInfo("folder x", 7, (), "abc")
    facts = workdir.facts(tiny.experiment(), data)
    assert {"python", "jax", "numpy", "model.family", "run.seed"} <= facts.keys()
    assert facts["training.r1_gamma"] == "10.0"
    assert facts["data"] == "7 images, fingerprint abc"
    elsewhere = tiny.experiment({"data.path": "/elsewhere", "data.prefetch_batches": 9})
    assert workdir.facts(elsewhere, data) == facts
    other = tiny.experiment({"training.r1_gamma": 1.0})
    assert collectives.differences([facts, workdir.facts(other, data)]) == [
        "training.r1_gamma: '10.0' in process 0; '1.0' in process 1"
    ]


@pytest.mark.parametrize(
    ("seen", "told"), [([32, 32], None), ([32, -1], "32, none"), ([16, 32], "16, 32")]
)
def test_a_workdir_that_is_not_shared_is_detected(monkeypatch, seen, told):
    monkeypatch.setattr(
        parallel.Parallel, "all_rows", lambda here, row: np.array([*row, *seen[1:]])
    )
    expected = contextlib.nullcontext()
    if told:
        expected = pytest.raises(
            CheckpointError, match=f"order of the processes: {told}; it must"
        )
    with expected:
        workdir.check_shared(Path("runs/x"), seen[0], parallel.local())


def test_a_process_that_the_run_does_not_have():
    """It would wait for the others for minutes."""
    with pytest.raises(ValueError, match=r"`--process_id` \(=2\) must be below"):
        processes.initialize("127.0.0.1:1", 2, 2, 10)


def test_a_coordinator_without_the_number_of_processes(monkeypatch):
    def initialize(*args, **kwargs):  # as it does before any use of JAX
        raise ValueError("Number of processes must be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    with pytest.raises(ValueError, match="defined; give --coordinator, --num_process"):
        processes.initialize("127.0.0.1:1", None, None, 10)
