"""Compile the training step for absent TPUs and GPUs, and estimate its cost.

    make aot  # once: an environment with the compilers, .venv-aot
    .venv-aot/bin/python -m benchmarks.ahead_of_time --device=h100 \
      --config=configs/stylegan2_paper256.py --config.training.batch_size=8 \
      --config.training.accumulation_rounds=1 --config.model.dtype=bfloat16

Prints a table of the phases, and for each phase its cost by kind of operation and its
slowest operations; `--json` saves all of it. Nothing is executed, so all times are
estimates:

  - TPU: XLA's own estimate of cycles. Operations without one count as on a GPU.
  - GPU: a roofline, which no program can beat. An operation takes the time of its
    operations at the peak rate, or of its bytes at the memory's full bandwidth. The
    table also states the time that XLA's own kernels need to start their instructions;
    see `ptx`.

Both ignore overlap and the time that devices wait for each other. They compare variants
of a program, and do not predict its speed. A phase at 256x256 takes about 40 seconds to
compile for a GPU and many minutes for a TPU; `JAX_OPTIMIZATION_LEVEL=O1` reduces that
to about a third.
"""

import collections
import dataclasses
import json
import os
import re
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
from absl import app, flags
from jax.experimental import topologies
from ml_collections import config_flags

from benchmarks import flops, hlo, ptx
from benchmarks.weak_scaling import COLLECTIVES
from stylegan_jax import config
from stylegan_jax.config import Experiment
from stylegan_jax.runtime import parallel
from stylegan_jax.training import memory, schedule, setup
from stylegan_jax.training.compilation import ProgramCache
from stylegan_jax.training.schedule import Stage

FLAGS = flags.FLAGS


@dataclasses.dataclass(frozen=True)
class Device:
    """A kind of device.

    Attributes:
      platform: JAX's name of the platform.
      package: Python package with its compiler.
      peak: operations per second, by the precision of `_precision`.
      bandwidth: bytes per second of its memory.
      clock: cycles per second in which XLA estimates times; None if it does not.
      issue: instructions per second that its warps can start; None for a TPU.
    """

    platform: str
    package: str
    peak: dict[str, float]
    bandwidth: float
    clock: float | None = None
    issue: float | None = None


DEVICES = {
    # Full float32 takes six passes of the matrix units, which multiply bfloat16.
    "v5e": Device(
        "tpu",
        "libtpu",
        {"bf16": 197e12, "low f32": 197e12, "f32": 197e12 / 6},
        bandwidth=819e9,
        clock=1.5e9,
    ),
    # SXM, dense matrices; low: TF32.
    "h100": Device(
        "cuda",
        "jax-cuda12-plugin",
        {"bf16": 989e12, "low f32": 494e12, "f32": 67e12},
        bandwidth=3.35e12,
        # Multiprocessors, schedulers of each, and cycles per second.
        issue=132 * 4 * 1.98e9,
    ),
}
INDEXED = {"gather", "scatter"}  # far slower than their bytes on a TPU
TPU_SLICES = (4, 8, 16, 32, 64, 128, 256)  # chips
GPUS_PER_HOST = 8


