"""Speed of projecting images: a batch against single images, and utilization.

    python -m benchmarks.project --network=smileys64
    python -m benchmarks.project --network=runs/photos --batch_sizes=1,4

Prints a table with a row per batch size; `--json` saves the figures. The last column is
the time of a batch relative to that of the same number of single projections with the
same steps, without compilation. Utilization is the rate of the operations of the
generator and of its gradient with respect to the activations (twice those of
`benchmarks.flops`, without the distance), relative to that of a matrix product that is
timed in alternation.
"""

import json
import time
from pathlib import Path
from typing import Any

from absl import app, flags

import stylegan_jax
from benchmarks import batch_sizes as comparison
from benchmarks import flops
from stylegan_jax import models
from stylegan_jax.inversion.projection import Projector, Session, Settings
from stylegan_jax.inversion.steps import CHUNK
from stylegan_jax.networks.network import Network
from stylegan_jax.runtime import malloc

FLAGS = flags.FLAGS
COLUMNS = {
    "image steps/s": ("steps_per_second", 1),
    "utilization": ("utilisation", 3),
    "of single": ("relative_to_single", 2),
}


def main(argv: list[str]) -> None:
    """Run the benchmark and print its table."""
    del argv
    malloc.keep_freed_memory_on_cpu()  # as `stylegan_jax.project` does
    sizes = sorted({1, *map(int, FLAGS.batch_sizes)})
    network = stylegan_jax.load(FLAGS.network)
    figures = measure(network, sizes, FLAGS.distance, FLAGS.rounds, FLAGS.chunks)
    print(comparison.table(figures, COLUMNS))
    if FLAGS.json:
        Path(FLAGS.json).write_text(json.dumps(figures, indent=2) + "\n")


def measure(
    network: Network, batch_sizes: list[int], distance: str, rounds: int, chunks: int
) -> dict[str, Any]:
    """Time all batch sizes and the matrix product, alternating."""
    label = 0 if network.classes else None
    targets = network(seeds=range(1000, 1000 + max(batch_sizes)), label=label)
    settings = Settings(steps=(rounds + 2) * chunks * CHUNK)
    sessions = {
        size: Session(
            Projector(network, settings, distance, label=label, batch_size=size),
            targets[:size],
        )
        for size in batch_sizes
    }

    def seconds(size: int) -> float:
        """Return the time per step of a batch."""
        start = time.perf_counter()
        for _ in range(chunks):
            sessions[size].advance()
        return (time.perf_counter() - start) / (chunks * CHUNK)

    for size in batch_sizes:
        seconds(size)  # compiles
    medians, matmul_rate = comparison.interleaved(seconds, batch_sizes, rounds)
    e = network.experiment
    _, discriminator = models.build(e.model, e.data, len(network.classes))
    g, _ = flops.per_image(network.generator, discriminator, network.resolution)
    return {
        **comparison.machine(matmul_rate, g),
        "resolution": network.resolution,
        "distance": distance,
        "batch_sizes": {
            size: {
                "steps_per_second": size / median,
                "utilisation": 2 * g * size / median / matmul_rate,
                "relative_to_single": median / (size * medians[1]),
            }
            for size, median in medians.items()
        },
    }


if __name__ == "__main__":
    flags.DEFINE_string("network", "smileys64", "Network, as for `project`.")
    flags.DEFINE_list("batch_sizes", ["1", "8"], "Batch sizes to measure.")
    flags.DEFINE_enum("distance", "multiscale", ["multiscale", "lpips"], "Distance.")
    flags.DEFINE_integer("rounds", 7, "Measurements; the median is reported.")
    flags.DEFINE_integer("chunks", 3, "Calls of ten steps in a measurement.")
    flags.DEFINE_string("json", None, "File to write the figures to.")
    app.run(main)
