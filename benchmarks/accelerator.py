"""Benchmark an accelerator unattended: agreement with the official code, then speed.

    python -m benchmarks.accelerator --out=accelerator
    python -m benchmarks.accelerator --out=accelerator --resume
    python -m benchmarks.accelerator --out=/tmp/tiny --tiny

The jobs run in the order of `JOBS`. Each prints its figures and writes them to
`OUT/<job>.json` when it ends, so an interruption loses one job at most, and `--resume`
runs only those that have no figures yet. A job starts only if the time that it takes on
a fast GPU is left of `--minutes`; `OUT/summary.json` lists those that were skipped or
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
import re
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from ml_collections import ConfigDict
from PIL import Image

from benchmarks import flops, generate, matmul, resample, resample_forms, train_step
from stylegan_jax import config, interop, presets
from stylegan_jax.models import LevelOfDetail
from stylegan_jax.runtime import malloc
from stylegan_jax.training import schedule

FLAGS = flags.FLAGS
Figures = dict[str, Any]

GOLDENS = Path(__file__).resolve().parent.parent / "tests" / "golden"
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "chex", "numpy")
# Settings of the number formats that are compared. Each names all of them, because the
# presets have a format of their own. TF32 is JAX's "high" on NVIDIA GPUs.
FORMATS = {
    "bfloat16": {
        "dtype": "bfloat16",
        "conv_clamp": 256.0,
        "float32_precision": "highest",
    },
    "tf32": {"dtype": "float32", "conv_clamp": None, "float32_precision": "high"},
    "float32": {"dtype": "float32", "conv_clamp": None, "float32_precision": "highest"},
}


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


def rates(tiny: bool) -> Figures:
    """Measure matrix products in each number format, and copies in memory."""
    size, mib = (256, 16) if tiny else (8192, 2048)
    x = jnp.zeros(mib * 2**18)
    copy = jax.jit(lambda x: x + 1, donate_argnums=0)
    samples = []
    for _ in range(10):
        start = time.perf_counter()
        x = copy(x).block_until_ready()
        samples.append(time.perf_counter() - start)
    return {
        "matmul_tflops": {name: matmul_rate(size, name) / 1e12 for name in FORMATS},
        # Every byte is read and written.
        "copy_gbytes_per_second": 2 * x.nbytes / statistics.median(samples) / 1e9,
    }


def matmul_rate(size: int, number_format: str) -> float:
    """Measure the operations per second of a product of square matrices."""
    settings = FORMATS[number_format]
    is_float32 = settings["dtype"] == "float32"
    precision = settings["float32_precision"] if is_float32 else "default"
    return matmul.rate(size, dtype=settings["dtype"], precision=precision)


def goldens(tiny: bool) -> Figures:
    """Compare networks and gradients on this device with the official numbers.

    Errors are the largest difference relative to the rms of the official array.
    """
    del tiny
    errors = {}
    for name, kind in (
        ("A7_g16_skip_clamp0.7", "generator"),
        ("A8_g16_resnet_clamp0.7_asymfir", "generator"),
        ("B7_d16_resnet_clamp0.5_group_none", "discriminator"),
        ("B8_d16_skip_clamp0.5_mbstd_f2", "discriminator"),
    ):
        errors[f"stylegan2/{name}"] = _stylegan2_error(name, kind), 1e-4
    scores, gradients = _stylegan1_errors("loss_trainmode_16", lod=0.6)
    errors["stylegan1/scores"] = scores, 1e-4
    errors["stylegan1/gradients by images"] = gradients, 1e-3
    wrong = {name: e for name, (e, limit) in errors.items() if not e <= limit}
    if wrong:
        raise ArithmeticError(f"these differ from the official numbers: {wrong}")
    return {"errors": {name: error for name, (error, _) in errors.items()}}


def _stylegan2_error(name: str, kind: str) -> float:
    with np.load(GOLDENS / "stylegan2_and_3" / f"{name}.npz") as data:
        arrays = dict(data)
    settings = json.loads((GOLDENS / "stylegan2_and_3" / f"{name}.json").read_text())
    model, variables = interop.from_official(
        _below(arrays, "param/"), "stylegan2-ada-pytorch", kind, **settings["kwargs"]
    )
    if kind == "generator":
        inputs, wanted = arrays["in/z"], arrays["out/img_const"].transpose(0, 2, 3, 1)
    else:
        batch = settings["batches"][0]
        images = arrays["in/img_u8"][:batch].transpose(0, 2, 3, 1)
        inputs = images.astype(np.float32) / 127.5 - 1
        wanted = arrays[f"out/logits_n{batch}"][:, 0]
    labels = arrays["in/c"][: len(inputs)] if "in/c" in arrays else None
    return _error(jax.jit(model.apply)(variables, inputs, labels), wanted)


def _stylegan1_errors(name: str, lod: float) -> tuple[float, float]:
    """Return the errors of scores, and of their gradients by the images."""
    with np.load(GOLDENS / "stylegan1" / f"{name}.npz") as data:
        arrays = dict(data)
    manifest = json.loads((GOLDENS / "stylegan1" / "manifest.json").read_text())
    settings = manifest[f"{name}.npz"]["settings"]
    model, variables = interop.from_official(
        _below(arrays, "vars/D/"),
        "stylegan1",
        "discriminator",
        **settings["common_kwargs"],
        **settings["D_kwargs"],
        label_size=settings["label_size"],
    )
    reals = arrays["in/reals"].transpose(0, 2, 3, 1)
    level = LevelOfDetail.from_scalar(lod, reals.shape[1])

    def score(images: jax.Array) -> tuple[jax.Array, jax.Array]:
        scores = model.apply(variables, images, arrays["in/labels"], level)
        return jnp.sum(scores), scores

    (_, scores), gradients = jax.jit(jax.value_and_grad(score, has_aux=True))(reals)
    out = _below(arrays, f"out/lod{lod}/")
    wanted = out["real_grads"].transpose(0, 2, 3, 1)
    return _error(scores, out["real_scores"][:, 0]), _error(gradients, wanted)


def _below(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {k[len(prefix) :]: v for k, v in arrays.items() if k.startswith(prefix)}


def _error(actual: Any, wanted: np.ndarray) -> float:
    actual = np.asarray(actual, np.float32)
    if actual.shape != wanted.shape:
        raise ValueError(f"shape {actual.shape} in place of {wanted.shape}")
    return float(np.abs(actual - wanted).max() / np.sqrt(np.mean(np.square(wanted))))


def headline(number_format: str) -> Callable[[bool], Figures]:
    """Return the job of StyleGAN2 at 256x256, as in the official table.

    FFHQ-U 256, batch 64, channel_base 16384, no augmentation. Reference: the table of
    training costs in the documentation of the official StyleGAN3 code.
    """

    def run(tiny: bool) -> Figures:
        c = presets.auto(16 if tiny else 256)
        c.model.channel_base = 128 if tiny else 16384
        c.training.batch_size = 4 if tiny else 64
        return train(c, number_format, tiny)

    return run


def stylegan2_1024(tiny: bool) -> Figures:
    """Measure StyleGAN2's config F at 1024x1024, four images, in bfloat16."""
    c = presets.stylegan2("stylegan2", resolution=16 if tiny else 1024, devices=8)
    c.training.batch_size = 4
    if tiny:
        c.model.channel_base = 128
    return train(c, "bfloat16", tiny)


