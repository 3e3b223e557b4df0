"""Benchmark an accelerator unattended: agreement with the official code, then speed.

    python -m benchmarks.accelerator --out=accelerator
    python -m benchmarks.accelerator --out=accelerator --resume
    python -m benchmarks.accelerator --out=/tmp/tiny --tiny

The jobs run in the order of `JOBS`. Each prints its figures and writes them to
`OUT/<job>.json` when it ends, so an interruption loses one job at most, and `--resume`
runs only those that have no figures yet. A job starts only if `--minutes` leaves it the
time that it takes on a fast GPU; `OUT/summary.json` lists those that were skipped or
failed. The exit status is 1 if any failed.

This needs jax, flax, optax, orbax-checkpoint, chex, ml-collections, numpy and pillow,
but neither TensorFlow nor a network connection. `--tiny` runs every job in a few
minutes on a CPU, with networks that are too small for the figures to mean anything.
"""

import dataclasses
import gc
import importlib.metadata
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
from absl import app, flags

from benchmarks import accelerator_agreement as agreement
from benchmarks import accelerator_official
from benchmarks import accelerator_speed as speed
from benchmarks.accelerator_official import Skipped
from stylegan_jax.runtime import malloc

FLAGS = flags.FLAGS
Figures = dict[str, Any]

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "chex", "numpy")


def device(tiny: bool) -> Figures:
    """Describe the machine and the versions."""
    del tiny
    first = jax.devices()[0]
    return {
        "device": first.device_kind,
        "platform": first.platform,
        "devices": jax.device_count(),
        "memory_gib": (first.memory_stats() or {}).get("bytes_limit", 0) / 2**30,
        "cpus": os.cpu_count(),
        "python": sys.version.split()[0],
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }


@dataclasses.dataclass(frozen=True)
class Job:
    """One part of the benchmark.

    Attributes:
      name: name of its file.
      run: a function of `--tiny` that returns the figures.
      seconds: estimated time on a fast GPU.
    """

    name: str
    run: Callable[[bool], Figures]
    seconds: float


JOBS = (
    Job("device", device, 1),
    Job("rates", speed.rates, 10),
    Job("goldens", agreement.goldens, 30),
    Job("stylegan2_256_bfloat16", speed.headline("bfloat16"), 80),
    Job("stylegan2_256_tf32", speed.headline("tf32"), 80),
    Job("stylegan2_256_float32", speed.headline("float32"), 80),
    Job("official", accelerator_official.official, 120),
    Job("generation", speed.generation, 40),
    Job("stylegan2_1024_bfloat16", speed.stylegan2_1024, 110),
    Job("stylegan1_1024_tf32", speed.stylegan1_1024, 90),
    Job("resampling", speed.resampling, 60),
    Job("from_device_memory", speed.from_device_memory, 80),
)


def run_jobs(
    jobs: Iterable[Job], out: Path, deadline: float, resume: bool, tiny: bool
) -> dict[str, Any]:
    """Run the jobs in turn and write their figures.

    Args:
      jobs: the jobs to run.
      out: directory for the figures.
      deadline: value of `time.monotonic` after which no job may run.
      resume: keep the figures of completed jobs, and skip these.
      tiny: run each job with tiny networks, however long it takes.

    Returns:
      The content of `summary.json`: the outcome of each job.
    """
    out.mkdir(parents=True, exist_ok=True)
    summary = {}
    for job in jobs:
        path = out / f"{job.name}.json"
        left = deadline - time.monotonic()
        if resume and path.exists():
            summary[job.name] = "done earlier"
        elif not tiny and left < job.seconds:
            summary[job.name] = f"skipped: {left:.0f} s left, needs {job.seconds:g} s"
        else:
            summary[job.name] = _run(job, path, tiny)
        print(f"{job.name}: {summary[job.name]}", flush=True)
        (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    return summary


def _run(job: Job, path: Path, tiny: bool) -> str:
    """Run a job, write its figures, and return its outcome."""
    start = time.monotonic()
    try:
        figures = job.run(tiny)
    except Skipped as reason:
        return f"skipped: {reason}"
    except Exception as error:  # the later jobs do not depend on this one
        traceback.print_exc()
        return f"failed: {type(error).__name__}: {str(error)[:500]}"
    finally:
        jax.clear_caches()
        gc.collect()
    text = json.dumps(figures, indent=2) + "\n"
    print(text, flush=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text)
    temporary.rename(path)
    return f"done in {time.monotonic() - start:.0f} s"


def main(argv: list[str]) -> None:
    """Run all jobs."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments {argv[1:]}")
    malloc.keep_freed_memory_on_cpu()
    deadline = time.monotonic() + 60 * FLAGS.minutes
    summary = run_jobs(JOBS, Path(FLAGS.out), deadline, FLAGS.resume, FLAGS.tiny)
    if any(outcome.startswith("failed") for outcome in summary.values()):
        sys.exit(1)


if __name__ == "__main__":
    flags.DEFINE_string("out", None, "Directory for the figures.")
    flags.DEFINE_float("minutes", 9.0, "Time limit of all jobs.", lower_bound=0)
    flags.DEFINE_bool("resume", False, "Keep the figures that --out has.")
    flags.DEFINE_bool("tiny", False, "Run every job with tiny networks.")
    flags.DEFINE_string(
        "official",
        None,
        "Checkout of stylegan3 or stylegan2-ada-pytorch to compare with.",
    )
    flags.mark_flag_as_required("out")
    app.run(main)
