"""Generate images with a trained or converted generator.

python -m stylegan_jax.generate --workdir=runs/emoji --seeds=0-63 --out=out/
"""

from stylegan_jax.commands.generate import COMMAND
from stylegan_jax.runtime.command import parse_or_exit

if __name__ == "__main__":  # before the imports that take seconds
    arguments = parse_or_exit(COMMAND)

from collections.abc import Iterable

import numpy as np
from absl import app, flags
from etils import epath

from stylegan_jax import workdir
from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.runtime import malloc, outputs, storage
from stylegan_jax.runtime.cli import reporting_errors
from stylegan_jax.runtime.image_io import image_grid, save_png, to_uint8
from stylegan_jax.runtime.messages import sides
from stylegan_jax.sampling import seeds
from stylegan_jax.sampling.synthesis import synthesize_batches
from stylegan_jax.sampling.truncation import truncated_styles

FLAGS = flags.FLAGS
GRID_PIXELS = 2**26  # most pixels of a grid: 64 images of 1024x1024


def main(argv: list[str]) -> None:
    """Write `seed<seed>.png` for every seed, and `grid.png` of the first ones."""
    del argv
    chosen = seeds.parse_seeds(FLAGS.seeds)
    out = outputs.new_directory(FLAGS.out, "--out")
    malloc.keep_freed_memory_on_cpu()
    trained = workdir.load_generator(storage.open_path(FLAGS.workdir), FLAGS.step)
    ws = truncated_styles(
        trained.generator,
        trained.variables,
        seeds.latents(chosen, trained.generator.z_dim),
        seeds.labels(FLAGS["class"].value, FLAGS.label, trained.classes, len(chosen)),
        truncation_psi=FLAGS.truncation_psi,
        truncation_cutoff=FLAGS.truncation_cutoff,
    )
    batches = synthesize_batches(
        trained.generator,
        trained.variables,
        ws,
        lod=trained.lod,
        noise=FLAGS.noise,
        batch_size=FLAGS.batch_size,
    )
    shown = write(out, chosen, map(to_uint8, batches), FLAGS.columns)
    count, height, width, _ = shown.shape
    print(
        f"wrote {len(chosen)} images of {sides((height, width))} (width x height) and "
        f"grid.png of {count} to {out}"
    )


def write(
    out: epath.Path, chosen: list[int], batches: Iterable[np.ndarray], columns: int
) -> np.ndarray:
    """Write images as they are generated, and a grid of the first ones.

    Args:
      out: output directory, created if needed.
      chosen: the seeds, which name the files.
      batches: the images of the seeds, batches [B,H,W,C] uint8.
      columns: images per row of the grid.

    Returns:
      The images of the grid [N,H,W,C] uint8.
    """
    out.mkdir(parents=True, exist_ok=True)
    left, shown = iter(chosen), []
    for batch in batches:
        most = max(GRID_PIXELS // (batch.shape[1] * batch.shape[2]), 1)
        # Copies, because a view would keep the whole batch in memory.
        shown.extend(image.copy() for image in batch[: most - len(shown)])
        for image in batch:
            save_png(out / f"seed{next(left):04d}.png", image)
    grid = np.stack(shown)
    save_png(out / "grid.png", image_grid(grid, columns), grid=True)
    return grid


if __name__ == "__main__":
    with reporting_errors(ValueError, CheckpointError, OSError):
        app.run(main, flags_parser=lambda argv: arguments)
