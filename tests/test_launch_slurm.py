"""launch/slurm.sbatch: jobs that are requeued."""

import os
import subprocess

import pytest

from tests.launch_scripts import LAUNCH


def test_slurm_runs_only_in_a_job():
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SLURM")}
    script = LAUNCH / "slurm.sbatch"
    done = subprocess.run([script], env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert "sbatch launch/slurm.sbatch" in done.stderr


SRUN = """#!/usr/bin/env bash
[[ $1 == --kill-on-bad-exit=0 && $2 == --wait=300 ]] && exit "$STATUS"
"""
SCONTROL = """#!/usr/bin/env bash
echo "$@"
"""


@pytest.mark.parametrize(
    "status, restarts, requeued, message",
    [
        (3, "0", True, "restart 1 of 3"),
        (3, "3", False, "submit the same command again"),
        (75, "9", True, "stopped and saved"),
        (2, "0", False, "would fail again"),
        (0, "0", False, ""),
    ],
)
def test_slurm_requeues_runs_that_can_continue(
    tmp_path, status, restarts, requeued, message
):
    programs = {"srun": SRUN, "scontrol": SCONTROL, "venv/bin/python": ""}
    for name, body in programs.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(body)
        (tmp_path / name).chmod(0o755)
    settings = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "VENV": "venv",
        "SLURM_JOB_ID": "7",
        "SLURM_SUBMIT_DIR": str(tmp_path),
        "SLURM_RESTART_COUNT": restarts,
        "STATUS": str(status),
    }
    done = subprocess.run(
        [LAUNCH / "slurm.sbatch", "--workdir=x"],
        env=os.environ | settings,
        capture_output=True,
        text=True,
    )
    assert done.returncode == status
    assert (done.stdout == "requeue 7\n") is requeued
    assert message in done.stderr and bool(message) == bool(done.stderr)
