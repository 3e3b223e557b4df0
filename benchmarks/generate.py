"""Speed of generating images with the networks of any config, from z to NumPy arrays.

    python -m benchmarks.generate --config=benchmarks/settings.py:S
    python -m benchmarks.generate --config=configs/stylegan2_emoji.py --batch_sizes=1,16

Prints a table with a row per batch size; `--json` saves the figures. Utilization is the
rate of the generator's operations (see `benchmarks.flops`), relative to that of a
matrix product that is timed in alternation. The weights are random, which does not
affect the time.
"""

import json
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from absl import app, flags
from ml_collections import config_flags

from benchmarks import batch_sizes as comparison
from benchmarks import flops
from stylegan_jax import config, models
from stylegan_jax.config import Experiment
from stylegan_jax.runtime import malloc
from stylegan_jax.sampling import seeds
from stylegan_jax.sampling.synthesis import synthesize
from stylegan_jax.sampling.truncation import truncated_styles

FLAGS = flags.FLAGS
COLUMNS = {
    " images/s": ("images_per_second", 1),
    "utilization": ("utilisation", 3),
    "first call s": ("first_call_seconds", 1),
}


def main(argv: list[str]) -> None:
    """Run the benchmark and print its table."""
    del argv
    malloc.keep_freed_memory_on_cpu()  # as `stylegan_jax.generate` does
    sizes = [int(size) for size in FLAGS.batch_sizes]
    if not 1 <= min(sizes) <= max(sizes) <= FLAGS.count:
        raise app.UsageError(
            f"--batch_sizes (={FLAGS.batch_sizes}) must be from 1 to --count "
            f"(={FLAGS.count})"
        )
    e = config.parse(FLAGS.config)
    figures = measure(e, sizes, FLAGS.count, FLAGS.rounds, FLAGS.noise)
    print(comparison.table(figures, COLUMNS))
    if FLAGS.json:
        Path(FLAGS.json).write_text(json.dumps(figures, indent=2) + "\n")


def measure(
    e: Experiment, batch_sizes: list[int], count: int, rounds: int, noise: str
) -> dict[str, Any]:
    """Time all batch sizes and the matrix product, alternating."""
    generator, discriminator = models.build(e.model, e.data, label_size=0)
    z = seeds.latents(list(range(count)), generator.z_dim)
    variables = jax.jit(generator.init)(jax.random.key(0), jnp.asarray(z[:1]))

    def seconds(batch_size: int) -> float:
        whole = z[: count // batch_size * batch_size]
        start = time.perf_counter()
        ws = truncated_styles(generator, variables, whole)
        synthesize(generator, variables, ws, noise=noise, batch_size=batch_size)
        return (time.perf_counter() - start) / len(whole)

    compile_seconds = {}
    for size in batch_sizes:
        start = time.perf_counter()
        seconds(size)
        compile_seconds[size] = time.perf_counter() - start
    medians, matmul_rate = comparison.interleaved(seconds, batch_sizes, rounds)
    g, _ = flops.per_image(generator, discriminator, generator.resolution)
    return {
        **comparison.machine(matmul_rate, g),
        "resolution": generator.resolution,
        "noise": noise,
        "batch_sizes": {
            size: {
                "images_per_second": 1 / median,
                "utilisation": g / median / matmul_rate,
                "first_call_seconds": compile_seconds[size],
            }
            for size, median in medians.items()
        },
    }


if __name__ == "__main__":
    config_flags.DEFINE_config_file("config", None, "Config of the experiment.")
    flags.DEFINE_list("batch_sizes", ["1", "16", "64"], "Batch sizes to measure.")
    flags.DEFINE_integer("count", 128, "Largest number of images per measurement.")
    flags.DEFINE_integer("rounds", 5, "Measurements; the median is reported.")
    flags.DEFINE_enum("noise", "const", ["const", "random", "none"], "Noise mode.")
    flags.DEFINE_string("json", None, "File to write the figures to.")
    flags.mark_flag_as_required("config")
    app.run(main)
