"""Speed of all forms of the resampling and filtering operations, with gradients.

    python -m benchmarks.resample
    python -m benchmarks.resample --sizes=16x256,64x64 --operations=up --json=r.json

Operations: StyleGAN2's convolutions `up` and `down`, with their 4-tap filter;
StyleGAN's `box_up` and `box_down`, with their box filter; `blur`, with 3 taps; and
`radial`, the activation of StyleGAN3-R. A size RxC means RxR pixels at the higher
resolution, or the input of `radial`, and C channels. The forms are those of
`benchmarks.resample_forms`; "ours" is the one of `layers` on this platform. All of them
must give the same results, and are timed alternately:

    forward   y = f(x, kernel)
    gradient  of sum(y^2) with respect to x and kernel
    second    of sum(g^2) with respect to kernel, g the gradient to x: as in R1

`blur` and `radial` have no kernel; their gradients are with respect to x.

Prints Markdown tables in milliseconds, with the fastest form of each column in bold.
`--json` saves the figures and the fewest operations of the forward convolution.
"""

import itertools
import json
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from benchmarks import matmul
from benchmarks.resample_forms import FORMS
from stylegan_jax.runtime import malloc

FLAGS = flags.FLAGS

ORDERS = ("forward", "gradient", "second")
WITHOUT_KERNEL = ("blur", "radial")
TOLERANCE = 1e-3  # relative to the largest value


def main(argv: list[str]) -> None:
    """Run the benchmark and print its tables."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments {argv[1:]}")
    malloc.keep_freed_memory_on_cpu()  # as `stylegan_jax.train` does
    unknown = set(FLAGS.operations) - set(FORMS)
    if unknown:
        raise app.UsageError(
            f"--operations contains {sorted(unknown)}; the choices are {list(FORMS)}"
        )
    try:
        sizes = [tuple(map(int, size.split("x"))) for size in FLAGS.sizes]
        ((_, _), *_) = sizes
    except ValueError as error:
        raise app.UsageError(f"--sizes (={FLAGS.sizes}) must be RxC,...") from error
    figures = {
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
        "batch": FLAGS.batch,
        "results": [],
    }
    rates = [matmul.rate()]
    for operation, (resolution, channels) in itertools.product(FLAGS.operations, sizes):
        x, kernel = arguments(operation, FLAGS.batch, resolution, channels)
        rows = measure(operation, x, kernel, FLAGS.rounds, FLAGS.seconds)
        rates.append(matmul.rate())
        print(table(operation, resolution, channels, rows), flush=True)
        figures["results"].append(
            {
                "operation": operation,
                "resolution": resolution,
                "channels": channels,
                "forms": rows,
                "useful_gflop": useful_flop(operation, x, kernel) / 1e9,
            }
        )
    figures["matmul_gflops"] = statistics.median(rates) / 1e9
    print(f"\nmatrix product: {figures['matmul_gflops']:.0f} GFLOP/s")
    if FLAGS.json:
        Path(FLAGS.json).write_text(json.dumps(figures, indent=2) + "\n")


def arguments(
    operation: str, batch: int, resolution: int, channels: int
) -> tuple[jax.Array, jax.Array]:
    """Return random x [B,R,R,C], with R/2 for upsampling, and kernel [3,3,C,C]."""
    r = resolution // 2 if operation.endswith("up") else resolution
    random = np.random.default_rng(0)
    x = random.standard_normal((batch, r, r, channels), np.float32)
    kernel = random.standard_normal((3, 3, channels, channels), np.float32)
    return jnp.asarray(x), jnp.asarray(kernel / math.sqrt(9 * channels))


def orders(operation: str, form: Callable[..., jax.Array]) -> dict[str, Callable]:
    """Return a form and its gradients as functions of (x, kernel)."""

    def score(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return jnp.sum(jnp.square(form(x, kernel)))

    def penalty(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return jnp.sum(jnp.square(jax.grad(score)(x, kernel)))

    by = (0,) if operation in WITHOUT_KERNEL else (0, 1)
    return {
        "forward": form,
        "gradient": jax.grad(score, argnums=by),
        "second": jax.grad(penalty, argnums=by[-1]),
    }


def measure(
    operation: str, x: jax.Array, kernel: jax.Array, rounds: int, seconds: float
) -> dict[str, dict[str, float]]:
    """Measure the seconds of every form and order.

    Raises:
      ArithmeticError: the results of a form differ from "ours".
    """
    programs, wanted = {}, {}
    for name, form in FORMS[operation].items():
        for order, function in orders(operation, form).items():
            program = jax.jit(function).lower(x, kernel).compile()
            result = jax.tree.leaves(program(x, kernel))
            wanted.setdefault(order, result)  # "ours" is the first
            _compare(f"{operation}, {name}, {order}", result, wanted[order])
            programs[name, order] = program
    counts, samples = {}, {key: [] for key in programs}

    def run(key: tuple[str, str], count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            result = programs[key](x, kernel)
        jax.block_until_ready(result)
        return (time.perf_counter() - start) / count

    for key in programs:
        counts[key] = max(1, round(seconds / run(key, 1)))
    for _ in range(rounds):
        for key in programs:
            samples[key].append(run(key, counts[key]))
    return {
        name: {order: statistics.median(samples[name, order]) for order in ORDERS}
        for name in FORMS[operation]
    }


def _compare(name: str, result: list[jax.Array], wanted: list[jax.Array]) -> None:
    for a, b in zip(result, wanted, strict=True):
        difference = float(jnp.max(jnp.abs(a - b)) / jnp.max(jnp.abs(b)))
        if not difference < TOLERANCE:
            raise ArithmeticError(f"{name} differs from ours by {difference:.2g}")


def useful_flop(operation: str, x: jax.Array, kernel: jax.Array) -> float:
    """Count the useful operations of the forward pass; see `benchmarks.flops`."""
    b, h, w, c = x.shape
    taps = {"up": 9, "box_up": 16, "down": 9 / 4, "box_down": 16 / 4}
    return 2 * b * h * w * c * kernel.shape[-1] * taps.get(operation, 0)


def table(
    operation: str, resolution: int, channels: int, rows: dict[str, dict[str, float]]
) -> str:
    """Format the milliseconds of an operation at one size as a table."""
    best = {order: min(row[order] for row in rows.values()) for order in ORDERS}

    def cell(row: dict[str, float], order: str) -> str:
        text = f"{1e3 * row[order]:.2f}"
        return f"**{text}**" if row[order] == best[order] else text

    size = f"{operation}, {resolution}x{resolution}, {channels} channels"
    return "\n".join(
        [
            f"\n| {size} | {' | '.join(ORDERS)} |\n|---|---|---|---|",
            *(
                f"| {name} | {' | '.join(cell(row, order) for order in ORDERS)} |"
                for name, row in rows.items()
            ),
        ]
    )


if __name__ == "__main__":
    flags.DEFINE_list("sizes", ["16x128", "64x32"], "Sizes RxC: R pixels, C channels.")
    flags.DEFINE_list("operations", list(FORMS), "Operations to measure.")
    flags.DEFINE_integer("batch", 8, "Images per batch.", lower_bound=1)
    flags.DEFINE_integer("rounds", 3, "Measurements; the median is reported.")
    flags.DEFINE_float("seconds", 0.05, "Duration of one measurement of one form.")
    flags.DEFINE_string("json", None, "File to write the figures to.")
    app.run(main)
