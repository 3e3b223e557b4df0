"""The launch scripts: sound shell, flags that exist, processes that end together."""

import ast
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from stylegan_jax import front_door

ROOT = Path(__file__).resolve().parent.parent
LAUNCH = ROOT / "launch"
SCRIPTS = sorted([*LAUNCH.glob("*.sh"), *LAUNCH.glob("*.sbatch")])
EXPECTED = Path(__file__).resolve().parent / "launch"


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
    names = [path.name for path in SCRIPTS]
    assert names == ["local.sh", "slurm.sbatch", "tpu_vm.sh"]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.name)
def test_is_sound_shell(path):
    checked = subprocess.run(["bash", "-n", path], capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert os.access(path, os.X_OK)
    assert "set -euo pipefail" in path.read_text()


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.name)
def test_passes_shellcheck(path):
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
def test_a_dry_run_prints_every_command_and_runs_none(name, tmp_path):
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
            f"--process_id={i} --stopped_status=75 --workdir=a b\n"
        )


def test_local_fails_with_the_first_to_fail_and_ends_the_others(stand_in, tmp_path):
    python = stand_in(
        "if [[ $process == 1 ]]; then sleep 0.5; exit 7; fi\n"
        "trap 'echo ended >\"$here/0.txt\"; exit 0' TERM\n"
        "while :; do sleep 0.05; done"
    )
    done = local(python, "-n", "2", "-p", "5", "--", "--workdir=x")
    assert done.wait(60) == 7
    errors = done.stderr.read()
    assert "process 1 of 2 failed with status 7; ending the others" in errors
    again = f"{ROOT / 'launch' / 'local.sh'} -n 2 -p 5 -- --workdir=x"
    assert f"to resume from the last checkpoint: {again}" in errors
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
    """The run says that it was stopped; the script was told to, and all is well."""
    python = stand_in(
        "trap 'echo TERM >>\"$here/$process.txt\"; sleep 0.5; exit 75' TERM\n"
        'touch "$here/$process.ready"\nwhile :; do sleep 0.05; done'
    )
    started = local(python, "-n", "2", "-p", "5", "--restarts=3", "--", "--workdir=x")
    ready = [tmp_path / f"{i}.ready" for i in range(2)]
    deadline = time.monotonic() + 60
    while not all(path.exists() for path in ready):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    started.send_signal(number)
    assert started.wait(60) == 0
    for i in range(2):
        assert (tmp_path / f"{i}.txt").read_text() == "TERM\n"


def test_local_passes_ctrl_c_of_a_terminal_on(stand_in, tmp_path):
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
    )
    deadline = time.monotonic() + 60
    while not all((tmp_path / f"{i}.ready").exists() for i in range(2)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    started.stdin.write(b"\x03")
    started.stdin.flush()
    assert started.wait(60) == 0
    for i in range(2):
        assert (tmp_path / f"{i}.txt").read_text() == "TERM\n"


def test_local_starts_all_again_as_often_as_told(stand_in, tmp_path):
    """Killed twice, then well; and once more than is allowed."""
    python = stand_in(
        'echo x >>"$here/$process.txt"\n'
        'starts=$(wc -l <"$here/$process.txt")\n'
        "if [[ $process == 1 && $starts -le 2 ]]; then sleep 0.2; kill -9 $$; fi\n"
        "if [[ $starts -le 2 ]]; then exec sleep 60; fi"
    )
    done = local(python, "-p", "5", "--restarts=3", "--", "--workdir=x")
    assert done.wait(60) == 0
    errors = done.stderr.read()
    killed = "process 1 of 2 was killed by SIGKILL (status 137); ending the others"
    assert errors.count(killed) == 2
    assert "restart 2 of 3, from the last checkpoint" in errors
    assert "restart 3 of 3" not in errors and "to resume" not in errors
    for i in range(2):
        assert (tmp_path / f"{i}.txt").read_text() == 3 * "x\n"

    (tmp_path / "1.txt").unlink()
    done = local(python, "-p", "5", "--restarts=1", "--", "--workdir=x")
    assert done.wait(60) == 137
    assert "to resume from the last checkpoint" in done.stderr.read()


def test_local_goes_on_with_a_run_that_a_signal_to_a_process_stopped(
    stand_in, tmp_path
):
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


def test_local_does_not_repeat_what_would_fail_again(stand_in, tmp_path):
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
        (["--workdir=x"], "flags of train come after --"),
    ],
)
def test_local_refuses_what_it_does_not_know(stand_in, arguments, message):
    started = local(stand_in("exit 0"), *arguments)
    assert started.wait(60) == 2
    assert message in started.stderr.read()


