"""Generate images with a trained or converted generator.

python -m stylegan_jax.generate --workdir=runs/emoji --seeds=0-63 --out=out/
"""

from collections.abc import Iterable

import numpy as np
from absl import app, flags
from etils import epath

from stylegan_jax import workdir
from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.runtime import malloc, storage
from stylegan_jax.runtime.cli import reporting_errors
from stylegan_jax.runtime.image_io import image_grid, save_png, to_uint8
from stylegan_jax.sampling import seeds
from stylegan_jax.sampling.synthesis import synthesize_batches
from stylegan_jax.sampling.truncation import truncated_styles

FLAGS = flags.FLAGS
GRID_PIXELS = 2**26  # most pixels of a grid: 64 images of 1024x1024


def main(argv: list[str]) -> None:
    """Write `seed<seed>.png` for every seed, and `grid.png` of the first ones."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments {argv[1:]}")
    chosen = seeds.parse_seeds(FLAGS.seeds)
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
    out = storage.open_path(FLAGS.out)
    shown = write(out, chosen, map(to_uint8, batches), FLAGS.columns)
    count, height, width, _ = shown.shape
    print(
        f"wrote {len(chosen)} images of {height}x{width} and grid.png of {count} to "
        f"{out}"
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


def define_flags() -> None:
    """Define the command-line flags."""
    flags.DEFINE_string(
        "workdir", None, "Directory of a training run or a converted network."
    )
    flags.DEFINE_string(
        "seeds", "0-63", "Seeds of the latents: numbers and ranges, e.g. 0-3,7."
    )
    flags.DEFINE_string("out", None, "Output directory, created if needed.")
    flags.DEFINE_float(
        "truncation_psi", 0.7, "Truncation: 1 keeps all variety, 0 keeps none."
    )
    flags.DEFINE_integer(
        "truncation_cutoff",
        None,
        "Truncate only the style layers below this one [default: all].",
    )
    flags.DEFINE_enum(
        "noise", "const", ["const", "random", "none"], "Kind of the per-pixel noise."
    )
    flags.DEFINE_string("class", None, "Class name or index, for conditional networks.")
    flags.DEFINE_string(
        "label", None, "Label vector in place of a class: numbers such as 0,1,1."
    )
    flags.DEFINE_integer(
        "step", None, "Number of the checkpoint [default: the newest]."
    )
    flags.DEFINE_integer("columns", 8, "Images per row of the grid.", lower_bound=1)
    flags.DEFINE_integer("batch_size", 16, "Images generated at a time.", lower_bound=1)
    flags.mark_flags_as_required(["workdir", "out"])


if __name__ == "__main__":
    define_flags()
    with reporting_errors(ValueError, CheckpointError, OSError):
        app.run(main)