def stylegan1_1024(tiny: bool) -> Figures:
    """Measure StyleGAN at its last stage, 1024x1024, four images, in TF32."""
    c = config.base()
    c.data.resolution = 16 if tiny else 1024
    c.training.batch_size = 4
    if tiny:
        c.model.channel_base = 64
    return train(c, "tf32", tiny)


def train(c: ConfigDict, number_format: str, tiny: bool) -> Figures:
    """Time the phases of the last stage of an experiment in a number format."""
    c.model.update(FORMATS[number_format])
    e = config.parse(c)
    stage = schedule.build_stages(e)[-1]
    training = train_step.prepare(e, stage, labels=0)
    phases = training.setup.phases
    lowered = [training.programs.lower(stage, i) for i in range(len(phases))]
    start = time.perf_counter()
    compiled = dict(
        zip(training.setup.phase_names, compile_in_threads(lowered), strict=True)
    )
    compile_seconds = time.perf_counter() - start

    counts = {}
    for name in compiled:
        training.seconds(compiled[name], 1)
        counts[name] = max(
            1, round((0.02 if tiny else 1.0) / training.seconds(compiled[name], 1))
        )
    samples = {name: [] for name in compiled}
    for _ in range(3):
        for name, count in counts.items():
            samples[name].append(training.seconds(compiled[name], count))
    medians = {name: statistics.median(values) for name, values in samples.items()}

    networks = training.setup.generator, training.setup.discriminator
    g, d = flops.per_image(*networks, stage.resolution)
    useful = flops.per_phase(e, stage, g, d)
    step_seconds = sum(medians[p.name] / p.interval for p in phases)
    step_flop = sum(useful[p.name] / p.interval for p in phases)
    peak = matmul_rate(256 if tiny else 8192, number_format)
    return {
        "resolution": stage.resolution,
        "batch_size": stage.batch_size,
        "format": number_format,
        "images_per_second": stage.batch_size / step_seconds,
        "seconds_per_kimg": 1000 * step_seconds / stage.batch_size,
        "tflops": step_flop / step_seconds / 1e12,
        "share_of_matmul_rate": step_flop / step_seconds / peak,
        "compile_seconds": compile_seconds,
        "phases": {
            p.name: {
                "seconds": medians[p.name],
                "interval": p.interval,
                "tflops": useful[p.name] / medians[p.name] / 1e12,
                "temporary_gib": _temporary_bytes(compiled[p.name]) / 2**30,
            }
            for p in phases
        },
        "peak_gib": _peak_bytes() / 2**30,
    }


