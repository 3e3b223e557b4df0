"""launch/local.sh: processes that start, end and are restarted together."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.launch_scripts import ROOT


def listen_to_ctrl_c() -> None:
    """In a child: a shell makes its background jobs, tests too, ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def local(python: Path, *arguments: str, **settings: str) -> subprocess.Popen:
    """Start launch/local.sh with an executable in place of Python."""
    return subprocess.Popen(
        [ROOT / "launch" / "local.sh", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHON": str(python)} | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=listen_to_ctrl_c,
    )


@pytest.fixture
def stand_in(tmp_path):
    """Factory of executables in place of Python, with $process set to their id."""

    def make(body: str) -> Path:
        path = tmp_path / "python"
        path.write_text(
            '#!/usr/bin/env bash\n[[ "$*" =~ --process_id=([0-9]+) ]]\n'
            f'process=${{BASH_REMATCH[1]}}\nhere="{tmp_path}"\n{body}\n'
        )
        path.chmod(0o755)
        return path

    return make


def test_local_starts_every_process(stand_in, tmp_path):
    python = stand_in('echo "$JAX_NUM_CPU_DEVICES $*" >"$here/$process.txt"')
    done = local(python, "-n", "3", "-d", "2", "-p", "5", "--", "--workdir=a b")
    assert done.wait(60) == 0
    for i in range(3):
        assert (tmp_path / f"{i}.txt").read_text() == (
            "2 -m stylegan_jax.train --coordinator=127.0.0.1:5 --num_processes=3 "
            f"--process_id={i} --stopped_status=75 --workdir=a b\n"
        )


def test_local_returns_the_first_failure_and_terminates_the_others(stand_in, tmp_path):
    python = stand_in(
        "if [[ $process == 1 ]]; then sleep 0.5; exit 7; fi\n"
        "trap 'echo ended >\"$here/0.txt\"; exit 0' TERM\n"
        "while :; do sleep 0.05; done"
    )
    done = local(python, "-n", "2", "-p", "5", "--", "--workdir=x")
    assert done.wait(60) == 7
    errors = done.stderr.read()
    assert "process 1 of 2 failed with status 7; terminating the others" in errors
    again = f"{ROOT / 'launch' / 'local.sh'} -n 2 -p 5 -- --workdir=x"
    assert f"to resume from the last checkpoint: {again}" in errors
    assert (tmp_path / "0.txt").read_text() == "ended\n"


def test_local_kills_processes_that_do_not_terminate(stand_in):
    python = stand_in(
        "if [[ $process == 1 ]]; then sleep 0.5; exit 7; fi\n"
        "trap '' TERM\nwhile :; do sleep 0.05; done"
    )
    done = local(python, "-p", "5", "--", "--workdir=x", GRACE_SECONDS="1")
    assert done.wait(60) == 7


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_local_forwards_a_signal_once(stand_in, tmp_path, number):
    """The run reports that it was stopped; the script was asked to, so it succeeds."""
    python = stand_in(
        "trap 'echo TERM >>\"$here/$process.txt\"; sleep 0.5; exit 75' TERM\n"
        'touch "$here/$process.ready"\nwhile :; do sleep 0.05; done'
    )
    started = local(python, "-n", "2", "-p", "5", "--restarts=3", "--", "--workdir=x")
    wait_for_both(tmp_path)
    started.send_signal(number)
    assert_both_were_ended(started, tmp_path)


def wait_for_both(folder):
    deadline = time.monotonic() + 60
    while not all((folder / f"{i}.ready").exists() for i in range(2)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def assert_both_were_ended(started, folder):
    assert started.wait(60) == 0
    for i in range(2):
        assert (folder / f"{i}.txt").read_text() == "TERM\n"


def test_local_forwards_ctrl_c_of_a_terminal(stand_in, tmp_path):
    """There SIGINT reaches the whole foreground group, not the script alone."""
    python = stand_in(
        "trap 'echo TERM >>\"$here/$process.txt\"; exit 0' TERM\n"
        'touch "$here/$process.ready"\nwhile :; do sleep 0.05; done'
    )
    script = ROOT / "launch" / "local.sh"
    started = subprocess.Popen(
        [sys.executable, "-c", "import pty, sys; pty.spawn(sys.argv[1:])"]
        + [script, "-n", "2", "-p", "5", "--", "--workdir=x"],
        env=os.environ | {"PYTHON": str(python)},
        stdin=subprocess.PIPE,
        preexec_fn=listen_to_ctrl_c,
    )
    wait_for_both(tmp_path)
    started.stdin.write(b"\x03")
    started.stdin.flush()
    assert_both_were_ended(started, tmp_path)


def test_local_restarts_all_processes_at_most_n_times(stand_in, tmp_path):
    """Killed twice, then successful; and killed once more than is allowed."""
    python = stand_in(
        'echo x >>"$here/$process.txt"\n'
        'starts=$(wc -l <"$here/$process.txt")\n'
        "if [[ $process == 1 && $starts -le 2 ]]; then sleep 0.2; kill -9 $$; fi\n"
        "if [[ $starts -le 2 ]]; then exec sleep 60; fi"
    )
    done = local(python, "-p", "5", "--restarts=3", "--", "--workdir=x")
    assert done.wait(60) == 0
    errors = done.stderr.read()
    killed = "process 1 of 2 was killed by SIGKILL (status 137); terminating the others"
    assert errors.count(killed) == 2
    assert "restart 2 of 3, from the last checkpoint" in errors
    assert "restart 3 of 3" not in errors and "to resume" not in errors
    for i in range(2):
        assert (tmp_path / f"{i}.txt").read_text() == 3 * "x\n"

    (tmp_path / "1.txt").unlink()
    done = local(python, "-p", "5", "--restarts=1", "--", "--workdir=x")
    assert done.wait(60) == 137
    assert "to resume from the last checkpoint" in done.stderr.read()


def test_local_resumes_a_run_that_a_signal_to_one_process_stopped(stand_in, tmp_path):
    python = stand_in(
        'echo x >>"$here/$process.txt"; sleep 0.3\n'
        '[[ $(wc -l <"$here/$process.txt") -gt 1 ]] || exit 75'
    )
    done = local(python, "-p", "5", "--restarts=3", "--", "--workdir=x")
    assert done.wait(60) == 0
    errors = done.stderr.read()
    assert errors == "restart 1 of 3, from the last checkpoint\n"  # nothing failed
    for i in range(2):
        assert (tmp_path / f"{i}.txt").read_text() == 2 * "x\n"
        (tmp_path / f"{i}.txt").unlink()
    done = local(python, "-p", "5", "--", "--workdir=x")
    assert done.wait(60) == 75
    assert done.stderr.read().startswith("to resume from the last checkpoint")


def test_local_does_not_restart_a_permanent_failure(stand_in, tmp_path):
    python = stand_in('echo x >>"$here/$process.txt"; sleep 0.3; exit 2')
    done = local(python, "-p", "5", "--restarts=3", "--", "--workdir=x")
    assert done.wait(60) == 2
    assert "the same command would fail again" in done.stderr.read()
    assert (tmp_path / "1.txt").read_text() == "x\n"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--restart=3", "--", "--workdir=x"], "unknown option '--restart=3'"),
        (["--restarts=many", "--", "--workdir=x"], "needs a number, got 'many'"),
        (["-n", "two", "--", "--workdir=x"], "-n needs a number"),
        (["--workdir=x"], "the flags of train follow --"),
    ],
)
def test_local_rejects_invalid_options(stand_in, arguments, message):
    started = local(stand_in("exit 0"), *arguments)
    assert started.wait(60) == 2
    assert message in started.stderr.read()


def test_local_prints_its_usage(stand_in):
    started = local(stand_in("exit 0"))
    assert started.wait(60) == 2
    assert "launch/local.sh -n 2 -d 1" in started.stderr.read()


@pytest.mark.slow
def test_local_trains_with_two_processes(tmp_path):
    run = tmp_path / "run"
    done = local(
        Path(sys.executable),
        *("-n", "2", "-d", "1", "--"),
        "--config=configs/smileys.py",
        f"--workdir={run}",
        "--config.data.resolution=8",
        "--config.model.channel_max=8",
        "--config.model.mapping_layers=1",
        "--config.training.stage_kimg=0.064",
        "--config.training.fade_kimg=0.064",
        "--config.training.total_kimg=0.256",
        "--config.run.tick_kimg=0.064",
        "--config.run.grid_rows=1",
        "--config.run.grid_columns=2",
    )
    output, errors = done.communicate(timeout=600)
    assert done.returncode == 0, errors
    assert "2 process(es)" in output
    assert "finished at 0.256 kimg" in output
    assert any((run / "checkpoints").iterdir())
