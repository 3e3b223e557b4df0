"""Print the layers of a network, and the state of a run.

python -m stylegan_jax.inspect --network=smileys64
"""

from stylegan_jax.commands.inspect import COMMAND
from stylegan_jax.runtime.command import parse_or_exit

if __name__ == "__main__":  # before the imports that take seconds
    arguments = parse_or_exit(COMMAND)

from pathlib import Path
from typing import Any

from absl import app, flags

from stylegan_jax import config, models, workdir
from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.commands import network as network_flags
from stylegan_jax.config import Experiment
from stylegan_jax.exporters import onnx_file, stablehlo
from stylegan_jax.models import Generator
from stylegan_jax.networks import references, table
from stylegan_jax.runtime.cli import reporting_errors
from stylegan_jax.runtime.messages import listed, sides

FLAGS = flags.FLAGS
PROGRAMS = {".stablehlo": stablehlo, ".onnx": onnx_file}


def main(argv: list[str]) -> None:
    """Print a description of `--network`."""
    del argv
    reference = network_flags.reference(FLAGS)
    references.check_step(reference, FLAGS.step)
    ending = Path(reference).suffix.lower()
    if ending in PROGRAMS and Path(reference).expanduser().is_file():
        path = Path(reference).expanduser()
        _print_facts(_flat(PROGRAMS[ending].read_metadata(path)))
        return
    if references.is_single(reference) or not workdir.split(reference)[0].exists():
        _print_network(reference)
        return
    state = workdir.run_state(reference, FLAGS.step)
    size = workdir.label_size(state.experiment, state.data)
    classes = state.data.classes if size else ()
    generator, _ = models.build(state.experiment.model, state.experiment.data, size)
    _print_facts(state.facts() | _network_facts(generator, classes))
    _print_tables(generator, state.experiment, size)
    print("\nSettings that differ from the defaults")
    _print_facts({name: repr(value) for name, value in state.changed_settings.items()})


def _print_network(reference: str) -> None:
    """Print a network of the package, in a file or on the Hub."""
    network = references.open_network(reference, FLAGS.step)
    facts = {"network": reference}
    facts |= _network_facts(network.generator, network.classes)
    if network.checkpoint:
        facts["images seen in training"] = f"{network.checkpoint:,}"
    _print_facts(facts)
    _print_tables(network.generator, network.experiment, len(network.classes))


def _network_facts(generator: Generator, classes: tuple[str, ...]) -> dict[str, str]:
    size = config.image_size(generator.base_size, generator.resolution)
    return {
        "family": models.family_of(generator),
        "images": f"{sides(size)}, {generator.image_channels} channels",
        "latents": f"z {generator.z_dim}, w {generator.w_dim}",
        "style layers": str(generator.num_ws),
        "classes": listed(classes) or "none",
    }


def _print_tables(generator: Generator, e: Experiment | None, size: int) -> None:
    """Print the layers of the generator, and of the discriminator if it is known."""
    print("\n" + table.text("Generator", table.rows(generator)))
    if e is not None:
        _, discriminator = models.build(e.model, e.data, size)
        print("\n" + table.text("Discriminator", table.rows(discriminator)))


def _flat(about: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested facts as name -> text."""
    out = {}
    for name, value in about.items():
        if isinstance(value, dict):
            out |= _flat(value, f"{prefix}{name} ")
        elif isinstance(value, list):
            text = listed(value)  # a nested list is a shape
            out[f"{prefix}{name}"] = f"[{text}]" if prefix else text or "none"
        else:
            out[f"{prefix}{name}"] = str(value)
    return out


def _print_facts(facts: dict[str, str]) -> None:
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        print(f"{name.ljust(width)}  {value}")


if __name__ == "__main__":
    with reporting_errors(ValueError, CheckpointError, OSError):
        app.run(main, flags_parser=lambda argv: arguments)
