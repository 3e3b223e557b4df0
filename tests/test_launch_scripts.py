"""All launch scripts: valid shell, flags that exist, dry runs."""

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stylegan_jax import config
from stylegan_jax.runtime import cli
from tests.launch_scripts import LAUNCH, ROOT, flags_of_train

SCRIPTS = sorted([*LAUNCH.glob("*.sh"), *LAUNCH.glob("*.sbatch")])
EXPECTED = Path(__file__).resolve().parent / "launch"


def flags_used(script: str) -> set[str]:
    """Return the flags on the lines that start `stylegan_jax.train`."""
    joined = script.replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if "-m stylegan_jax.train" in line]
    return {
        flag
        for line in lines
        for flag in re.findall(r"--(\w+)", line.partition("-m stylegan_jax.train")[2])
    }


def test_all_scripts_are_found():
    names = [path.name for path in SCRIPTS]
    assert names == ["local.sh", "slurm.sbatch", "tpu_vm.sh"]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.name)
def test_scripts_are_valid_shell(path):
    checked = subprocess.run(["bash", "-n", path], capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert os.access(path, os.X_OK)
    assert "set -euo pipefail" in path.read_text()


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.name)
def test_scripts_pass_shellcheck(path):
    checker = Path(sys.executable).parent / "shellcheck"  # of the extra "dev"
    checked = subprocess.run([checker, path], capture_output=True, text=True)
    assert (checked.returncode, checked.stdout) == (0, "")


DRY_RUNS = {
    "local": ("local.sh", ["--dry-run", "-d", "2", "-p", "5", "--restarts=3", "--"]),
    "slurm": ("slurm.sbatch", ["--dry-run"]),
    "tpu_vm-train": ("tpu_vm.sh", ["--dry-run", "train"]),
    "tpu_vm-keep": ("tpu_vm.sh", ["--dry-run", "keep"]),
    "tpu_vm-logs": ("tpu_vm.sh", ["--dry-run", "logs"]),
    "tpu_vm-stop": ("tpu_vm.sh", ["--dry-run", "stop"]),
    "tpu_vm-delete": ("tpu_vm.sh", ["--dry-run", "delete"]),
}


@pytest.mark.parametrize("name", DRY_RUNS)
def test_dry_run_prints_every_command_and_runs_none(name, tmp_path):
    """Compared with tests/launch/NAME.txt, where ROOT is the repository."""
    script, arguments = DRY_RUNS[name]
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "python").touch(mode=0o755)
    settings = {
        "local": {"PYTHON": "python"},
        "slurm": {"VENV": "venv", "SLURM_GPUS_ON_NODE": "4", "SLURM_JOB_ID": "7"},
        "tpu_vm": {"NAME": "pod", "ZONE": "here", "TYPE": "v5litepod-64", "SPOT": "1"},
    }[name.partition("-")[0]]
    done = subprocess.run(
        [LAUNCH / script, *arguments, "--config=configs/ffhq.py", "--workdir=a b"],
        cwd=tmp_path,
        # What it should not run is not there to be run.
        env={"PATH": "/usr/bin:/bin"} | settings,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    expected = (EXPECTED / f"{name}.txt").read_text()
    assert done.stdout.replace(str(ROOT), "ROOT") == expected


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.name)
def test_scripts_use_flags_that_train_has(path):
    used = flags_used(path.read_text())
    assert used
    assert used <= flags_of_train()


def test_jobset_matches_its_slice_and_train():
    text = (LAUNCH / "gke_jobset.yaml").read_text()
    jobset = yaml.safe_load(text)
    [job] = jobset["spec"]["replicatedJobs"]
    hosts = job["template"]["spec"]
    pod = hosts["template"]["spec"]
    [container] = pod["containers"]
    topology = pod["nodeSelector"]["cloud.google.com/gke-tpu-topology"]
    chips = container["resources"]["limits"]["google.com/tpu"] * hosts["parallelism"]
    assert math.prod(map(int, topology.split("x"))) == chips == 64
    assert hosts["completions"] == hosts["parallelism"]
    # A stopped pod is not complete; one that would fail again fails everything.
    assert "--stopped_status=75" in container["command"]
    [rule] = hosts["podFailurePolicy"]["rules"]
    assert rule["action"] == "FailJob"
    assert rule["onExitCodes"] == {
        "containerName": container["name"],
        "operator": "In",
        "values": [cli.EXIT_PERMANENT],
    }
    [rule] = jobset["spec"]["failurePolicy"]["rules"]
    assert rule["action"] == "FailJobSet"
    assert rule["onJobFailureReasons"] == ["PodFailurePolicy"]
    command = container["command"]
    assert command[:3] == ["python", "-m", "stylegan_jax.train"]
    given = [flag[2:].partition("=") for flag in command[3:]]
    flags, overrides = (
        {name: value for name, _, value in given if ("." in name) is dotted}
        for dotted in (False, True)
    )
    assert set(flags) <= flags_of_train()
    assert (ROOT / flags["config"]).exists()
    assert not config.unknown_overrides(command[3:])
    assert int(overrides["config.training.batch_size"]) % chips == 0


def test_dockerfile_copies_and_installs_existing_files():
    text = (LAUNCH / "Dockerfile").read_text()
    extras = set(re.findall(r"EXTRAS=(\w+)", text))
    assert extras == {"gpu", "tpu"}
    assert extras <= set(re.findall(r'"(\w+)": \[', (ROOT / "setup.py").read_text()))
    sent = (LAUNCH / "Dockerfile.dockerignore").read_text()
    for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE):
        for name in line.split()[:-1]:
            assert (ROOT / name).exists() and f"!{name}\n" in sent
