"""Find directions of edits in a network: files to apply, and figures.

python -m stylegan_jax.directions --network=smileys64 --method=sefa --out=sefa/
"""

from stylegan_jax.commands.directions import COMMAND
from stylegan_jax.runtime.command import parse_or_exit

if __name__ == "__main__":  # before the imports that take seconds
    arguments = parse_or_exit(COMMAND)

import re
from collections.abc import Iterator

import numpy as np
from absl import app, flags
from etils import epath

from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.commands.directions import METHODS
from stylegan_jax.inversion import encoder as encoders
from stylegan_jax.inversion import image_groups
from stylegan_jax.networks.network import Network
from stylegan_jax.networks.references import open_for_program
from stylegan_jax.runtime import outputs, storage
from stylegan_jax.runtime.cli import reporting_errors
from stylegan_jax.runtime.image_io import save_png
from stylegan_jax.runtime.messages import command, listed
from stylegan_jax.runtime.progress_bar import ProgressBar
from stylegan_jax.sampling import latents, seeds
from stylegan_jax.sampling.directions import (
    figure,
    file,
    labeled,
    principal,
    stylespace,
    text,
)
from stylegan_jax.sampling.directions.direction import MAX_STRENGTH, Direction
from stylegan_jax.sampling.directions.moments import w_moments
from stylegan_jax.sampling.directions.subject import Subject
from stylegan_jax.sampling.figures.sampler import Sampler, seed_names

FLAGS = flags.FLAGS
OVERVIEW = "directions.png"  # the figure of all directions
TEXT_SAMPLES, TEXT_BATCH = 2048, 32  # images that are compared with a text
MEASURED_SEEDS = range(16)  # images on which the effect of style channels is measured


def main(argv: list[str]) -> None:
    """Write a file and a figure of each direction, and a figure of all."""
    del argv
    check_flags()
    chosen, strengths = seeds.parse_seeds(FLAGS.seeds), parse_strengths(FLAGS.strengths)
    layers = FLAGS.layers and seeds.parse_seeds(FLAGS.layers, "layers")
    out = outputs.new_directory(FLAGS.out, "--out")
    network = open_for_program(FLAGS)
    groups = None
    if "positive" in METHODS[FLAGS.method].flags:
        groups = read_images(network) if FLAGS.images else read_groups(network)
    model = text_model() if FLAGS.method == "text" else None
    with ProgressBar("latents") as progress:
        moments = w_moments(
            network.generator,
            network.variables,
            FLAGS.samples,
            lambda start, count: labels(network, range(start, start + count)),
            show=lambda done: progress("mapped", done, FLAGS.samples),
        )
    subject = Subject(
        network.generator,
        network.variables,
        network.reference,
        moments,
        tuple(range(network.generator.num_ws) if layers is None else sorted({*layers})),
        (strengths[0], strengths[-1]),
    )
    found = find(network, subject, groups, model)
    write(network, found, chosen, strengths, out)
    first = out / f"{found[0].name}{file.ENDING}"
    example = command(
        "generate",
        f"--network={network.exact_reference}",
        f"--direction={first}",
        "--strength=2",
        "--out=edited",
    )
    print(f"wrote {len(found)} directions and their figures to {out}; try: {example}")


def check_flags() -> None:
    """Raise ValueError for a flag that has no effect on --method."""
    for name in {flag for method in METHODS.values() for flag in method.flags}:
        if FLAGS[name].present and name not in METHODS[FLAGS.method].flags:
            users = [method for method, kind in METHODS.items() if name in kind.flags]
            raise ValueError(
                f"--{name} has no effect on --method={FLAGS.method}; leave it out, or "
                f"choose a method that uses it: {listed(users)}"
            )
    if FLAGS.encoder is not None and FLAGS.images is None:
        raise ValueError(
            "--encoder has no effect without --images=FOLDER, whose latents it finds; "
            "give both, or leave it out"
        )
    if FLAGS.name == OVERVIEW.removesuffix(".png"):
        raise ValueError(
            f"`--name` (={FLAGS.name}) is that of the figure of all directions; "
            "choose another"
        )
    if FLAGS.name is not None and not re.fullmatch(r"[\w-]{1,64}", FLAGS.name):
        raise ValueError(
            f"`--name` (={FLAGS.name}) must be up to 64 letters, digits, - and _, "
            "because files are named after it"
        )


