"""Write a network as one file.

python -m stylegan_jax.export --network=runs/smileys --out=smileys.safetensors
"""

from stylegan_jax.commands.export import COMMAND
from stylegan_jax.runtime.command import parse_or_exit

if __name__ == "__main__":  # before the imports that take seconds
    arguments = parse_or_exit(COMMAND)

from absl import app, flags

from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.commands import network as network_flags
from stylegan_jax.networks import file
from stylegan_jax.networks.references import open_network
from stylegan_jax.runtime import outputs
from stylegan_jax.runtime.cli import reporting_errors
from stylegan_jax.runtime.messages import command

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Write `--network` to `--out`."""
    del argv
    out = outputs.file(FLAGS.out, "--out", (".safetensors",))
    network = open_network(network_flags.reference(FLAGS), FLAGS.step)
    out.parent.mkdir(parents=True, exist_ok=True)
    file.save(network, out, FLAGS.dtype)
    size = out.stat().length / 1e6
    example = command("generate", f"--network={out}", "--out=images")
    print(f"wrote {out} ({size:.1f} MB); try: {example}")


if __name__ == "__main__":
    with reporting_errors(ValueError, CheckpointError, OSError):
        app.run(main, flags_parser=lambda argv: arguments)
