"""Speed of the training step of any config, relative to the machine's speed.

    python -m benchmarks.train_step --config=configs/stylegan2_emoji.py
    python -m benchmarks.train_step --config=benchmarks/settings.py:S --json=s.json
    python -m benchmarks.train_step --config=benchmarks/settings.py:S --profile=g_main

Prints a table; `--json` saves the figures. Utilization is the rate of useful operations
(see `benchmarks.flops`), relative to that of a matrix product that is timed in
alternation. Everything is compiled twice: as in a first run, and from the cache of that
run.
"""

import contextlib
import dataclasses
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import app, flags
from ml_collections import config_flags

from benchmarks import flops, matmul, operations
from stylegan_jax import config
from stylegan_jax.config import Experiment
from stylegan_jax.runtime import malloc, parallel
from stylegan_jax.training import schedule, setup
from stylegan_jax.training.compilation import ProgramCache
from stylegan_jax.training.schedule import Stage
from stylegan_jax.training.state import TrainState

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Run the benchmark and print its table."""
    del argv
    malloc.keep_freed_memory_on_cpu()  # as `stylegan_jax.train` does
    e = config.parse(FLAGS.config)
    stages = {
        s.resolution: s for s in schedule.build_stages(e)
    }  # the last stage of each
    resolution = FLAGS.resolution or max(stages)
    if resolution not in stages:
        raise app.UsageError(
            f"--resolution (={resolution}) must be a stage of the config: {[*stages]}"
        )
    stage = stages[resolution]
    with compilation_cache(FLAGS.cache):
        if FLAGS.profile:
            print(profile(e, stage, FLAGS.labels, FLAGS.profile))
            return
        figures = measure(e, stage, FLAGS.labels, FLAGS.rounds, FLAGS.seconds)
    print(table(figures))
    if FLAGS.json:
        Path(FLAGS.json).write_text(json.dumps(figures, indent=2) + "\n")


@contextlib.contextmanager
def compilation_cache(directory: str | None) -> Iterator[None]:
    """Cache compiled programs in a directory; None: in a temporary one."""
    with tempfile.TemporaryDirectory() as temporary:
        jax.config.update("jax_compilation_cache_dir", directory or temporary)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        yield


@dataclasses.dataclass
class Training:
    """An experiment at a stage, ready to take steps on the available devices.

    Attributes:
      setup: the networks, phases and state of the training.
      programs: the programs of the phases, which are not compiled yet.
      state: the current state, which every update donates.
      arguments: the other arguments of an update.
    """

    setup: setup.Setup
    programs: ProgramCache
    state: TrainState
    arguments: tuple

    def seconds(self, program: Callable, count: int) -> float:
        """Run a compiled phase `count` times and return the mean time of a run."""
        start = time.perf_counter()
        for _ in range(count):
            self.state, _ = program(self.state, *self.arguments)
        jax.block_until_ready(self.state)
        return (time.perf_counter() - start) / count


def prepare(e: Experiment, stage: Stage, labels: int) -> Training:
    """Return networks with random weights for `labels` classes, and a random batch."""
    devices = parallel.data_parallel(e.run.height_devices)
    training = setup.build(e, devices, labels)
    return Training(
        training,
        ProgramCache(training),
        training.create_state(),
        arguments(e, stage, labels, devices),
    )


def measure(
    e: Experiment, stage: Stage, labels: int, rounds: int, seconds: float
) -> dict[str, Any]:
    """Time every phase of a stage and the matrix product, alternating."""
    training = prepare(e, stage, labels)
    names = training.setup.phase_names
    compiled, compile_seconds, cached_seconds = {}, {}, {}
    for seconds_of in (compile_seconds, cached_seconds):
        jax.clear_caches()  # keeps the cache on disk
        for i, name in enumerate(names):
            start = time.perf_counter()
            compiled[name] = training.programs.lower(stage, i).compile()
            seconds_of[name] = time.perf_counter() - start

    counts = {}
    for name in names:
        training.seconds(compiled[name], 1)
        counts[name] = max(1, round(seconds / training.seconds(compiled[name], 1)))
    samples = {name: [] for name in names}
    rates = [matmul.rate()]
    for _ in range(rounds):
        for name in names:
            samples[name].append(training.seconds(compiled[name], counts[name]))
        rates.append(matmul.rate())
    matmul_rate = statistics.median(rates)
    networks = training.setup.generator, training.setup.discriminator
    g, d = flops.per_image(*networks, stage.resolution)
    useful = flops.per_phase(e, stage, g, d)
    intervals = {p.name: p.interval for p in training.setup.phases}
    figures = {
        "config": {"resolution": stage.resolution, "batch_size": stage.batch_size},
        "device": jax.devices()[0].device_kind,
        "devices": training.setup.parallel.num_devices,
        "jax": jax.__version__,
        "matmul_gflops": matmul_rate / 1e9,
        "forward_gflop_per_image": {"generator": g / 1e9, "discriminator": d / 1e9},
        "phases": {},
    }
    total_seconds = total_useful = total_xla = 0.0
    for name in names:
        median = statistics.median(samples[name])
        memory = compiled[name].memory_analysis()
        xla = compiled[name].cost_analysis()["flops"]
        figures["phases"][name] = {
            "seconds": median,
            "interval": intervals[name],
            "useful_gflop": useful[name] / 1e9,
            "xla_over_useful": xla / useful[name],
            "utilisation": useful[name] / median / matmul_rate,
            "compile_seconds": compile_seconds[name],
            "cached_compile_seconds": cached_seconds[name],
            "temporary_mib": memory.temp_size_in_bytes / 2**20,
            "state_mib": memory.argument_size_in_bytes / 2**20,
        }
        total_seconds += median / intervals[name]
        total_useful += useful[name] / intervals[name]
        total_xla += xla / intervals[name]
    figures |= {
        "seconds_per_image": total_seconds / stage.batch_size,
        "images_per_second": stage.batch_size / total_seconds,
        "utilisation": total_useful / total_seconds / matmul_rate,
        "xla_over_useful": total_xla / total_useful,
        "compile_seconds": sum(compile_seconds.values()),
        "cached_compile_seconds": sum(cached_seconds.values()),
    }
    return figures


def profile(e: Experiment, stage: Stage, labels: int, phase: str) -> str:
    """Return a table of the time of a phase by kind of operation."""
    training = prepare(e, stage, labels)
    names = training.setup.phase_names
    if phase not in names:
        raise app.UsageError(f"--profile (={phase}) must be one of {names}")
    compiled = training.programs.lower(stage, names.index(phase)).compile()

    def run() -> None:
        training.state, _ = compiled(training.state, *training.arguments)
        jax.block_until_ready(training.state)

    return operations.table(operations.seconds(run, compiled.as_text()))


def arguments(
    e: Experiment, stage: Stage, labels: int, devices: parallel.Parallel
) -> tuple:
    """Return the arguments of an update except the state, with a random batch."""
    rng = np.random.default_rng(0)
    shape = (stage.batch_size, *stage.size, e.data.channels)
    images = rng.integers(0, 256, shape, dtype=np.uint8)
    classes = rng.integers(0, max(labels, 1), stage.batch_size)
    one_hot = np.eye(max(labels, 1), dtype=np.float32)[classes][:, :labels]
    batch = devices.put_batch((images, one_hot))
    return *batch, *devices.replicate((np.float32(0.5), np.float32(1e-4)))


def table(figures: dict[str, Any]) -> str:
    """Format the figures as a table."""
    rows = [
        "phase     every  seconds  useful GFLOP  XLA/useful  utilization  state MiB"
        "  temporary MiB  compile s  cached s"
    ]
    for name, p in figures["phases"].items():
        rows.append(
            f"{name:9s} {p['interval']:5d} {p['seconds']:8.3f}"
            f" {p['useful_gflop']:13.1f} {p['xla_over_useful']:11.2f}"
            f" {p['utilisation']:12.2f} {p['state_mib']:10.1f}"
            f" {p['temporary_mib']:14.1f} {p['compile_seconds']:10.1f}"
            f" {p['cached_compile_seconds']:9.1f}"
        )
    rows.append(
        f"total: {figures['images_per_second']:.1f} images/s, utilization "
        f"{figures['utilisation']:.3f} of {figures['matmul_gflops']:.0f} GFLOP/s, "
        f"XLA/useful {figures['xla_over_useful']:.2f}; compiled in "
        f"{figures['compile_seconds']:.0f} s, "
        f"{figures['cached_compile_seconds']:.1f} s from the cache"
    )
    return "\n".join(rows)


if __name__ == "__main__":
    config_flags.DEFINE_config_file("config", None, "Config of the experiment.")
    flags.DEFINE_integer(
        "resolution", None, "Resolution of the stage [default: the last]."
    )
    flags.DEFINE_integer("labels", 0, "Number of classes of a conditional experiment.")
    flags.DEFINE_integer("rounds", 5, "Measurements; the median is reported.")
    flags.DEFINE_float("seconds", 2.0, "Duration of one measurement of one phase.")
    flags.DEFINE_string(
        "cache",
        None,
        "Directory of compiled programs, to repeat measurements without compiling; "
        "the times of the first compilation are then invalid [default: a temporary "
        "directory].",
    )
    flags.DEFINE_string(
        "profile", None, "Phase of which only the time by kind of operation is printed."
    )
    flags.DEFINE_string("json", None, "File to write the figures to.")
    flags.mark_flag_as_required("config")
    app.run(main)
