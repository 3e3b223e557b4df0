"""Speed of training and generation on an accelerator.

The jobs of `benchmarks.accelerator` that measure speed. Each is a function of `--tiny`,
which makes the networks too small for its figures to mean anything.
"""

import statistics
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from benchmarks import flops, generate, matmul, resample, resample_forms, train_step
from stylegan_jax import config, presets
from stylegan_jax.training import schedule

Figures = dict[str, Any]

# Settings of the number formats to compare. Each sets all of them, because the presets
# set some. TF32 is JAX's "high" on NVIDIA GPUs.
FORMATS = {
    "bfloat16": {
        "dtype": "bfloat16",
        "conv_clamp": 256.0,
        "float32_precision": "highest",
    },
    "tf32": {"dtype": "float32", "conv_clamp": None, "float32_precision": "high"},
    "float32": {"dtype": "float32", "conv_clamp": None, "float32_precision": "highest"},
}


def rates(tiny: bool) -> Figures:
    """Measure matrix products in each number format, and copies in device memory."""
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


def headline(number_format: str) -> Callable[[bool], Figures]:
    """Return the job of StyleGAN2 at 256x256, as in the official table.

    FFHQ-U 256, batch 64, channel_base 16384, no augmentation. Reference: the table of
    training costs in the documentation of the official StyleGAN3 code.
    """

    def run(tiny: bool) -> Figures:
        return train(official_setting(tiny), number_format, tiny)

    return run


def official_setting(tiny: bool) -> ConfigDict:
    """Return the setting of `headline`."""
    c = presets.auto(16 if tiny else 256)
    c.model.channel_base = 128 if tiny else 16384
    c.training.batch_size = 4 if tiny else 64
    return c


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
    """Return the peak memory use so far; 0 if the device does not report it."""
    return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0)


def generation(tiny: bool) -> Figures:
    """Measure generation with StyleGAN2 at 256x256, in bfloat16."""
    c = official_setting(tiny)
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

    The phases alternate as in a run, so this includes the overhead of the host.
    """
    count = 64 if tiny else 4096
    c = official_setting(tiny)
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
