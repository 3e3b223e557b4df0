"""Write a network as a file, as a web page, or to the Hugging Face Hub.

python -m stylegan_jax.export --network=runs/smileys --out=smileys.safetensors
"""

from stylegan_jax.commands.export import COMMAND
from stylegan_jax.runtime.command import parse_or_exit

if __name__ == "__main__":  # before the imports that take seconds
    arguments = parse_or_exit(COMMAND)

import shlex

from absl import app, flags
from etils import epath

from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.commands import network as network_flags
from stylegan_jax.commands.export import FORMATS
from stylegan_jax.exporters import onnx_file, page, stablehlo
from stylegan_jax.exporters.programs import program
from stylegan_jax.networks import file, hub
from stylegan_jax.networks.network import Network
from stylegan_jax.networks.references import open_network
from stylegan_jax.runtime import outputs, storage
from stylegan_jax.runtime.cli import reporting_errors
from stylegan_jax.runtime.messages import command
from stylegan_jax.sampling import seeds

FLAGS = flags.FLAGS
# The formats that each flag affects; "hub" stands for --push_to_hub.
READ_BY = {
    "part": ("stablehlo", "onnx"),
    "dtype": ("safetensors", "hub"),
    "private": ("hub",),
    "license": ("hub",),
    "label": ("hub",),
}


def main(argv: list[str]) -> None:
    """Write `--network` to `--out`, or upload it."""
    del argv
    if (FLAGS.out is None) == (FLAGS.push_to_hub is None):
        given = "are both given" if FLAGS.out else "are both missing"
        raise ValueError(f"--out and --push_to_hub {given}; exactly one is needed")
    kind = FLAGS.format if FLAGS.push_to_hub is None else "hub"
    _check_flags(kind)
    if kind == "hub":
        hub.check_repository(FLAGS.push_to_hub)
        hub.check_installed()
        _push(_network())
        return
    _check_ending(kind)
    if kind in ("onnx", "page"):
        onnx_file.check_installed()
    if kind == "page":
        directory = outputs.new_directory(FLAGS.out, "--out")
        page.write(_network(), directory, print)
        return
    out = outputs.file(FLAGS.out, "--out", (f".{kind}",))
    _write(_network(), kind, out)


def _check_flags(kind: str) -> None:
    """Raise ValueError for a flag that has no effect."""
    for name, kinds in READ_BY.items():
        if FLAGS[name].present and kind not in kinds:
            where = {"hub": "--push_to_hub"}
            uses = " and ".join(where.get(k, f"--format={k}") for k in kinds)
            raise ValueError(f"--{name} has an effect only with {uses}; leave it out")
    if kind == "hub" and FLAGS["format"].present and FLAGS.format != "safetensors":
        raise ValueError(
            f"--push_to_hub uploads safetensors, not --format={FLAGS.format}; leave "
            "--format out"
        )


def _check_ending(kind: str) -> None:
    """Raise ValueError if the name of --out ends as files of another format do."""
    out = storage.open_path(FLAGS.out)
    other = out.suffix.removeprefix(".").lower()
    if other == kind or other not in FORMATS:
        return
    ending = "" if kind == "page" else f".{kind}"
    needed = f"end in {ending}" if ending else "be a folder"
    renamed = shlex.quote(str(out.with_suffix(ending)))
    raise ValueError(
        f"`--out` (={FLAGS.out}) must {needed}, as --format is {kind}; use "
        f"--format={other}, or --out={renamed}"
    )


def _network() -> Network:
    return open_network(network_flags.reference(FLAGS), FLAGS.step)


def _write(network: Network, kind: str, out: epath.Path) -> None:
    """Write a file in one of the formats, and print how to use it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    match kind:
        case "safetensors":
            file.save(network, out, FLAGS.dtype)
        case "stablehlo":
            stablehlo.write(network, program(network, FLAGS.part), out)
        case "onnx":
            onnx_file.write(network, FLAGS.part, out)
    size = out.stat().length / 1e6
    example = command("inspect", f"--network={out}")
    if kind == "safetensors":
        example = command("generate", f"--network={out}", "--out=images")
    print(f"wrote {out} ({size:.1f} MB); try: {example}")


def _push(network: Network) -> None:
    repository, label = FLAGS.push_to_hub, None
    if FLAGS.label is not None:
        label = seeds.labels(None, FLAGS.label, network.classes, 1)[0]
    address = hub.push(
        network,
        repository,
        private=FLAGS.private,
        license=FLAGS.license,
        dtype=FLAGS.dtype,
        label=label,
    )
    example = command("generate", f"--network={hub.PREFIX}{repository}", "--out=images")
    print(f"uploaded to {address}; try: {example}")


if __name__ == "__main__":
    with reporting_errors(ValueError, CheckpointError, OSError):
        app.run(main, flags_parser=lambda argv: arguments)