def compile_in_threads(lowered: Iterable[jax.stages.Lowered]) -> list[Any]:
    """Compile independent programs at the same time; XLA releases Python's lock."""
    lowered = list(lowered)
    with ThreadPoolExecutor(len(lowered)) as pool:
        return list(pool.map(lambda program: program.compile(), lowered))


def _temporary_bytes(compiled: Any) -> float:
    return compiled.memory_analysis().temp_size_in_bytes


def _peak_bytes() -> float:
    """Return the most memory in use so far; 0 if the device does not report it."""
    return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0)


def official(tiny: bool) -> Figures:
    """Train with the official PyTorch code, in the setting of `headline`."""
    if FLAGS.official is None:
        raise Skipped("--official names no checkout of the official code")
    folder = Path(FLAGS.official).resolve()
    if not (folder / "train.py").exists():
        raise FileNotFoundError(f"--official (={folder}) has no train.py")
    resolution, count = (16, 64) if tiny else (256, 1000)
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary) / "noise.zip"
        _noise_images(data, resolution, count)
        common = [f"--outdir={temporary}", f"--data={data}", "--gpus=1", "--gamma=1"]
        common += ["--batch=64", "--aug=noaug", "--metrics=none", "--snap=1000"]
        if (folder / "torch_utils" / "ops" / "filtered_lrelu.py").exists():
            own = ["--cfg=stylegan2", "--cbase=16384", "--map-depth=2"]
            own += ["--kimg=8", "--tick=2"]
        else:
            own = ["--cfg=paper256", "--kimg=8"]
        done = subprocess.run(
            [sys.executable, "train.py", *common, *own],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
        )
    ticks = re.findall(r"sec/kimg (\d+\.?\d*)", done.stdout)
    if done.returncode or len(ticks) < 2:
        raise RuntimeError(
            f"train.py ended with {done.returncode}: {done.stderr[-2000:]}"
        )
    # The first tick contains the start.
    seconds = statistics.median(map(float, ticks[1:]))
    return {
        "seconds_per_kimg": seconds,
        "images_per_second": 1000 / seconds,
        "plugins_failed": "Failed" in done.stdout + done.stderr,
    }


def _noise_images(path: Path, resolution: int, count: int) -> None:
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(count):
            pixels = rng.integers(0, 256, (resolution, resolution, 3), np.uint8)
            with archive.open(f"img{i:08d}.png", "w") as file:
                Image.fromarray(pixels).save(file, "PNG", compress_level=1)


