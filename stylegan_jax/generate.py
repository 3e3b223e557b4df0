"""Generate images with a network.

python -m stylegan_jax.generate --network=smileys64 --out=out/
"""

from stylegan_jax.commands.generate import COMMAND
from stylegan_jax.runtime.command import parse_or_exit

if __name__ == "__main__":  # before the imports that take seconds
    arguments = parse_or_exit(COMMAND)

import dataclasses
import io
from collections.abc import Iterable

import numpy as np
from absl import app, flags
from etils import epath

from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.networks import edits
from stylegan_jax.networks.network import Network
from stylegan_jax.networks.references import open_for_program
from stylegan_jax.runtime import outputs, storage
from stylegan_jax.runtime.cli import reporting_errors
from stylegan_jax.runtime.image_io import image_grid, save_png, save_webp
from stylegan_jax.runtime.messages import listed, sides
from stylegan_jax.runtime.progress_bar import ProgressBar
from stylegan_jax.sampling import latents, seeds, transform

FLAGS = flags.FLAGS
GRID_PIXELS = 2**26  # most pixels of a grid: 64 images of 1024x1024
SAVE = {"png": save_png, "webp": save_webp}


def main(argv: list[str]) -> None:
    """Write a file for every seed or latent, and a grid of the first ones."""
    del argv
    if FLAGS.latents is not None and FLAGS["seeds"].present:
        raise ValueError("--latents takes the place of --seeds; leave one of them out")
    chosen = seeds.parse_seeds(FLAGS.seeds)
    layers = FLAGS.noise_layers and seeds.parse_seeds(FLAGS.noise_layers, "layers")
    request = edits.requested(FLAGS)
    out = outputs.new_directory(FLAGS.out, "--out")
    network = moved(open_for_program(FLAGS))
    opened = request.open(network)
    in_styles = [e.direction.name for e in opened if e.direction.space == "style"]
    if in_styles and FLAGS.format == "npz":
        raise ValueError(
            f"--format=npz saves ws, which cannot express {listed(in_styles)}, a "
            "direction of style channels; use --format=png or webp"
        )
    names, ws = styles(network, chosen)
    ws = edits.apply(network, ws, opened)
    network = edits.shifted(network, opened)
    batches = network.batches(
        ws,
        noise=FLAGS.noise,
        noise_seed=FLAGS.noise_seed,
        noise_layers=layers,
        resolution=FLAGS.resolution,
        batch_size=FLAGS.batch_size,
    )
    with ProgressBar() as progress:
        batches = progress.over(batches, len(names), "generated")
        if FLAGS.format == "npz":
            write_arrays(out, ws, batches)
            print(f"wrote {len(names)} images to {out / 'images.npz'}")
            return
        shown = write(out, names, batches, FLAGS.columns, FLAGS.format)
    count, height, width, _ = shown.shape
    print(
        f"wrote {len(names)} images of {sides((height, width))} (width x height) and "
        f"grid.png of {count} to {out}"
    )


def moved(network: Network) -> Network:
    """Return the network with the transform of --translate, --rotate and --anchor."""
    if FLAGS.anchor:
        variables = transform.anchored(network.generator, network.variables)
        network = dataclasses.replace(network, variables=variables)
    if FLAGS.translate is None and FLAGS.rotate is None:
        return network
    translate = transform.parse_translation(FLAGS.translate or "0,0")
    matrix = transform.inverse_matrix(translate, FLAGS.rotate or 0.0)
    variables = transform.moved(network.generator, network.variables, matrix)
    return dataclasses.replace(network, variables=variables)


def styles(network: Network, chosen: list[int]) -> tuple[list[str], np.ndarray]:
    """Return a name for each image, and the ws [N,L,W] of --latents or of seeds."""
    truncation = {
        "truncation_psi": FLAGS.truncation_psi,
        "truncation_cutoff": FLAGS.truncation_cutoff,
    }
    if FLAGS.latents is None:
        names = [f"seed{seed:04d}" for seed in chosen]
        kind, values = "z", network.z(chosen)
    else:
        path = outputs.input_file(FLAGS.latents, "--latents")
        kind, values = latents.read(path, network.generator, "--latents")
        latents.note_noise_maps(path)
        names = [f"latent{i:04d}" for i in range(len(values))]
        if kind == "ws" and not FLAGS["truncation_psi"].present:
            truncation["truncation_psi"] = 1.0
    named = FLAGS["class"].value, FLAGS.label
    count = FLAGS.truncation_centers
    if kind == "ws" and count is None:
        seeds.check_no_label(*named)
    label = None
    if kind == "z" or count:
        rows = seeds.labels(*named, network.classes, 1)
        label = None if rows is None else rows[0]
    centers = None if count is None else network.centers(count, label)
    if kind == "z":
        ws = network.map(values, label, centers=centers, **truncation)
    else:
        ws = network.truncate(values, centers=centers, **truncation)
    return names, np.asarray(ws)


def write(
    out: epath.Path,
    names: list[str],
    batches: Iterable[np.ndarray],
    columns: int,
    ending: str = "png",
) -> np.ndarray:
    """Write images as they are generated, and `grid.png` of the first ones.

    Args:
      out: output directory, created if needed.
      names: names of the files, without their ending.
      batches: the images, batches [B,H,W,C] uint8.
      columns: images per row of the grid.
      ending: "png" or "webp".

    Returns:
      The images of the grid [N,H,W,C] uint8.
    """
    out.mkdir(parents=True, exist_ok=True)
    left, shown = iter(names), []
    for batch in batches:
        most = max(GRID_PIXELS // (batch.shape[1] * batch.shape[2]), 1)
        # Copies, because a view would keep the whole batch in memory.
        shown.extend(image.copy() for image in batch[: most - len(shown)])
        for image in batch:
            SAVE[ending](out / f"{next(left)}.{ending}", image)
    grid = np.stack(shown)
    save_png(out / "grid.png", image_grid(grid, columns), grid=True)
    return grid


def write_arrays(
    out: epath.Path, ws: np.ndarray, batches: Iterable[np.ndarray]
) -> None:
    """Write the images [N,H,W,C] uint8 and their ws [N,L,W] to `images.npz`."""
    buffer = io.BytesIO()
    np.savez(buffer, images=np.concatenate(list(batches)), ws=ws)
    out.mkdir(parents=True, exist_ok=True)
    storage.write_atomically(out / "images.npz", buffer.getvalue())


if __name__ == "__main__":
    with reporting_errors(ValueError, CheckpointError, OSError):
        app.run(main, flags_parser=lambda argv: arguments)
