"""Open a network by its name, the directory of a run, or a file."""

import difflib
import os
from pathlib import Path

from absl import flags

from stylegan_jax import interop, workdir
from stylegan_jax.commands import network as network_flags
from stylegan_jax.config import Run
from stylegan_jax.interop.experiment import experiment_of
from stylegan_jax.interop.network_files import OfficialNetwork, read_networks
from stylegan_jax.models import LevelOfDetail
from stylegan_jax.networks import delta, file, hub
from stylegan_jax.networks.network import Network
from stylegan_jax.runtime import compilation_cache, malloc, storage
from stylegan_jax.runtime.messages import listed

ASSETS = Path(__file__).resolve().parent / "assets"
ENDING = ".safetensors"
PROGRAMS = (".stablehlo", ".onnx")  # suffixes of the programs that `export` writes


def names() -> list[str]:
    """Return the names of the networks that come with the package."""
    return sorted(path.stem for path in ASSETS.glob(f"*{ENDING}"))


def open_network(reference: str | os.PathLike, step: int | None = None) -> Network:
    """Open a trained generator.

    Args:
      reference: the name of a network of the package (`smileys64`), which precedes a
        directory of the same name; the directory of a run, a conversion, or one of its
        `checkpoints/NUMBER`, on disk or in a bucket; a `.safetensors` file that
        `export` or `tune` wrote; an official `.pkl` of StyleGAN, StyleGAN2,
        StyleGAN2-ADA or StyleGAN3; or `hub:OWNER/NAME`, a repository of the Hugging
        Face Hub.
      step: number of the checkpoint of a run; None for the newest that is intact.

    Raises:
      ValueError: there is no such network, or it cannot be used.
      CheckpointError: the checkpoint of a run cannot be read.
      OSError: the file cannot be read.
    """
    text = os.fspath(reference)
    check_step(text, step)
    if text in names():
        return file.load(ASSETS / f"{text}{ENDING}", text)
    if text.startswith(hub.PREFIX):
        return hub.load(text)
    if is_single(text):
        return _open_file(Path(text).expanduser(), text)
    check_exists(text)
    trained = workdir.load_generator(storage.open_path(text), step)
    return Network(**vars(trained), reference=text)


def open_for_program(values: flags.FlagValues) -> Network:
    """Open the network that the flags of a program name; prepare its process first."""
    malloc.keep_freed_memory_on_cpu()
    compilation_cache.use_unless_set(Run().compilation_cache)
    return open_network(network_flags.reference(values), values.step)


def check_exists(reference: str) -> None:
    """Raise ValueError for a reference that matches nothing."""
    if is_single(reference) or workdir.split(reference)[0].exists():
        return
    raise ValueError(_unknown(reference))


def check_step(reference: str, step: int | None) -> None:
    """Raise ValueError for the step of a network that has no checkpoints."""
    if step is not None and is_single(reference):
        raise ValueError(
            f"`step` (={step}) selects a checkpoint of a run, but {reference} "
            "holds a single network; leave it out"
        )


def is_single(reference: str) -> bool:
    """Return True for a single network, not the directory of a run."""
    if reference in names() or reference.startswith(hub.PREFIX):
        return True
    is_local = storage.scheme_of(reference) is None
    return is_local and Path(reference).expanduser().is_file()


def _unknown(text: str) -> str:
    """Return the error message for a reference that matches nothing."""
    close = difflib.get_close_matches(text, names(), n=1)
    directory, _ = workdir.split(text)
    similar = f" (did you mean {close[0]}?)" if close else workdir.similar(directory)
    return (
        f"{text} does not exist{similar}; the network must be a name "
        f"({listed(names())}), the directory of a run or of a conversion, a "
        f"{ENDING} file, an official .pkl, or hub:OWNER/NAME"
    )


def _open_file(path: Path, reference: str) -> Network:
    with path.open("rb") as opened:
        head = opened.read(9)
    if path.suffix.lower() in PROGRAMS:
        raise ValueError(
            f"{reference} is a program for other runtimes, from which the network "
            f"cannot be read back; use a {ENDING} file, which `export` writes, too"
        )
    if head[8:9] == b"{":
        if delta.is_delta(path):
            return delta.load(path, reference, open_network)
        return file.load(path, reference)
    networks = read_networks(path)
    role = "generator_ema" if "generator_ema" in networks else "network"
    if role not in networks:
        raise ValueError(
            f"{reference} holds {sorted(networks)}; a generator_ema is needed"
        )
    return _official(networks, role, reference)


def _official(
    networks: dict[str, OfficialNetwork], role: str, reference: str
) -> Network:
    """Return the averaged generator of an official file."""
    found = networks[role]
    if found.source not in interop.SOURCES:
        raise ValueError(
            f"{reference} holds a network of {found.source}; the supported ones are "
            f"{listed(sorted(interop.SOURCES))}"
        )
    generator, variables = interop.from_official(
        found.variables, found.source, "generator", **found.kwargs
    )
    variables = {k: v for k, v in variables.items() if k != "official"}
    return Network(
        generator=generator,
        variables=variables,
        experiment=_experiment(networks, generator),
        lod=LevelOfDetail(generator.resolution),
        classes=tuple(str(i) for i in range(generator.label_size)),
        checkpoint=0,
        step=None,
        reference=reference,
    )


def _experiment(networks, generator):
    """Return the experiment that builds the networks; None if there is none."""
    if "discriminator" not in networks:
        return None
    found = networks["discriminator"]
    try:
        discriminator, _ = interop.from_official(
            found.variables, found.source, "discriminator", **found.kwargs
        )
        return experiment_of(generator, discriminator)[0]
    except ValueError:
        return None
