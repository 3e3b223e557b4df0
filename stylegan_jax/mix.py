"""Draw a style-mixing figure with a network: the paper's, or one of chosen layers.

python -m stylegan_jax.mix --network=smileys64 --out=mixing.png
"""

from stylegan_jax.commands.mix import COMMAND
from stylegan_jax.runtime.command import parse_or_exit

if __name__ == "__main__":  # before the imports that take seconds
    arguments = parse_or_exit(COMMAND)

import itertools

import numpy as np
from absl import app, flags

from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.networks.references import open_for_program
from stylegan_jax.runtime import outputs
from stylegan_jax.runtime.cli import reporting_errors
from stylegan_jax.runtime.image_io import save_png
from stylegan_jax.runtime.messages import listed
from stylegan_jax.sampling import seeds
from stylegan_jax.sampling.mixing import mixing_figure

FLAGS = flags.FLAGS
CHOSEN = ("layers", "row_seeds", "column_seeds")  # flags of the two figures
PAPERS = ("source_seeds", "coarse_seeds", "middle_seeds", "fine_seeds")


def main(argv: list[str]) -> None:
    """Write the figure."""
    del argv
    out = outputs.file(FLAGS.out, "--out", (".png",))
    source, destinations, layers = chosen_layers() or papers_figure()
    network = open_for_program(FLAGS)
    label = seeds.labels(FLAGS["class"].value, FLAGS.label, network.classes, 1)

    # Mapped together, so that all seeds share one program.
    ws = network.map(
        network.z([*source, *itertools.chain(*destinations.values())]),
        None if label is None else label[0],
        truncation_psi=FLAGS.truncation_psi,
    )
    ends = itertools.accumulate(map(len, destinations.values()), initial=len(source))
    source_ws, *others = np.split(np.asarray(ws), [*ends][:-1])
    figure = mixing_figure(
        network.generator,
        network.variables,
        source_ws,
        dict(zip(destinations, others, strict=True)),
        lod=network.lod,
        layers=layers,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    save_png(out, figure, grid=True)
    print(f"wrote {out}")


def papers_figure() -> tuple[list[int], dict[str, list[int]], None]:
    """Return the seeds on top, and the seeds of the rows by what they receive."""
    rows = {name: FLAGS[f"{name}_seeds"].value for name in ("coarse", "middle", "fine")}
    rows = {name: seeds.parse_seeds(text) for name, text in rows.items()}
    return seeds.parse_seeds(FLAGS.source_seeds), rows, None


def chosen_layers() -> tuple[list[int], dict, dict] | None:
    """Return the seeds on top, and the seeds and layers of the rows by their name.

    None if no flag of this figure is given.

    Raises:
      ValueError: flags of both figures are given, or --layers is missing.
    """
    given = [name for name in CHOSEN if FLAGS[name].present]
    others = [name for name in PAPERS if FLAGS[name].present]
    if not given:
        return None
    if others or "layers" not in given:
        raise ValueError(
            f"--{given[0]} belongs to the figure of chosen layers, which needs "
            f"--layers=LIST and takes {listed(f'--{name}' for name in CHOSEN[1:])}"
            + (f"; leave out {listed(f'--{o}' for o in others)}" if others else "")
        )
    name = f"layers\n{FLAGS.layers}"
    rows = {name: seeds.parse_seeds(FLAGS.row_seeds)}
    layers = {name: seeds.parse_seeds(FLAGS.layers, "layers")}
    return seeds.parse_seeds(FLAGS.column_seeds), rows, layers


if __name__ == "__main__":
    with reporting_errors(ValueError, CheckpointError, OSError):
        app.run(main, flags_parser=lambda argv: arguments)
