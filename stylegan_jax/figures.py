"""Draw figures as in the StyleGAN papers with a network.

python -m stylegan_jax.figures --figure=truncation --network=smileys64 \
    --out=truncation.png
"""

from stylegan_jax.commands.figures import COMMAND
from stylegan_jax.runtime.command import parse_or_exit

if __name__ == "__main__":  # before the imports that take seconds
    arguments = parse_or_exit(COMMAND)

from absl import app, flags

from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.commands.figures import FIGURES
from stylegan_jax.networks.network import Network
from stylegan_jax.networks.references import open_for_program, open_network
from stylegan_jax.networks.training_data import open_real_images
from stylegan_jax.runtime import outputs
from stylegan_jax.runtime.cli import reporting_errors
from stylegan_jax.runtime.image_io import save_png
from stylegan_jax.runtime.messages import listed
from stylegan_jax.runtime.progress_bar import ProgressBar
from stylegan_jax.sampling import seeds as seeding
from stylegan_jax.sampling.figures import (
    contributions,
    growth,
    latents,
    nearest,
    noise,
    norms,
    sticking,
)
from stylegan_jax.sampling.figures.sampler import Figure, Sampler

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Write the figure, and print its numbers."""
    del argv
    out = outputs.file(FLAGS.out, "--out", (".png",))
    check_flags()
    text = FIGURES[FLAGS.figure].seeds if FLAGS.seeds is None else FLAGS.seeds
    chosen, psis = seeding.parse_seeds(text), parse_psis(FLAGS.psis)
    network = open_for_program(FLAGS)
    sampler = sampler_of(network)
    samplers = {network.name: sampler}
    if FLAGS.beside is not None:
        other = open_network(FLAGS.beside)
        if other.reference == network.reference:
            raise ValueError(
                f"--beside (={FLAGS.beside}) must be another network than --network"
            )
        samplers = {
            one.name if network.name != other.name else one.reference: sampler
            for one, sampler in (
                (network, sampler),
                # --class may be that of the first network only.
                (other, sampler_of(other, with_label=bool(other.classes))),
            )
        }
    draw = {
        "truncation": lambda: latents.truncation(sampler, chosen, psis),
        "stochastic": lambda: noise.stochastic(sampler, chosen, FLAGS.realizations),
        "noise": lambda: noise.noise(sampler, chosen),
        "uncurated": lambda: latents.uncurated(sampler, chosen),
        "nearest": lambda: nearest_images(network, sampler, chosen),
        "growth": lambda: growth.growth(sampler, chosen),
        "norms": lambda: norms.norms(sampler, chosen),
        "contributions": lambda: contributions.contributions(sampler, chosen),
        "interpolations": lambda: latents.interpolations(sampler, chosen),
        "sticking": lambda: sticking.sticking(samplers, chosen),
        "average": lambda: sticking.average(samplers, chosen, FLAGS.realizations),
    }
    figure = draw[FLAGS.figure]()
    out.parent.mkdir(parents=True, exist_ok=True)
    save_png(out, figure.pixels, grid=True)
    print("\n".join([*figure.lines, f"wrote {out}"]))


def sampler_of(network: Network, *, with_label: bool = True) -> Sampler:
    """Return a network with the label and the truncation of the flags."""
    label = None
    if with_label:
        label = seeding.labels(FLAGS["class"].value, FLAGS.label, network.classes, 1)
    return Sampler(
        network.generator,
        network.variables,
        network.lod,
        None if label is None else label[0],
        FLAGS.truncation_psi,
    )


def check_flags() -> None:
    """Raise ValueError if a flag is given that belongs to other figures only."""
    for name in {flag for kind in FIGURES.values() for flag in kind.flags}:
        if FLAGS[name].present and name not in FIGURES[FLAGS.figure].flags:
            users = [figure for figure, kind in FIGURES.items() if name in kind.flags]
            raise ValueError(
                f"--{name} has no effect on the figure {FLAGS.figure}; leave it out, "
                f"or choose a figure that uses it: {listed(users)}"
            )


def parse_psis(text: str) -> list[float]:
    """Return the truncations of a list such as "1,0.7,-1"."""
    try:
        return [float(number) for number in text.split(",")]
    except ValueError as error:
        raise ValueError(
            f"psis (={text!r}) must be numbers separated by commas, such as 1,0.7,0"
        ) from error


def nearest_images(network: Network, sampler: Sampler, chosen: list[int]) -> Figure:
    """Draw generated images beside those of --data, or of the training data."""
    source = open_real_images(network, FLAGS.data, FLAGS.fit)
    if source is None:
        raise ValueError(
            f"the training data of {network.reference} are not known; name images "
            "with --data=PATH"
        )
    mirror = network.experiment is not None and network.experiment.data.mirror
    with ProgressBar() as progress:
        return nearest.nearest(
            sampler,
            chosen,
            source,
            neighbors=FLAGS.neighbors,
            mirror=mirror,
            show=progress,
        )


if __name__ == "__main__":
    with reporting_errors(ValueError, CheckpointError, OSError):
        app.run(main, flags_parser=lambda argv: arguments)