def parse_strengths(text: str) -> list[float]:
    """Parse a list of strengths such as "-3,0,3"."""
    try:
        numbers = [float(number) for number in text.split(",")]
    except ValueError:
        numbers = []
    if (
        len(numbers) < 2
        or not all(abs(number) <= MAX_STRENGTH for number in numbers)
        or sorted(set(numbers)) != numbers
    ):
        raise ValueError(
            f"`--strengths` (={text}) must be at least two increasing "
            f"numbers from -{MAX_STRENGTH:g} to {MAX_STRENGTH:g}, separated by "
            "commas, such as -3,-1.5,0,1.5,3"
        )
    return numbers


def labels(network: Network, numbers: range | list[int]) -> np.ndarray | None:
    """Return labels [N,K]: that of --class or --label, or all classes in turn.

    Args:
      network: the network.
      numbers: indices of the latents, which select the classes.
    """
    named = FLAGS["class"].value, FLAGS.label
    if named != (None, None) or not network.classes:
        return seeds.labels(*named, network.classes, len(numbers))
    if network.label_vectors:
        raise ValueError(
            f"{network.reference} needs a label vector; give --label=NUMBERS, one for "
            f"each of {listed(network.classes)}"
        )
    classes = np.asarray(numbers) % len(network.classes)
    return np.eye(len(network.classes), dtype=np.float32)[classes]


def styles(network: Network, z: np.ndarray, numbers: list[int]) -> np.ndarray:
    """Return the truncated ws [N,L,W] of latents z [N,Z], as `generate` draws them.

    Args:
      network: the network.
      z: the latents.
      numbers: see `labels`.
    """
    psi = FLAGS.truncation_psi
    return np.asarray(network.map(z, labels(network, numbers), truncation_psi=psi))


def styles_of_seeds(network: Network, chosen: list[int]) -> np.ndarray:
    """Return the truncated ws [N,L,W] of seeds."""
    return styles(network, network.z(chosen), chosen)


def read_groups(network: Network) -> tuple[np.ndarray, np.ndarray]:
    """Return the negative and positive latents, ws [N,L,W] and [M,L,W].

    Raises:
      ValueError: a side has no latents, or a latent is on both sides.
    """
    lists = [FLAGS.negative, FLAGS.positive]
    ws = found = None
    if FLAGS.latents is not None:
        ws, found = read_latents(network)
    if found is not None:
        if lists != [None, None]:
            raise ValueError(
                f"`--latents` (={FLAGS.latents}) holds labels, which take the place of "
                "--positive and --negative; leave these out"
            )
        groups = [np.flatnonzero(~found), np.flatnonzero(found)]
    elif None in lists:
        raise ValueError(
            f"--method={FLAGS.method} needs --positive=LIST and --negative=LIST, seeds "
            "or rows of --latents, or --latents=FILE.npz with the array labels"
        )
    else:
        groups = [
            seeds.parse_seeds(text, name)
            for text, name in zip(lists, ("negative", "positive"), strict=True)
        ]
    both = sorted(set(groups[0]) & set(groups[1]))
    if both or not all(map(len, groups)):
        raise ValueError(
            f"there are {len(groups[0])} negative and {len(groups[1])} positive "
            "latents; each side needs at least one, and no latent may be on both"
            + (f", as {listed(both)}" if both else "")
        )
    if ws is None:
        return tuple(styles_of_seeds(network, group) for group in groups)
    wrong = [row for group in groups for row in group if row >= len(ws)]
    if wrong:
        raise ValueError(
            f"rows {listed(wrong)} must be from 0 to {len(ws) - 1}, the rows of "
            f"`--latents` (={FLAGS.latents})"
        )
    return tuple(ws[group] for group in groups)


def read_images(network: Network) -> tuple[np.ndarray, np.ndarray]:
    """Return the latents of the negative and the positive images in --images."""
    given = [n for n in ("positive", "negative", "latents") if FLAGS[n].present]
    if given:
        raise ValueError(
            f"--images takes the place of seeds and latents; leave {listed(given)} out"
        )
    folder = storage.local_path(FLAGS.images, "--images")
    encoder = encoders.of_flag(FLAGS.encoder)
    label = None
    if network.classes and encoder is None:
        label = seeds.labels(FLAGS["class"].value, FLAGS.label, network.classes, 1)[0]
    with ProgressBar("steps") as progress:
        return image_groups.latents(
            network, folder, encoder, label=label, progress=progress
        )


