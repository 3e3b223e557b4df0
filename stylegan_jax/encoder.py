"""Train an encoder from images to the latents of a network.

python -m stylegan_jax.encoder --network=smileys64 --out=encoder.safetensors
"""

from stylegan_jax.commands.encoder import COMMAND
from stylegan_jax.runtime.command import parse_or_exit

if __name__ == "__main__":  # before the imports that take seconds
    arguments = parse_or_exit(COMMAND)

import dataclasses
import time

from absl import app, flags

from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.inversion import distances
from stylegan_jax.inversion import encoder as encoders
from stylegan_jax.inversion.encoder_training import EncoderSettings, train
from stylegan_jax.networks.references import open_for_program
from stylegan_jax.runtime import outputs
from stylegan_jax.runtime.cli import reporting_errors
from stylegan_jax.runtime.messages import command, sides
from stylegan_jax.runtime.progress_bar import ProgressBar

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Train an encoder for `--network`, and write it to `--out`."""
    del argv
    out = outputs.file(FLAGS.out, "--out", (encoders.ENDING,))
    names = {field.name for field in dataclasses.fields(EncoderSettings)}
    settings = EncoderSettings(
        **{name: FLAGS[name].value for name in names if name in FLAGS}
    )
    network = open_for_program(FLAGS)
    distance = distances.load(FLAGS.distance, FLAGS.vgg16, FLAGS.efficientnet)
    started = time.monotonic()
    with ProgressBar("steps") as progress:
        progress("steps, compiling", 0, settings.steps)
        found = train(
            network,
            settings,
            distance,
            resolution=FLAGS.resolution,
            progress=progress,
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    encoders.save(found, out)
    example = command(
        "project",
        f"--network={network.exact_reference}",
        "--start=encoder",
        f"--encoder={out}",
        "--targets=photos",
        "--out=projected",
    )
    print(
        f"trained on {settings.steps * settings.batch_size} samples of "
        f"{sides(found.size)} (width x height) in "
        f"{(time.monotonic() - started) / 60:.1f} min; mean {distance.name} on new "
        f"samples {found.facts['distance']:.4f}, with the average w "
        f"{found.facts['distance_of_average']:.4f}; wrote {out}; try: {example}"
    )


if __name__ == "__main__":
    with reporting_errors(ValueError, CheckpointError, OSError):
        app.run(main, flags_parser=lambda argv: arguments)
