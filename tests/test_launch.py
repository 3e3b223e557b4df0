"""The launch scripts: sound shell, flags that exist, processes that end together."""

import ast
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = sorted((ROOT / "launch").glob("*.sh"))


def flags_of_train() -> set[str]:
    tree = ast.parse((ROOT / "stylegan_jax" / "train.py").read_text())
    return {
        call.args[0].value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr.startswith("DEFINE_")
    }


def flags_used(script: str) -> set[str]:
    """Flags on the lines that start `stylegan_jax.train`."""
    joined = script.replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if "-m stylegan_jax.train" in line]
    return {
        flag
        for line in lines
        for flag in re.findall(r"--(\w+)", line.partition("-m stylegan_jax.train")[2])
    }


def test_the_scripts_are_found():
    assert [path.name for path in SCRIPTS] == ["local.sh", "slurm.sh", "tpu_vm.sh"]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.name)
def test_is_sound_shell(path):
    checked = subprocess.run(["bash", "-n", path], capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert os.access(path, os.X_OK)
    assert "set -euo pipefail" in path.read_text()


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.name)
def test_uses_flags_that_train_has(path):
    used = flags_used(path.read_text())
    assert used
    assert used <= flags_of_train()


def local(python: Path, *arguments: str, **settings: str) -> subprocess.Popen:
    """Starts launch/local.sh with an executable in the place of Python."""
    return subprocess.Popen(
        [ROOT / "launch" / "local.sh", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHON": str(python)} | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def stand_in(tmp_path):
    """Makes an executable that stands in for Python, with $process set to its id."""

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
            f"--process_id={i} --workdir=a b\n"
        )


def test_local_fails_with_the_first_to_fail_and_ends_the_others(stand_in, tmp_path):
    python = stand_in(
        "if [[ $process == 1 ]]; then sleep 0.5; exit 7; fi\n"
        "trap 'echo ended >\"$here/0.txt\"; exit 0' TERM\n"
        "while :; do sleep 0.05; done"
    )
    done = local(python, "-n", "2", "-p", "5", "--", "--workdir=x")
    assert done.wait(60) == 7
    assert "process 1 failed with status 7" in done.stderr.read()
    assert (tmp_path / "0.txt").read_text() == "ended\n"


def test_local_kills_who_does_not_end(stand_in):
    python = stand_in(
        "if [[ $process == 1 ]]; then sleep 0.5; exit 7; fi\n"
        "trap '' TERM\nwhile :; do sleep 0.05; done"
    )
    done = local(python, "-p", "5", "--", "--workdir=x", GRACE_SECONDS="1")
    assert done.wait(60) == 7


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_local_passes_a_signal_on_once(stand_in, tmp_path, number):
    python = stand_in(
        "trap 'echo TERM >>\"$here/$process.txt\"; sleep 0.5; exit 0' TERM\n"
        'touch "$here/$process.ready"\nwhile :; do sleep 0.05; done'
    )
    started = local(python, "-n", "2", "-p", "5", "--", "--workdir=x")
    ready = [tmp_path / f"{i}.ready" for i in range(2)]
    deadline = time.monotonic() + 60
    while not all(path.exists() for path in ready):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    started.send_signal(number)
    assert started.wait(60) == 0
    for i in range(2):
        assert (tmp_path / f"{i}.txt").read_text() == "TERM\n"


def test_local_explains_itself(stand_in):
    started = local(stand_in("exit 0"))
    assert started.wait(60) == 2
    assert "launch/local.sh -n 2 -d 1" in started.stderr.read()


def test_slurm_refuses_to_run_outside_of_a_job():
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SLURM")}
    script = ROOT / "launch" / "slurm.sh"
    done = subprocess.run([script], env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert "sbatch launch/slurm.sh" in done.stderr


@pytest.mark.slow
def test_local_trains_with_two_processes(tmp_path):
    run = tmp_path / "run"
    done = local(
        Path(sys.executable),
        *("-n", "2", "-d", "1", "--"),
        "--config=configs/emoji.py",
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
