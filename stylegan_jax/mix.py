"""Draw the paper's style-mixing figure with a trained or converted generator.

python -m stylegan_jax.mix --workdir=runs/emoji --out=mixing.png
"""

import jax
from absl import app, flags

from stylegan_jax import workdir
from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.runtime import malloc, storage
from stylegan_jax.runtime.cli import reporting_errors
from stylegan_jax.runtime.image_io import save_png
from stylegan_jax.sampling import seeds
from stylegan_jax.sampling.mixing import mixing_figure
from stylegan_jax.sampling.truncation import truncated_styles

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Write the figure."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments {argv[1:]}")
    malloc.keep_freed_memory_on_cpu()
    trained = workdir.load_generator(storage.open_path(FLAGS.workdir), FLAGS.step)

    def styles(text: str) -> jax.Array:
        """Return the truncated styles of seeds."""
        chosen = seeds.parse_seeds(text)
        return truncated_styles(
            trained.generator,
            trained.variables,
            seeds.latents(chosen, trained.generator.z_dim),
            seeds.labels(
                FLAGS["class"].value, FLAGS.label, trained.classes, len(chosen)
            ),
            truncation_psi=FLAGS.truncation_psi,
        )

    figure = mixing_figure(
        trained.generator,
        trained.variables,
        styles(FLAGS.source_seeds),
        {
            "coarse": styles(FLAGS.coarse_seeds),
            "middle": styles(FLAGS.middle_seeds),
            "fine": styles(FLAGS.fine_seeds),
        },
        lod=trained.lod,
    )
    out = storage.open_path(FLAGS.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_png(out, figure, grid=True)
    print(f"wrote {out}")


def define_flags() -> None:
    """Define the command-line flags."""
    flags.DEFINE_string(
        "workdir", None, "Directory of a training run or a converted network."
    )
    flags.DEFINE_string("out", None, "Path of the PNG file to write.")
    flags.DEFINE_string(
        "source_seeds", "0-5", "Seeds of the images on top, whose styles are copied."
    )
    flags.DEFINE_string(
        "coarse_seeds", "10-12", "Seeds of the rows that receive coarse styles."
    )
    flags.DEFINE_string(
        "middle_seeds", "13-14", "Seeds of the rows that receive middle styles."
    )
    flags.DEFINE_string(
        "fine_seeds", "15", "Seeds of the rows that receive fine styles."
    )
    flags.DEFINE_float(
        "truncation_psi", 0.7, "Truncation: 1 keeps all variety, 0 keeps none."
    )
    flags.DEFINE_string("class", None, "Class name or index, for conditional networks.")
    flags.DEFINE_string(
        "label", None, "Label vector in place of a class: numbers such as 0,1,1."
    )
    flags.DEFINE_integer(
        "step", None, "Number of the checkpoint [default: the newest]."
    )
    flags.mark_flags_as_required(["workdir", "out"])


if __name__ == "__main__":
    define_flags()
    with reporting_errors(ValueError, CheckpointError, OSError):
        app.run(main)
