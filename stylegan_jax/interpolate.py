"""Write a video in which images of a network turn into one another.

python -m stylegan_jax.interpolate --network=smileys64 --seeds=0-7 --out=walk.mp4
"""

from stylegan_jax.commands.interpolate import COMMAND
from stylegan_jax.runtime.command import parse_or_exit

if __name__ == "__main__":  # before the imports that take seconds
    arguments = parse_or_exit(COMMAND)

import dataclasses

from absl import app, flags

from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.config import image_size
from stylegan_jax.models import Variables
from stylegan_jax.networks import edits, walk
from stylegan_jax.networks.network import Network
from stylegan_jax.networks.references import open_for_program
from stylegan_jax.runtime import outputs, storage
from stylegan_jax.runtime.cli import reporting_errors
from stylegan_jax.runtime.messages import sides
from stylegan_jax.runtime.progress_bar import ProgressBar
from stylegan_jax.sampling import (
    frames,
    interpolation,
    latents,
    noise,
    seeds,
    transform,
    video,
)
from stylegan_jax.sampling.synthesis import automatic_batch_size

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Write the video."""
    del argv
    if FLAGS.latents is not None and FLAGS["seeds"].present:
        raise ValueError("--latents takes the place of --seeds; leave one of them out")
    chosen = seeds.parse_seeds(FLAGS.seeds)
    layers = FLAGS.noise_layers and seeds.parse_seeds(FLAGS.noise_layers, "layers")
    request = edits.requested(FLAGS, ranges=True)
    grid = frames.parse_grid(FLAGS.grid)
    if storage.scheme_of(FLAGS.out) is not None:
        raise ValueError(
            f"`--out` (={FLAGS.out}) must be on a disk, because encoders go back in "
            "the file; copy it to the bucket afterwards"
        )
    out = outputs.file(FLAGS.out, "--out", tuple(video.FORMATS))
    video.check_installed(out)
    network = open_for_program(FLAGS)
    if FLAGS.anchor:
        anchored = transform.anchored(network.generator, network.variables)
        network = dataclasses.replace(network, variables=anchored)
    opened = request.open(network)
    generator, lod = network.generator, network.level(FLAGS.resolution)
    translate = transform.parse_translation(FLAGS.translate or "0,0")
    degrees = FLAGS.rotate or 0.0
    moves = FLAGS.translate is not None or FLAGS.rotate is not None
    if moves:
        transform.check(generator)
    size = image_size(generator.base_size, lod.resolution)
    size = size[0] * grid[1] * FLAGS.scale, size[1] * grid[0] * FLAGS.scale
    video.check_format(out, size, FLAGS.fps, FLAGS.quality)
    closed = FLAGS.loop == "closed"
    styles, count = keyframes(network, chosen, still=moves or request.moves)
    share = edits.share_along(count, closed=closed)

    def variables(position: float) -> Variables:
        at = share(position)
        shifted = edits.shifted(network, opened, at).variables
        if moves:
            x, y = translate
            matrix = transform.inverse_matrix((at * x, at * y), at * degrees)
            shifted = transform.moved(generator, shifted, matrix)
        return noise.only_at(generator, shifted, layers)

    positions = interpolation.positions(
        count, FLAGS.frames, closed=closed, easing=FLAGS.easing
    )
    batches = frames.render(
        generator,
        variables(0.0),
        edits.along(network, styles, opened, share),
        positions,
        grid=grid,
        period=count,
        lod=lod,
        noise=FLAGS.noise,
        noise_seed=FLAGS.noise_seed,
        batch_size=FLAGS.batch_size or automatic_batch_size(generator, lod.resolution),
        scale=FLAGS.scale,
        variables_at=variables if moves or edits.styles_move(opened) else None,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    with (
        ProgressBar("frames") as progress,
        video.create(
            out, size, generator.image_channels, fps=FLAGS.fps, quality=FLAGS.quality
        ) as writer,
    ):
        for batch in progress.over(batches, len(positions), "written"):
            for frame in batch:
                writer.add(frame)
    print(
        f"wrote {len(positions)} frames of {sides(size)} (width x height), "
        f"{len(positions) / FLAGS.fps:.1f} s at {FLAGS.fps} frames/s, to {out}"
    )


def keyframes(network: Network, chosen: list[int], *, still: bool) -> walk.Walk:
    """Return the walk that the flags describe.

    Args:
      network: the network.
      chosen: the seeds.
      still: allow one keyframe for each cell, which then stays.
    """
    kind, psi = "z", FLAGS.truncation_psi
    if FLAGS.latents is None:
        values = network.z(chosen)
    else:
        file = outputs.input_file(FLAGS.latents, "--latents")
        kind, values = latents.read(file, network.generator, "--latents")
        latents.note_noise_maps(file)
        if kind == "ws" and not FLAGS["truncation_psi"].present:
            psi = 1.0
    columns, rows = frames.parse_grid(FLAGS.grid)
    if still and len(values) == columns * rows:
        values = values.repeat(2, axis=0)
    return walk.walk(
        network,
        kind,
        values,
        cells=columns * rows,
        curve=FLAGS.curve,
        closed=FLAGS.loop == "closed",
        class_names=FLAGS["class"].value,
        label=FLAGS.label,
        centers=FLAGS.truncation_centers,
        truncation_psi=psi,
        truncation_cutoff=FLAGS.truncation_cutoff,
    )


if __name__ == "__main__":
    with reporting_errors(ValueError, CheckpointError, OSError):
        app.run(main, flags_parser=lambda argv: arguments)
