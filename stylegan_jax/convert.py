"""Convert an official StyleGAN network file to a directory that `generate` reads.

    python -m stylegan_jax.convert --source=ffhq-1024x1024.pkl --out=runs/ffhq

The files may be those of StyleGAN, StyleGAN2, StyleGAN2-ADA or StyleGAN3, written by
TensorFlow or PyTorch. Nothing in the file is executed; see `weights.pickle`.
"""

from stylegan_jax.commands.convert import COMMAND
from stylegan_jax.runtime.command import parse_or_exit

if __name__ == "__main__":  # before the imports that take seconds
    arguments = parse_or_exit(COMMAND)

from pathlib import Path
from typing import Any

from absl import app, flags
from etils import epath

from stylegan_jax import interop, workdir
from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.interop.experiment import experiment_of
from stylegan_jax.interop.network_files import OfficialNetwork, read_networks
from stylegan_jax.runtime import outputs, parallel, storage
from stylegan_jax.runtime.cli import reporting_errors
from stylegan_jax.runtime.messages import command, listed

FLAGS = flags.FLAGS
# Networks of a file -> items of a checkpoint.
ITEMS = {
    "generator": "generator",
    "discriminator": "discriminator",
    "generator_ema": "ema",
}


def main(argv: list[str]) -> None:
    """Convert `--source` into `--out`."""
    del argv
    out = outputs.new_directory(FLAGS.out, "--out")
    source = storage.local_path(FLAGS.source, "--source")
    outputs.check_input_file(source, "--source")
    parallel.check_devices()
    convert(source, out)
    example = command("generate", f"--workdir={out}", f"--out={out / 'images'}")
    print(f"wrote {out}; try: {example}")


def convert(source: Path, out: epath.PathLike) -> None:
    """Write the networks of an official file as a checkpoint of this package.

    The averaged generator becomes the item "ema". The trained generator and the
    discriminator are kept as the items "generator" and "discriminator", the latter only
    if a configuration can describe it.

    Raises:
      ValueError: The file or an argument of its networks is not supported, or the
        directory already holds a run.
    """
    out = epath.Path(out)
    _check_unused(out)
    networks = read_networks(source)
    if set(networks) != set(ITEMS):
        raise ValueError(
            f"{source} holds {sorted(networks)}; a StyleGAN file must hold "
            f"{sorted(ITEMS)}"
        )
    loaded = {name: _load(name, network) for name, network in networks.items()}
    generator, discriminator = loaded["generator_ema"][0], loaded["discriminator"][0]
    e, obstacle = experiment_of(generator, discriminator)
    if obstacle:
        print(
            "left out the discriminator, because a configuration cannot express its "
            f"options:\n  {obstacle}\nUse `interop.from_official` from Python."
        )
        del loaded["discriminator"]
    items = {
        ITEMS[name]: {k: v for k, v in variables.items() if k != "official"}
        for name, (_, variables) in loaded.items()
    }
    meta = {"source": source.name, "resolution": generator.resolution, "fade": 1.0}
    checkpoints = workdir.open_checkpoints(out, 1, print)
    checkpoints.save(0, items, meta)
    checkpoints.close()
    # Last, because these files mark the directory as complete.
    classes = tuple(str(i) for i in range(generator.label_size))
    info = workdir.DataInfo(source.name, 0, classes, "")
    workdir.write_description(out, e, info)


def _check_unused(out: epath.Path) -> None:
    """Raise ValueError if a directory holds a run or a part of one."""
    there = {
        name: (out / name).exists()
        for name in ("checkpoints", "config.json", "data.json")
    }
    found = listed(name for name, exists in there.items() if exists)
    missing = listed(name for name, exists in there.items() if not exists)
    if there["checkpoints"] and missing:  # `convert` writes the description last
        raise ValueError(
            f"{out} holds an unfinished conversion, or a damaged run: it contains "
            f"{found}, but not {missing}; if it was a conversion, delete {found} there "
            "and repeat the command; otherwise choose another --out"
        )
    if there["checkpoints"] or there["config.json"]:
        raise ValueError(
            f"{out} already holds a run: it contains {found}; choose another --out"
        )


def _load(name: str, network: OfficialNetwork) -> tuple[Any, Any]:
    """Return a network's module and variables."""
    kind = "discriminator" if name == "discriminator" else "generator"
    return interop.from_official(
        network.variables, network.source, kind, **network.kwargs
    )


if __name__ == "__main__":
    with reporting_errors(ValueError, CheckpointError, OSError):
        app.run(main, flags_parser=lambda argv: arguments)