def test_local_explains_itself(stand_in):
    started = local(stand_in("exit 0"))
    assert started.wait(60) == 2
    assert "launch/local.sh -n 2 -d 1" in started.stderr.read()


def test_slurm_refuses_to_run_outside_of_a_job():
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
def test_slurm_queues_again_what_can_go_on(
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


# A TPU of one host: commands of `ssh` run here.
GCLOUD = """#!/usr/bin/env bash
echo "$4" >>"$here/calls"
case $4 in
  describe) cat "$here/state" 2>/dev/null ;;
  create) echo READY >"$here/state" ;;
  delete) rm -rf "$here/state" "$here/stylegan_jax" ;;
  ssh)
    command=${7#--command=}
    if [[ $command == *uv* ]]; then
      mkdir -p "$here/stylegan_jax/.venv/bin"
      cp "$here/python" "$here/stylegan_jax/.venv/bin/python"
    else
      cd "$here" && bash -c "$command"
    fi
    ;;
  scp) cp "$5" "$here/stylegan_jax.tar.gz" ;;
esac
"""
# The first run fails, then the TPU is preempted in the second, and the third finishes.
RUN_ON_TPU = """#!/usr/bin/env bash
echo x >>"$here/runs"
case $(wc -l <"$here/runs") in
  1) exit 1 ;;
  2) echo PREEMPTED >"$here/state" ;;
  *) echo "finished at 1 kimg: $*" ;;
esac
"""


def keep(folder: Path, python: str, gcloud: str = GCLOUD, **settings: str):
    """Runs `tpu_vm.sh keep` to its end with stand-ins for gcloud and Python."""
    for name, body in {"gcloud": gcloud, "python": python}.items():
        (folder / name).write_text(body)
        (folder / name).chmod(0o755)
    settings = {"NAME": "pod", "ZONE": "here", "POLL_SECONDS": "0.3"} | settings
    return subprocess.run(
        [LAUNCH / "tpu_vm.sh", "keep", "--workdir=a b"],
        env=os.environ
        | settings
        | {"here": str(folder), "PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def tpu_is_there(folder: Path) -> None:
    """A TPU on which an earlier run has finished."""
    (folder / "state").write_text("READY\n")
    (folder / "stylegan_jax").mkdir()
    (folder / "stylegan_jax" / "train.status").write_text("0\n")


def test_tpu_vm_keeps_a_run_going_until_it_has_finished(tmp_path):
    done = keep(tmp_path, RUN_ON_TPU)
    assert done.returncode == 0, done.stderr
    assert "pod is READY, the run 1: restart 1 of 100" in done.stdout
    assert "pod is PREEMPTED" in done.stdout and "restart 2 of 100" in done.stdout
    assert done.stdout.endswith("pod: the run has finished\n")
    calls = (tmp_path / "calls").read_text().split()
    assert calls.count("create") == 2 and calls.count("delete") == 1
    log = (tmp_path / "stylegan_jax" / "train.log").read_text()
    arguments = "-m stylegan_jax.train --distributed --stopped_status=75 --workdir=a b"
    assert log == f"finished at 1 kimg: {arguments}\n"


def test_tpu_vm_starts_a_run_though_an_old_one_has_finished(tmp_path):
    tpu_is_there(tmp_path)
    done = keep(tmp_path, '#!/usr/bin/env bash\necho x >>"$here/runs"\n')
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("pod: the run has finished\n")
    assert (tmp_path / "runs").read_text() == "x\n"


def test_tpu_vm_does_not_trust_an_old_status_when_the_start_fails(tmp_path):
    tpu_is_there(tmp_path)
    broken = GCLOUD.replace('echo "$4"', '[[ $4 == scp ]] && exit 1\necho "$4"')
    done = keep(tmp_path, "", broken, SILENT="3")
    assert done.returncode == 1
    assert "finished" not in done.stdout
    assert done.stderr.count("no run could be started; trying again") == 2
    assert "no run could be started, 3 times; giving up" in done.stderr


def test_tpu_vm_counts_only_runs_that_began(tmp_path):
    """There is no free TPU five times, and a run fails once."""
    asked = 'echo x >>"$here/asked"; [[ $(wc -l <"$here/asked") -gt 5 ]] || exit 1; '
    scarce = GCLOUD.replace("  create) ", f"  create) {asked}")
    python = (
        '#!/usr/bin/env bash\necho x >>"$here/runs"; [[ $(wc -l <"$here/runs") == 2 ]]'
    )
    done = keep(tmp_path, python, scarce, RESTARTS="1", POLL_SECONDS="0.1")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("there is no TPU yet; trying again") == 5
    assert "the run 1: restart 1 of 1" in done.stdout
    assert (tmp_path / "runs").read_text() == "x\nx\n"


# What the workers of a pod say, and what `keep` does about it.
@pytest.mark.parametrize(
    ("answers", "returned", "runs"),
    [
        (["0", "0"], 0, 1),
        (["134", "2"], 2, 1),
        (["0", "134"], 1, 2),
        (["75", "died"], 1, 2),
        (["0", "75"], 0, 1),
    ],
)
def test_tpu_vm_looks_at_all_workers(tmp_path, answers, returned, runs):
    said = "; ".join(f"echo {answer}" for answer in answers)
    pod = GCLOUD.replace(
        "  ssh)",
        '  ssh)\n    if [[ $7 == *absent* && -f "$here/runs" ]]; then\n'
        f"      [[ $6 == --worker=all ]] || {{ echo {answers[0]}; exit; }}\n"
        f"      {said}; exit\n    fi",
    )
    python = '#!/usr/bin/env bash\necho x >>"$here/runs"\n'
    done = keep(tmp_path, python, pod, RESTARTS="1")
    assert done.returncode == returned, done.stderr
    assert (tmp_path / "runs").read_text() == runs * "x\n"


def test_tpu_vm_waits_while_a_worker_runs(tmp_path):
    """One has failed, and the heartbeat has not ended the other yet."""
    pod = GCLOUD.replace(
        "  ssh)",
        '  ssh)\n    if [[ $7 == *absent* && -f "$here/runs" ]]; then\n'
        '      echo x >>"$here/looks"; echo 134\n'
        '      [[ $(wc -l <"$here/looks") -gt 3 ]] && echo 0 || echo running; exit\n'
        "    fi",
    )
    python = '#!/usr/bin/env bash\necho x >>"$here/runs"\n'
    done = keep(tmp_path, python, pod, RESTARTS="0")
    assert done.returncode == 1
    assert "failed after 0 restarts" in done.stderr
    assert (tmp_path / "looks").read_text() == 4 * "x\n"
    assert (tmp_path / "runs").read_text() == "x\n"


@pytest.mark.parametrize(
    "status, returned, message",
    [
        (2, 2, "the same command would fail again"),
        (75, 0, "the run was stopped; the same command resumes it"),
        (143, 0, "the run was stopped; the same command resumes it"),
    ],
)
def test_tpu_vm_leaves_a_run_that_is_not_to_go_on(tmp_path, status, returned, message):
    python = f'#!/usr/bin/env bash\necho x >>"$here/runs"; exit {status}\n'
    done = keep(tmp_path, python)
    assert done.returncode == returned
    assert message in done.stdout + done.stderr
    assert (tmp_path / "runs").read_text() == "x\n"


def test_tpu_vm_gives_up_on_a_worker_that_cannot_be_reached(tmp_path):
    (tmp_path / "state").write_text("READY\n")
    deaf = GCLOUD.replace("  ssh)", "  ssh)\n    exit 255")
    done = keep(tmp_path, "", deaf, POLL_SECONDS="0.01", SILENT="3")
    assert done.returncode == 1
    assert "its workers could not all be reached, 3 times; giving up" in done.stderr
    calls = (tmp_path / "calls").read_text().split()
    assert calls == 3 * ["ssh", "describe"]


def test_the_jobset_fits_its_slice_and_train():
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
        "values": [front_door.HOPELESS],
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
    assert not front_door.unknown_overrides(command[3:])
    assert int(overrides["config.training.batch_size"]) % chips == 0


def test_the_dockerfile_installs_what_there_is():
    text = (LAUNCH / "Dockerfile").read_text()
    extras = set(re.findall(r"EXTRAS=(\w+)", text))
    assert extras == {"gpu", "tpu"}
    assert extras <= set(re.findall(r'"(\w+)": \[', (ROOT / "setup.py").read_text()))
    sent = (LAUNCH / "Dockerfile.dockerignore").read_text()
    for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE):
        for name in line.split()[:-1]:
            assert (ROOT / name).exists() and f"!{name}\n" in sent


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
