"""launch/tpu_vm.sh: supervision of a run on stand-ins for TPUs."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.launch_scripts import LAUNCH

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


def small_repository(folder: Path) -> Path:
    """Return the `launch/` of a repository that is packed in no time."""
    for name in ("configs", "stylegan_jax", "launch"):
        (folder / name).mkdir(parents=True)
    for name in ("setup.py", "LICENSE", "NOTICE"):
        (folder / name).touch()
    shutil.copy(LAUNCH / "tpu_vm.sh", folder / "launch")
    return folder / "launch"


def keep(
    folder: Path,
    python: str,
    gcloud: str = GCLOUD,
    launch: Path | None = None,
    **settings: str,
):
    """Run `tpu_vm.sh keep` to its end with stand-ins for gcloud and Python."""
    launch = launch or small_repository(folder / "repository")
    for name, body in {"gcloud": gcloud, "python": python}.items():
        (folder / name).write_text(body)
        (folder / name).chmod(0o755)
    settings = {"NAME": "pod", "ZONE": "here", "POLL_SECONDS": "0.3"} | settings
    return subprocess.run(
        [launch / "tpu_vm.sh", "keep", "--workdir=a b"],
        env=os.environ
        | settings
        | {"here": str(folder), "PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def tpu_is_there(folder: Path) -> None:
    """Create a TPU on which an earlier run has finished."""
    (folder / "state").write_text("READY\n")
    (folder / "stylegan_jax").mkdir()
    (folder / "stylegan_jax" / "train.status").write_text("0\n")


def test_tpu_vm_supervises_a_run_until_it_has_finished(tmp_path):
    done = keep(tmp_path, RUN_ON_TPU, launch=LAUNCH)
    assert done.returncode == 0, done.stderr
    assert "pod is READY, the run 1: restart 1 of 100" in done.stdout
    assert "pod is PREEMPTED" in done.stdout and "restart 2 of 100" in done.stdout
    assert done.stdout.endswith("pod: the run has finished\n")
    calls = (tmp_path / "calls").read_text().split()
    assert calls.count("create") == 2 and calls.count("delete") == 1
    log = (tmp_path / "stylegan_jax" / "train.log").read_text()
    arguments = "-m stylegan_jax.train --distributed --stopped_status=75 --workdir=a b"
    assert log == f"finished at 1 kimg: {arguments}\n"


def test_tpu_vm_starts_a_run_after_an_earlier_one_has_finished(tmp_path):
    tpu_is_there(tmp_path)
    done = keep(tmp_path, '#!/usr/bin/env bash\necho x >>"$here/runs"\n')
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("pod: the run has finished\n")
    assert (tmp_path / "runs").read_text() == "x\n"


def test_tpu_vm_ignores_an_earlier_status_when_the_start_fails(tmp_path):
    tpu_is_there(tmp_path)
    broken = GCLOUD.replace('echo "$4"', '[[ $4 == scp ]] && exit 1\necho "$4"')
    done = keep(tmp_path, "", broken, SILENT="3")
    assert done.returncode == 1
    assert "finished" not in done.stdout
    assert done.stderr.count("no run could be started; trying again") == 2
    assert "no run could be started, 3 times; giving up" in done.stderr


def test_tpu_vm_counts_only_runs_that_started(tmp_path):
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


# The answers of a pod's workers, the exit status of `keep` and the number of runs.
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
def test_tpu_vm_considers_all_workers(tmp_path, answers, returned, runs):
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
def test_tpu_vm_does_not_restart_stopped_or_hopeless_runs(
    tmp_path, status, returned, message
):
    python = f'#!/usr/bin/env bash\necho x >>"$here/runs"; exit {status}\n'
    done = keep(tmp_path, python)
    assert done.returncode == returned
    assert message in done.stdout + done.stderr
    assert (tmp_path / "runs").read_text() == "x\n"


def test_tpu_vm_gives_up_on_unreachable_workers(tmp_path):
    (tmp_path / "state").write_text("READY\n")
    deaf = GCLOUD.replace("  ssh)", "  ssh)\n    exit 255")
    done = keep(tmp_path, "", deaf, POLL_SECONDS="0.01", SILENT="3")
    assert done.returncode == 1
    assert "not all of its workers could be reached, 3 times; giving up" in done.stderr
    calls = (tmp_path / "calls").read_text().split()
    assert calls == 3 * ["ssh", "describe"]