def generation(tiny: bool) -> Figures:
    """Measure generation with StyleGAN2 at 256x256, in bfloat16."""
    c = presets.auto(16 if tiny else 256)
    c.model.channel_base = 128 if tiny else 16384
    c.model.update(FORMATS["bfloat16"])
    e = config.parse(c)
    sizes, count = ([1, 4], 4) if tiny else ([1, 16, 64], 256)
    return generate.measure(e, sizes, count, rounds=3, noise="const")


def resampling(tiny: bool) -> Figures:
    """Compare the forms of each resampling operation, forward and gradients."""
    resolution, channels, batch = (8, 8, 2) if tiny else (128, 128, 16)
    figures = {}
    for operation in resample_forms.FORMS:
        x, kernel = resample.arguments(operation, batch, resolution, channels)
        figures[operation] = resample.measure(
            operation, x, kernel, rounds=1, seconds=0.01 if tiny else 0.2
        )
    return figures


def from_device_memory(tiny: bool) -> Figures:
    """Train in the setting of `headline` for some seconds on images in device memory.

    The phases follow each other as in a run, so this includes what the host adds.
    """
    resolution, count = (16, 64) if tiny else (256, 4096)
    c = presets.auto(resolution)
    c.model.channel_base = 128 if tiny else 16384
    c.training.batch_size = 4 if tiny else 64
    c.model.update(FORMATS["bfloat16"])
    e = config.parse(c)
    stage = schedule.build_stages(e)[-1]
    training = train_step.prepare(e, stage, labels=0)
    phases = training.setup.phases
    compiled = compile_in_threads(
        training.programs.lower(stage, i) for i in range(len(phases))
    )
    shape = (count, *stage.size, 3)
    images = jax.random.randint(jax.random.key(0), shape, 0, 256, jnp.uint8)
    order = np.random.default_rng(0)
    gather = jax.jit(lambda images, rows: images[rows])
    _, *others = training.arguments
    duration, steps = (0.2 if tiny else 20.0), 0
    jax.block_until_ready(images)
    start = time.perf_counter()
    while steps % 16 or time.perf_counter() - start < duration:
        batch = gather(images, order.integers(0, count, stage.batch_size))
        for phase, program in zip(phases, compiled, strict=True):
            if steps % phase.interval == 0:
                training.state, scalars = program(training.state, batch, *others)
        steps += 1
        if steps % 8 == 0:
            jax.block_until_ready(scalars)
    jax.block_until_ready(training.state)
    seconds = time.perf_counter() - start
    last = {name: float(value) for name, value in scalars.items()}
    if not all(np.isfinite(list(last.values()))):
        raise ArithmeticError(f"the training diverged: {last}")
    return {
        "steps": steps,
        "images_per_second": steps * stage.batch_size / seconds,
        "last_scalars": last,
    }


class Skipped(Exception):
    """The reason why a job has nothing to do."""


@dataclasses.dataclass(frozen=True)
class Job:
    """A part of the benchmark.

    Attributes:
      name: name of its file.
      run: a function of `--tiny` that returns the figures.
      seconds: time that it takes on a fast GPU.
    """

    name: str
    run: Callable[[bool], Figures]
    seconds: float


JOBS = (
    Job("device", device, 1),
    Job("rates", rates, 10),
    Job("goldens", goldens, 30),
    Job("stylegan2_256_bfloat16", headline("bfloat16"), 80),
    Job("stylegan2_256_tf32", headline("tf32"), 80),
    Job("stylegan2_256_float32", headline("float32"), 80),
    Job("official", official, 120),
    Job("generation", generation, 40),
    Job("stylegan2_1024_bfloat16", stylegan2_1024, 110),
    Job("stylegan1_1024_tf32", stylegan1_1024, 90),
    Job("resampling", resampling, 60),
    Job("from_device_memory", from_device_memory, 80),
)


def run_jobs(
    jobs: Iterable[Job], out: Path, deadline: float, resume: bool, tiny: bool
) -> dict[str, Any]:
    """Run the jobs in turn and write their figures.

    Args:
      jobs: what to run.
      out: directory of the figures.
      deadline: in seconds of `time.monotonic`.
      resume: keep the figures of jobs that have ended.
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