def text_model() -> text.TextModel:
    """Load the model of --clip_model and --clip_weights.

    Raises:
      ValueError: a flag or the package is missing.
    """
    needed = ("positive_text", "negative_text", "clip_weights")
    missing = [name for name in needed if FLAGS[name].value is None]
    if missing:
        raise ValueError(f"--method=text needs --{' and --'.join(missing)}")
    weights = outputs.input_file(FLAGS.clip_weights, "--clip_weights")
    return text.OpenClip(FLAGS.clip_model, weights)


def text_samples(network: Network) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield w [B,W] of the first seeds, and their images [B,H,W,C]."""
    with ProgressBar("images") as progress:
        for start in range(0, TEXT_SAMPLES, TEXT_BATCH):
            numbers = list(range(start, start + TEXT_BATCH))
            ws = network.map(network.z(numbers), labels(network, numbers))
            yield np.asarray(ws)[:, 0], network.synthesize(ws)
            progress("images", start + TEXT_BATCH, TEXT_SAMPLES)


def read_latents(network: Network) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the ws [N,L,W] of --latents, and their labels [N] bool or None."""
    all_ws, all_labels = [], []
    for name in FLAGS.latents.split(","):
        path = outputs.input_file(name, "--latents")
        kind, values = latents.read(path, network.generator, "--latents")
        all_labels.append(latents.read_groups(path, len(values), "--latents"))
        if kind == "z":
            values = styles(network, values, list(range(len(values))))
        all_ws.append(values)
    missing = sum(one is None for one in all_labels)
    if 0 < missing < len(all_labels):
        raise ValueError(
            f"`--latents` (={FLAGS.latents}): {missing} of {len(all_labels)} files "
            "have no labels; give labels in all of them, or in none"
        )
    return np.concatenate(all_ws), None if missing else np.concatenate(all_labels)


def find(
    network: Network,
    subject: Subject,
    groups: tuple[np.ndarray, np.ndarray] | None,
    model: text.TextModel | None,
) -> list[Direction]:
    """Find directions by --method."""
    name = FLAGS.name or FLAGS.method
    match FLAGS.method:
        case "sefa":
            return principal.sefa(subject, FLAGS.count)
        case "ganspace":
            return principal.ganspace(subject, FLAGS.count)
        case "stylespace":
            channels = FLAGS.channels and stylespace.parse_channels(FLAGS.channels)
            if channels and FLAGS["count"].present:
                raise ValueError("--channels names all directions; leave --count out")
            ws = styles_of_seeds(network, list(MEASURED_SEEDS))
            return stylespace.stylespace(subject, FLAGS.count, ws, channels)
        case "boundary":
            return [labeled.boundary(subject, name, *groups)]
        case "difference":
            return [labeled.difference(subject, name, *groups)]
        case "text":
            texts = FLAGS.positive_text, FLAGS.negative_text
            samples = text_samples(network)
            return [text.text(subject, name, model, *texts, samples)]


def write(
    network: Network,
    found: list[Direction],
    chosen: list[int],
    strengths: list[float],
    out: epath.Path,
) -> None:
    """Write the files and figures of directions, and print their facts."""
    sampler = Sampler(network.generator, network.variables, network.lod)
    ws, names = styles_of_seeds(network, chosen), seed_names(chosen)
    firsts, titles = [], []
    for direction in found:
        images = figure.edited(sampler, direction, ws, strengths)
        firsts.append(images[0].copy())
        titles.append(direction.name.replace("_", "\n", 1))
        drawn = figure.rows_of_strengths(images, names, strengths)
        out.mkdir(parents=True, exist_ok=True)
        save_png(out / f"{direction.name}.png", drawn, grid=True)
        file.save(direction, out / f"{direction.name}{file.ENDING}")
        facts = ", ".join(f"{k} {v:.4g}" for k, v in direction.facts.items())
        print(f"{direction.name}: {facts}; one unit is {direction.sigma:.4g}")
    # The first image with all directions, whose rows are drawn above.
    overview = figure.rows_of_strengths(firsts, titles, strengths)
    save_png(out / OVERVIEW, overview, grid=True)


if __name__ == "__main__":
    with reporting_errors(ValueError, CheckpointError, OSError):
        app.run(main, flags_parser=lambda argv: arguments)
