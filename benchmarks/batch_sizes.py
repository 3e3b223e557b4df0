"""Comparison of batch sizes in one run, relative to the machine's speed."""

import statistics
from collections.abc import Callable
from typing import Any

import jax

from benchmarks import matmul


def interleaved(
    seconds: Callable[[int], float], batch_sizes: list[int], rounds: int
) -> tuple[dict[int, float], float]:
    """Time all batch sizes and a matrix product, alternating.

    Args:
      seconds: returns the duration of one measurement with a batch size.
      batch_sizes: the batch sizes.
      rounds: number of measurements of each.

    Returns:
      The median duration of each batch size, and the median rate of the product in
      operations per second.
    """
    samples: dict[int, list[float]] = {size: [] for size in batch_sizes}
    rates = [matmul.rate()]
    for _ in range(rounds):
        for size in batch_sizes:
            samples[size].append(seconds(size))
        rates.append(matmul.rate())
    medians = {size: statistics.median(values) for size, values in samples.items()}
    return medians, statistics.median(rates)


def machine(matmul_rate: float, operations: float) -> dict[str, Any]:
    """Return the figures that are common to all comparisons.

    Args:
      matmul_rate: operations per second of a matrix product.
      operations: operations to generate an image.
    """
    return {
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
        "matmul_gflops": matmul_rate / 1e9,
        "gflop_per_image": operations / 1e9,
    }


def table(figures: dict[str, Any], columns: dict[str, tuple[str, int]]) -> str:
    """Format figures as a table with a row per batch size.

    Args:
      figures: those of `machine`, "resolution", and "batch_sizes": size -> name ->
        number.
      columns: heading -> (name of the number, digits after the point).
    """
    rows = ["batch size" + "".join(f"  {heading}" for heading in columns)]
    for size, row in figures["batch_sizes"].items():
        numbers = (
            f"{row[name]:{len(heading) + 2}.{digits}f}"
            for heading, (name, digits) in columns.items()
        )
        rows.append(f"{size:10d}" + "".join(numbers))
    rows.append(
        f"{figures['resolution']} rows, {figures['gflop_per_image']:.3f} GFLOP per "
        f"image; matrix product {figures['matmul_gflops']:.0f} GFLOP/s"
    )
    return "\n".join(rows)
