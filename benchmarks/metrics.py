"""Time and memory of FID and of precision and recall, against plain NumPy and SciPy.

    python -m benchmarks.metrics
    python -m benchmarks.metrics --count=2000 --dimensions=256 --json=metrics.json

Prints a row per step: seconds of this package, seconds of a plain implementation on the
same random features in the same run, and their ratio (below 1 if this package is
faster). The plain implementations are those of the published code: `scipy.linalg.sqrtm`
of the product of the covariances, and all distances in float64, block by block.
"""

import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.linalg
from absl import app, flags

from stylegan_jax.metrics.frechet import Moments, frechet_distance
from stylegan_jax.metrics.precision_recall import precision_recall

FLAGS = flags.FLAGS
BATCH = 512  # rows per batch
PLAIN_BLOCK = 1000  # rows per block of the plain distances


def main(argv: list[str]) -> None:
    """Measure the steps and print a table."""
    del argv
    figures = measure(FLAGS.count, FLAGS.dimensions, FLAGS.plain)
    print(table(figures))
    if FLAGS.json:
        Path(FLAGS.json).write_text(json.dumps(figures, indent=2) + "\n")


def random_sets(count: int, dimensions: int) -> list[np.ndarray]:
    """Draw two sets [count, dimensions] with a spectrum like Inception's."""
    rng = np.random.default_rng(0)
    spread = np.linspace(1, 0.01, dimensions) ** 2
    mix = rng.normal(size=(dimensions, dimensions)) / np.sqrt(dimensions)
    sets = [np.empty((count, dimensions), np.float32) for _ in range(2)]
    for features, shift in zip(sets, (0.1, 0.12), strict=True):
        for begin in range(0, count, BATCH):  # keeps peak memory low
            part = features[begin : begin + BATCH]
            noise = rng.normal(size=part.shape) * spread
            part[:] = np.maximum(noise @ mix + shift, 0)
    return sets


def measure(count: int, dimensions: int, plain: bool) -> dict[str, Any]:
    """Time every step once on random features."""
    sets = random_sets(count, dimensions)
    start = peak_megabytes()
    steps: dict[str, dict[str, float]] = {}

    def timed(step: str, form: str, run: Callable[[], Any]) -> Any:
        begin = time.perf_counter()
        out = run()
        row = steps.setdefault(step, {})
        row[f"{form}_seconds"] = time.perf_counter() - begin
        row[f"{form}_peak_megabytes"] = peak_megabytes() - start
        return out

    moments = timed("FID: moments", "ours", lambda: [streamed(x) for x in sets])
    gaussians = timed("FID: factors", "ours", lambda: [m.gaussian() for m in moments])
    fid = timed("FID: distance", "ours", lambda: frechet_distance(*gaussians).value)
    found = timed("precision and recall", "ours", lambda: precision_recall(*sets))
    values = {"fid": fid, "precision": found.precision, "recall": found.recall}
    if plain:
        fits = timed("FID: moments", "plain", lambda: [plain_fit(x) for x in sets])
        plain_fid = timed("FID: distance", "plain", lambda: plain_frechet(*fits))
        masks = timed("precision and recall", "plain", lambda: plain_masks(*sets))
        values |= {
            "plain_fid": plain_fid,
            "plain_precision": float(np.mean(masks[0])),
            "plain_recall": float(np.mean(masks[1])),
        }
    return {
        "count": count,
        "dimensions": dimensions,
        "features_megabytes": sum(x.nbytes for x in sets) / 1e6,
        "steps": steps,
        "values": values,
    }


def streamed(features: np.ndarray) -> Moments:
    """Accumulate the moments of features in batches."""
    moments = Moments()
    for begin in range(0, len(features), BATCH):
        moments.add(features[begin : begin + BATCH])
    return moments


def plain_fit(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute mean and covariance as pytorch-fid does."""
    return features.mean(axis=0), np.cov(features, rowvar=False)


def plain_frechet(a: tuple, b: tuple) -> float:
    """Compute the distance by a matrix square root."""
    root = scipy.linalg.sqrtm(a[1] @ b[1])
    means = np.sum((a[0] - b[0]) ** 2)
    return float(means + np.trace(a[1]) + np.trace(b[1]) - 2 * np.trace(root).real)


def plain_masks(
    real: np.ndarray, generated: np.ndarray, k: int = 3
) -> tuple[np.ndarray, np.ndarray]:
    """Compute precision and recall of each image from all distances in float64."""
    sets = [x.astype(np.float64) for x in (real, generated)]
    squares = [np.sum(x * x, axis=1) for x in sets]

    def squared(a: int, b: int, rows: slice) -> np.ndarray:
        inner = sets[a][rows] @ sets[b].T
        return squares[a][rows, None] + squares[b] - 2 * inner

    def blocks(which: int) -> list[slice]:
        return [
            slice(i, i + PLAIN_BLOCK) for i in range(0, len(sets[which]), PLAIN_BLOCK)
        ]

    masks = []
    for members, probes in ((0, 1), (1, 0)):
        radii = np.concatenate(
            [
                np.partition(squared(members, members, rows), k, axis=1)[:, k]
                for rows in blocks(members)
            ]
        )
        inside = [
            np.any(squared(probes, members, rows) <= radii, axis=1)
            for rows in blocks(probes)
        ]
        masks.append(np.concatenate(inside))
    return tuple(masks)


def peak_megabytes() -> float:
    """Return the peak memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def table(figures: dict[str, Any]) -> str:
    """Format the figures as a table."""
    rows = ["step                    ours s   plain s   ratio   ours peak MB"]
    totals = {"ours": 0.0, "plain": 0.0}
    for step, row in figures["steps"].items():
        ours, plain = row["ours_seconds"], row.get("plain_seconds", 0.0)
        totals["ours"] += ours
        totals["plain"] += plain
        ratio = f"{ours / plain:7.3f}" if plain else "      -"
        rows.append(
            f"{step:20s} {ours:9.2f} {plain:9.2f} {ratio} "
            f"{row['ours_peak_megabytes']:14.0f}"
        )
    if totals["plain"]:
        rows.append(
            f"{'all':20s} {totals['ours']:9.2f} {totals['plain']:9.2f} "
            f"{totals['ours'] / totals['plain']:7.3f}"
        )
    rows.append(
        f"{figures['count']} against {figures['count']} of {figures['dimensions']} "
        f"dimensions, {figures['features_megabytes']:.0f} MB of features; "
        + ", ".join(f"{k} {v:.6g}" for k, v in figures["values"].items())
    )
    return "\n".join(rows)


def define_flags() -> None:
    """Define the flags of the command."""
    flags.DEFINE_integer("count", 10_000, "Images of each set.", lower_bound=5)
    flags.DEFINE_integer("dimensions", 2048, "Number of features.", lower_bound=1)
    flags.DEFINE_bool("plain", True, "Also time the plain implementations.")
    flags.DEFINE_string("json", None, "File for the figures.")


if __name__ == "__main__":
    define_flags()
    app.run(main)
