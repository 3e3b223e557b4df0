"""Writes images of a trained or converted generator.

python -m stylegan_jax.generate --workdir=runs/emoji --seeds=0-63 --out=out/
"""

from absl import app, flags

from stylegan_jax import host_memory, paths, workdir
from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.front_door import reporting_errors
from stylegan_jax.reporting import image_grid, save_png, to_uint8
from stylegan_jax.sampling import images, seeds

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Writes `seed<seed>.png` for every seed, and `grid.png` of all."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments {argv[1:]}")
    chosen = seeds.parse_seeds(FLAGS.seeds)
    host_memory.keep_freed_on_cpu()
    trained = workdir.load_generator(paths.open_path(FLAGS.workdir), FLAGS.step)
    ws = images.styles(
        trained.generator,
        trained.variables,
        images.latents(chosen, trained.generator.z_dim),
        seeds.labels(FLAGS["class"].value, FLAGS.label, trained.classes, len(chosen)),
        truncation_psi=FLAGS.truncation_psi,
        truncation_cutoff=FLAGS.truncation_cutoff,
    )
    generated = to_uint8(
        images.synthesize(
            trained.generator,
            trained.variables,
            ws,
            resolution=trained.resolution,
            fade=trained.fade,
            noise=FLAGS.noise,
            batch_size=FLAGS.batch_size,
        )
    )
    out = paths.open_path(FLAGS.out)
    out.mkdir(parents=True, exist_ok=True)
    for seed, image in zip(chosen, generated, strict=True):
        save_png(out / f"seed{seed:04d}.png", image)
    save_png(out / "grid.png", image_grid(generated, FLAGS.columns))
    height, width = generated.shape[1:3]
    print(f"wrote {len(chosen)} images of {height}x{width} and grid.png to {out}")


def define_flags() -> None:
    """Declares the command line."""
    flags.DEFINE_string("workdir", None, "Directory of a run or of a conversion.")
    flags.DEFINE_string("seeds", "0-63", "Seeds of the latents: numbers and ranges.")
    flags.DEFINE_string("out", None, "Directory for the images; created.")
    flags.DEFINE_float("truncation_psi", 0.7, "1 is all variety, 0 the average image.")
    flags.DEFINE_integer(
        "truncation_cutoff", None, "Layers from here on stay; all pulled."
    )
    flags.DEFINE_enum("noise", "const", ["const", "random", "none"], "Per-pixel noise.")
    flags.DEFINE_string("class", None, "Class name or index, for conditional networks.")
    flags.DEFINE_string("label", None, "Or a label vector: its numbers, as 0,1,1.")
    flags.DEFINE_integer("step", None, "Number of the checkpoint; default: the newest.")
    flags.DEFINE_integer("columns", 8, "Images in a row of the grid.", lower_bound=1)
    flags.DEFINE_integer("batch_size", 16, "Images generated at once.", lower_bound=1)
    flags.mark_flags_as_required(["workdir", "out"])


if __name__ == "__main__":
    define_flags()
    with reporting_errors(ValueError, CheckpointError, OSError):
        app.run(main)
