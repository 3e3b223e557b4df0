"""A network as a StableHLO program, which needs only JAX to run.

The file is a zip archive of `program.bin`, which `jax.export.deserialize` reads, and
`metadata.json`, which describes the program and the versions of JAX that can read it.
"""

import contextlib
import datetime
import io
import json
import os
import zipfile
from collections.abc import Iterator
from typing import Any

import jax
import jaxlib
from jax import export

from stylegan_jax.exporters.programs import Program, description, is_description
from stylegan_jax.networks.network import Network
from stylegan_jax.runtime import storage

PLATFORMS = ("cpu", "cuda", "tpu")
PROGRAM, METADATA = "program.bin", "metadata.json"
MAX_METADATA_BYTES = 2**20
EPOCH = (1980, 1, 1, 0, 0, 0)  # date of all entries: equal programs give equal files
# https://docs.jax.dev/en/latest/export/export.html#compatibility-guarantees
NEWER_MONTHS, OLDER_WEEKS = 6, 3


def write(network: Network, program: Program, path: str | os.PathLike) -> None:
    """Write a program of a network to a file, atomically.

    Raises:
      OSError: the file cannot be written.
    """
    (batch,) = export.symbolic_shape("N")
    with _without_locations():
        exported = export.export(jax.jit(program.function), platforms=PLATFORMS)(
            *program.arguments(batch)
        )
    about = description(network, program) | {
        "platforms": list(PLATFORMS),
        "compatibility": _compatibility(exported),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        contents = {
            METADATA: json.dumps(about, indent=2).encode(),
            PROGRAM: bytes(exported.serialize()),
        }
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH), content)
    storage.write_atomically(path, buffer.getvalue())


@contextlib.contextmanager
def _without_locations() -> Iterator[None]:
    """Leave the paths of this machine's Python files out of programs."""
    name = "jax_traceback_in_locations_limit"
    before = getattr(jax.config, name)
    jax.config.update(name, 0)
    try:
        yield
    finally:
        jax.config.update(name, before)


def _compatibility(exported: export.Exported) -> dict[str, Any]:
    """Return the versions of JAX that are guaranteed to read a program."""
    return {
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "calling_convention_version": exported.calling_convention_version,
        "exported_on": datetime.date.today().isoformat(),
        "newer_jax_months": NEWER_MONTHS,
        "older_jax_weeks": OLDER_WEEKS,
        "window": (
            f"releases of JAX from {OLDER_WEEKS} weeks before to {NEWER_MONTHS} months "
            f"after that of jax {jax.__version__}"
        ),
    }


def read_metadata(path: str | os.PathLike) -> dict[str, Any]:
    """Return the description of a file that `write` wrote.

    Raises:
      ValueError: the file is damaged, or does not hold a program.
      OSError: the file cannot be read.
    """
    problem = "is damaged, or not a file that `export --format=stablehlo` wrote"
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(METADATA).file_size > MAX_METADATA_BYTES:
                raise ValueError(f"{METADATA} is too large")
            archive.getinfo(PROGRAM)
            about = json.loads(archive.read(METADATA))
    except (
        ValueError,
        KeyError,
        RecursionError,
        zipfile.BadZipFile,
        NotImplementedError,
    ) as error:
        raise ValueError(f"{path} {problem}: {error}") from error
    if not is_description(about):
        raise ValueError(
            f"{path} {problem}: its {METADATA} does not describe a program"
        )
    return about
