"""Fine-tune a generator around projected images.

python -m stylegan_jax.tune --network=smileys64 --projections=projected --out=tuned
"""

from stylegan_jax.commands.tune import COMMAND
from stylegan_jax.runtime.command import parse_or_exit

if __name__ == "__main__":  # before the imports that take seconds
    arguments = parse_or_exit(COMMAND)

import dataclasses
from pathlib import Path

import numpy as np
from absl import app, flags

from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.inversion import distances, results
from stylegan_jax.inversion.tuning import Tuned, Tuner, TuningSettings
from stylegan_jax.networks import delta, file
from stylegan_jax.networks.digest import digest
from stylegan_jax.networks.network import Network
from stylegan_jax.networks.references import open_for_program
from stylegan_jax.runtime import outputs, storage
from stylegan_jax.runtime.cli import reporting_errors
from stylegan_jax.runtime.image_io import save_png
from stylegan_jax.runtime.progress_bar import ProgressBar
from stylegan_jax.sampling import seeds

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Tune the network."""
    del argv
    out = storage.local_path(FLAGS.out, "--out")
    outputs.new_directory(FLAGS.out, "--out")
    settings = TuningSettings(
        **{
            field.name: FLAGS[field.name].value
            for field in dataclasses.fields(TuningSettings)
        }
    )
    stored = list(results.read(storage.local_path(FLAGS.projections, "--projections")))
    network = open_for_program(FLAGS)
    check_network(network, stored)
    note_noise_maps(stored)
    named, vector = FLAGS["class"].value, FLAGS.label
    label = None
    if settings.locality or (named, vector) != (None, None):
        label = seeds.labels(named, vector, network.classes, 1)
    tuner = Tuner(
        network,
        settings,
        distances.load(FLAGS.distance, FLAGS.vgg16, FLAGS.efficientnet),
        label=None if label is None else label[0],
        resolution=FLAGS.resolution,
        batch_size=FLAGS.batch_size,
    )
    targets = np.stack([each.target for each in stored])
    ws = np.stack([each.ws for each in stored])
    with ProgressBar("steps") as progress:
        progress("steps, compiling", 0, settings.steps)
        found = tuner.tune(targets, ws, progress, views_of(stored))
    write(out, network, tuner, stored, found)


def views_of(stored: list[results.Stored]) -> np.ndarray | None:
    """Return the fitted views [N,3] of projections; None if there are none."""
    if all(each.view is None for each in stored):
        return None
    none = np.zeros(3, np.float32)
    return np.stack([none if each.view is None else each.view for each in stored])


def check_network(network: Network, stored: list[results.Stored]) -> None:
    """Raise ValueError unless the images were projected with the network."""
    here = digest(network.variables)
    others = {
        each.name: each.about.get("network")
        for each in stored
        if each.about.get("network_digest") != here
    }
    if others:
        name, other = next(iter(others.items()))
        raise ValueError(
            f"{len(others)} of {len(stored)} images, such as {name}, were projected "
            f"with another network ({other}) than {network.exact_reference}; use that "
            "network, or project the images again"
        )


def note_noise_maps(stored: list[results.Stored]) -> None:
    """Print a note if images were projected with noise maps of their own."""
    count = sum(bool(each.about.get("noise_maps")) for each in stored)
    if count:
        print(
            f"NOTE: {count} of {len(stored)} images were projected with noise maps of "
            "their own. Tuning uses the network's maps, so it starts from images that "
            "differ from the projections; project with --noise=const to avoid this."
        )


def write(
    out: Path,
    network: Network,
    tuner: Tuner,
    stored: list[results.Stored],
    found: Tuned,
) -> None:
    """Write the networks, the images, the distances and the grid; print a summary."""
    folder = out / "images"
    folder.mkdir(parents=True, exist_ok=True)
    whole = out / "tuned.safetensors"
    if network.experiment is not None:
        file.save(found.network, whole)
    else:
        print(
            f"{network.reference} has options that the format of {whole.name} cannot "
            "express, so only delta.safetensors is written"
        )
    try:
        delta.save(network, found.network, out / "delta.safetensors")
    except ValueError as error:
        if not whole.exists():
            raise
        print(f"without delta.safetensors: {error}")
    images = {}
    for i, each in enumerate(stored):
        save_png(folder / f"{each.name}.png", found.images[i])
        images[each.name] = {
            "distance": found.distances[i],
            "rms": found.rms[i],
            "distance_before": found.distances_before[i],
            "rms_before": found.rms_before[i],
            **results.described_view(each.view),
        }
    about = {
        "network": network.exact_reference,
        "network_digest": digest(network.variables),
        "distance_name": tuner.distance.name,
        "stop_distance": tuner.stop_distance,
        "settings": dataclasses.asdict(tuner.settings),
        "steps": found.steps,
        "chosen_step": found.chosen_step,
        "images": images,
    }
    storage.write_json(out / "tuned.json", about)
    ws = np.stack([each.ws for each in stored])
    results.write_latents(out / results.LATENTS, ws, {})
    columns = (
        (each.target, each.projection, image)
        for each, image in zip(stored, found.images, strict=True)
    )
    results.write_grid(out / "grid.png", columns)
    kept = ""
    if found.chosen_step < found.steps:
        kept = f", of which the network after step {found.chosen_step} is kept"
    print(
        f"tuned around {len(stored)} images in {found.steps} steps{kept}: mean "
        f"{tuner.distance.name} {np.mean(found.distances_before):.4f} -> "
        f"{np.mean(found.distances):.4f}, mean rms {np.mean(found.rms_before):.4f} -> "
        f"{np.mean(found.rms):.4f}; wrote the network and grid.png to {out}"
    )


if __name__ == "__main__":
    with reporting_errors(ValueError, CheckpointError, OSError):
        app.run(main, flags_parser=lambda argv: arguments)
