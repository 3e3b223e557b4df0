"""Draw the paper's style-mixing figure with a trained or converted generator.

python -m stylegan_jax.mix --network=smileys64 --out=mixing.png
"""

from stylegan_jax.commands.mix import COMMAND
from stylegan_jax.runtime.command import parse_or_exit

if __name__ == "__main__":  # before the imports that take seconds
    arguments = parse_or_exit(COMMAND)

import jax
from absl import app, flags

from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.commands import network as network_flags
from stylegan_jax.config import Run
from stylegan_jax.networks.references import open_network
from stylegan_jax.runtime import compilation_cache, malloc, outputs
from stylegan_jax.runtime.cli import reporting_errors
from stylegan_jax.runtime.image_io import save_png
from stylegan_jax.sampling import seeds
from stylegan_jax.sampling.mixing import mixing_figure

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Write the figure."""
    del argv
    out = outputs.file(FLAGS.out, "--out", (".png",))
    source = seeds.parse_seeds(FLAGS.source_seeds)
    destinations = {
        "coarse": seeds.parse_seeds(FLAGS.coarse_seeds),
        "middle": seeds.parse_seeds(FLAGS.middle_seeds),
        "fine": seeds.parse_seeds(FLAGS.fine_seeds),
    }
    malloc.keep_freed_memory_on_cpu()
    compilation_cache.use_unless_set(Run().compilation_cache)
    network = open_network(network_flags.reference(FLAGS), FLAGS.step)

    label = seeds.labels(FLAGS["class"].value, FLAGS.label, network.classes, 1)

    def styles(chosen: list[int]) -> jax.Array:
        """Return the truncated styles of seeds."""
        return network.map(
            network.z(chosen),
            None if label is None else label[0],
            truncation_psi=FLAGS.truncation_psi,
        )

    figure = mixing_figure(
        network.generator,
        network.variables,
        styles(source),
        {name: styles(chosen) for name, chosen in destinations.items()},
        lod=network.lod,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    save_png(out, figure, grid=True)
    print(f"wrote {out}")


if __name__ == "__main__":
    with reporting_errors(ValueError, CheckpointError, OSError):
        app.run(main, flags_parser=lambda argv: arguments)