def main(argv: list[str]) -> None:
    """Compile the phases and print their tables."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments {argv[1:]}")
    jax.config.update("jax_platforms", "cpu")  # do not look for a TPU or GPU
    c = FLAGS.config
    if c.data.source not in ("builtin", "tfds") and not c.data.path:
        c.data.path = "not read"
    try:
        e = config.parse(c)
        stages = {s.resolution: s for s in schedule.build_stages(e)}
        resolution = FLAGS.resolution or max(stages)
        if resolution not in stages:
            raise ValueError(
                f"--resolution (={resolution}) must be a stage of the config: "
                f"{[*stages]}"
            )
        figures = measure(
            e,
            stages[resolution],
            FLAGS.device,
            FLAGS.devices,
            FLAGS.phases,
            FLAGS.hlo,
            FLAGS.pixel_blocks,
        )
    except (ValueError, ImportError) as error:
        raise app.UsageError(str(error)) from error
    print(table(figures))
    if FLAGS.json:
        Path(FLAGS.json).write_text(json.dumps(figures, indent=2) + "\n")


def topology(kind: str, count: int) -> list[Any]:
    """Return `count` devices of a kind, for which programs can be compiled.

    Raises:
      ValueError: the kind is unknown, or there is no slice with as many devices.
      ImportError: the compiler is not installed, or does not fit the version of jax.
    """
    if kind not in DEVICES:
        raise ValueError(f"the device (={kind!r}) must be one of {', '.join(DEVICES)}")
    device = DEVICES[kind]
    # Keep libtpu from querying cloud metadata, and let several processes load it.
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
    try:
        if device.platform == "tpu":
            chips = min((n for n in TPU_SLICES if n >= count), default=None)
            if chips is None:
                raise ValueError(
                    f"the number of devices (={count}) must be at most {TPU_SLICES[-1]}"
                )
            rows = 2 ** ((chips.bit_length() - 1) // 2)
            found = topologies.get_topology_desc(
                platform="tpu", topology_name=f"{kind}:{rows}x{chips // rows}"
            )
        else:
            hosts = -(-count // GPUS_PER_HOST)
            target = Path(__file__).with_name(f"{kind}.textproto").read_text()
            found = topologies.get_topology_desc(
                "ahead of time",
                platform="cuda",
                topology=f"1x{hosts}x{min(count, GPUS_PER_HOST)}",
                target_config=target,
            )
    except RuntimeError as error:
        raise ImportError(
            f"no compiler for {kind}: {device.package} is missing or does not fit jax "
            f"{jax.__version__}; `make aot` makes an environment with both ({error})"
        ) from error
    return found.devices[:count]


def measure(
    e: Experiment,
    stage: Stage,
    kind: str,
    count: int,
    phases: list[str],
    folder: str | None,
    pixel_blocks: bool | None = None,
) -> dict[str, Any]:
    """Compile phases of a stage, and estimate the cost of each.

    Args:
      e: the experiment.
      stage: a stage of its schedule.
      kind: kind of device, a key of `DEVICES`.
      count: number of devices.
      phases: names of phases; empty: all.
      folder: directory to write the text of the programs to; None: nowhere.
      pixel_blocks: use the forms for TPUs; None: as training on these devices does.

    Raises:
      ValueError: a phase is unknown, or the batch does not divide by the devices.
    """
    devices = parallel.grid(topology(kind, count), e.run.height_devices)
    rounds = e.training.accumulation_rounds or 1
    devices.check_batch("training.batch_size", stage.batch_size, rounds)
    forms = {} if pixel_blocks is None else {"pixel_blocks": pixel_blocks}
    training = setup.build(e, devices, **forms)
    names = training.phase_names
    if unknown := set(phases) - set(names):
        raise ValueError(f"the phases (={sorted(unknown)}) must be of {names}")
    networks = training.generator, training.discriminator
    forward = flops.per_image(*networks, stage.resolution)
    useful = flops.per_phase(e, stage, *forward)
    figures = {
        "device": kind,
        "devices": count,
        "resolution": stage.resolution,
        "batch_size": stage.batch_size,
        "dtype": e.model.dtype,
        "pixel_blocks": training.generator.pixel_blocks,
        "jax": jax.__version__,
        "optimization": os.environ.get("JAX_OPTIMIZATION_LEVEL", "default"),
        "phases": {},
    }
    programs = ProgramCache(training)
    for phase in phases or names:
        start = time.monotonic()
        index = names.index(phase)
        lowered = programs.lower(stage, index, DEVICES[kind].platform)
        with tempfile.TemporaryDirectory() as dump:
            options = {"xla_dump_to": dump} if DEVICES[kind].issue else None
            compiled = lowered.compile(compiler_options=options)
            instructions = ptx.instructions(Path(dump)) if options else None
        seconds = time.monotonic() - start
        text = compiled.as_text()
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            Path(folder, f"{kind}_{phase}.hlo").write_text(text)
        found = analyze(text, DEVICES[kind])
        figures["phases"][phase] = {
            "interval": training.phases[index].interval,
            "useful_operations": useful[phase] / count,
            "over_useful": found["operations"] * count / useful[phase],
            "memory": memory.need(compiled).total,
            "compile_seconds": seconds,
        } | found
        if instructions is not None:
            issue = instructions / DEVICES[kind].issue
            figures["phases"][phase]["instruction_seconds"] = issue
    programs.close()
    if len(figures["phases"]) == len(names):
        seconds = sum(p["seconds"] / p["interval"] for p in figures["phases"].values())
        figures["images_per_second_and_device"] = stage.batch_size / seconds / count
    return figures


def analyze(text: str, device: Device, worst: int = 12) -> dict[str, Any]:
    """Estimate the time of a program by kind of operation.

    Args:
      text: its optimized HLO.
      device: the device that it was compiled for.
      worst: number of operations to list.

    Returns:
      Totals of one execution: "seconds", "operations", "bytes"; "kinds": the same and
      "count" by kind of operation; "worst": the slowest operations; and "unestimated":
      the number of operations for which XLA estimates no cycles, by opcode or target,
      and of loops of unknown length, which count as one iteration.
    """
    program = hlo.Program(text)
    kinds: dict[str, dict[str, float]] = {}
    rows, unestimated = [], collections.Counter()
    for x, times in program.executed():
        name = kind_of(program, x)
        seconds = estimate(program, x, device) * times
        counts = seconds or name in INDEXED
        if device.clock and counts and not x.attribute("estimated_cycles"):
            unestimated[_unestimated(program, x)] += times
        sums = kinds.setdefault(
            name, {"count": 0, "seconds": 0.0, "operations": 0, "bytes": 0}
        )
        sums["count"] += times
        sums["seconds"] += seconds
        sums["operations"] += program.operations(x) * times
        sums["bytes"] += program.bytes(x) * times
        row = {
            "seconds": seconds,
            "kind": name,
            "result": " ".join(map(str, x.result)),
            "name": x.name,
            "op_name": x.op_name,
        }
        rows.append(row)
    if loops := program.loops_of_unknown_length():
        unestimated["loop of unknown length"] = len(loops)
    totals = {
        key: sum(sums[key] for sums in kinds.values())
        for key in ("seconds", "operations", "bytes")
    }
    return totals | {
        "kinds": dict(sorted(kinds.items(), key=lambda item: -item[1]["seconds"])),
        "unestimated": dict(unestimated),
        "worst": sorted(rows, key=lambda row: -row["seconds"])[:worst],
    }


def estimate(program: hlo.Program, x: hlo.Instruction, device: Device) -> float:
    """Estimate the seconds of one execution of an operation.

    Asynchronous copies count as 0.
    """
    if cycles := x.attribute("estimated_cycles"):
        return int(cycles) / device.clock
    if x.opcode in ("copy-start", "slice-start"):
        return 0.0
    compute = program.operations(x) / device.peak[_precision(program, x)]
    return max(compute, program.bytes(x) / device.bandwidth)


def _precision(program: hlo.Program, x: hlo.Instruction) -> str:
    """Return the precision of the matrix products of an operation."""
    for part in program.inside(x):
        if program.operations(part):
            if program.operands(part)[0].dtype != "f32":
                return "bf16"
            precise = "operand_precision={highest" in part.attributes or (
                '"operand_precision":["HIGHEST"' in part.attributes
            )
            return "f32" if precise else "low f32"
    return "bf16"


def kind_of(program: hlo.Program, x: hlo.Instruction) -> str:
    """Return the kind of an operation; for a convolution, its form."""
    parts = program.inside(x)
    opcodes = {part.opcode for part in parts}
    if x.opcode.removesuffix("-start") in COLLECTIVES.split("|"):
        return x.opcode.removesuffix("-start")
    if convolutions := sorted({_form(p) for p in parts if hlo.is_convolution(p)}):
        return " + ".join(convolutions)
    if any(program.operations(part) for part in parts):
        return "matrix product"
    if indexed := opcodes & INDEXED:
        return min(indexed)
    if x.target:
        return x.target
    if opcodes <= hlo.MOVES:
        words = ("transpose", "copy", "copy-start", "reverse")
        return next((w for w in words if w in opcodes), "pad, slice, broadcast")
    if "transpose" in x.name:  # XLA names a fusion after the operation that shapes it
        return "transpose with arithmetic"
    return "reduction" if opcodes & {"reduce", "reduce-window"} else "elementwise"


def _unestimated(program: hlo.Program, x: hlo.Instruction) -> str:
    """Return a name for an operation for which XLA estimates no cycles."""
    kind = kind_of(program, x)
    return kind if kind in INDEXED else x.target or x.opcode


def _form(x: hlo.Instruction) -> str:
    """Return the form of a convolution, in the terms of cuDNN or XLA."""
    if x.target:
        filters = ", image-sized filter" if hlo.exceeds_result(x) else ""
        return "cuDNN " + x.target.removeprefix("cudnn$conv") + filters
    words = ["kernel gradient" if hlo.exceeds_result(x) else "convolution"]
    words += [w for w in x.window if w != "size"]
    groups = ("batch_group_count", "feature_group_count")
    words += [w for w in groups if x.attribute(w)]
    return ", ".join(words)


def table(figures: dict[str, Any]) -> str:
    """Format the figures as tables."""
    lines = [
        "{resolution}x{resolution}, {dtype}, batch {batch_size} on {devices} {device}, "
        "jax {jax}, optimization {optimization}; each device:".format(**figures),
        "phase     every  estimated ms  operations/useful       GB  memory GiB"
        "  executed  compile s",
    ]
    for name, p in figures["phases"].items():
        lines.append(
            f"{name:9s} {p['interval']:5d} {1e3 * p['seconds']:13.2f}"
            f" {p['over_useful']:18.2f} {p['bytes'] / 1e9:8.2f}"
            f" {p['memory'] / 2**30:11.2f}"
            f" {sum(kind['count'] for kind in p['kinds'].values()):9d}"
            f" {p['compile_seconds']:10.0f}"
        )
    if rate := figures.get("images_per_second_and_device"):
        lines.append(f"all phases: {rate:.1f} images/s a device by this estimate")
    for name, p in figures["phases"].items():
        lines.append("")
        if issue := p.get("instruction_seconds"):
            lines.append(f"{name}: instructions of XLA's kernels: {1e3 * issue:.2f} ms")
        lines.append(f"{name}: count       ms  GFLOP       GB  kind of operation")
        for kind, sums in p["kinds"].items():
            lines.append(
                f"{sums['count']:{len(name) + 7}d} {1e3 * sums['seconds']:8.3f}"
                f" {sums['operations'] / 1e9:6.0f} {sums['bytes'] / 1e9:8.3f}  {kind}"
            )
        if p["unestimated"]:
            lines.append(f"without XLA's estimate: {p['unestimated']}")
        lines.append("slowest, in ms:")
        for row in p["worst"]:
            lines.append(
                f"{1e3 * row['seconds']:8.3f}  {row['kind']}: {row['result'][:60]}"
                f"  {re.sub(r'cond/branch_[0-9]+_fun/', '', row['op_name'])[-60:]}"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    config_flags.DEFINE_config_file("config", None, "Config of the experiment.")
    flags.DEFINE_string("device", None, f"Kind of device: {', '.join(DEVICES)}.")
    flags.DEFINE_integer("devices", 1, "Number of devices.", lower_bound=1)
    flags.DEFINE_list("phases", [], "Phases to compile [default: all].")
    flags.DEFINE_integer(
        "resolution", None, "Resolution of the stage [default: the last]."
    )
    flags.DEFINE_bool(
        "pixel_blocks", None, "Use the forms for TPUs [default: as training does]."
    )
    flags.DEFINE_string("hlo", None, "Directory to write the programs to, as text.")
    flags.DEFINE_string("json", None, "File to write the figures to.")
    flags.mark_flags_as_required(["config", "device"])
    app.run(main)
