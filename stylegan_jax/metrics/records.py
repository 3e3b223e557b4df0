"""Keeps results: a line each in `metrics.jsonl`, and points in TensorBoard."""

import json
import os
import secrets

import tensorboardX
from etils import epath

from stylegan_jax.metrics.result import Result
from stylegan_jax.runtime import storage
from stylegan_jax.runtime.storage import to_jsonable

FILE = "metrics.jsonl"


def append(path: epath.Path, results: list[Result]) -> None:
    """Adds a line for each result; the file may be new, and may be in a bucket."""
    lines = "".join(
        json.dumps(to_jsonable(result.to_dict()), allow_nan=False) + "\n"
        for result in results
    )
    if storage.scheme_of(path) is not None:  # where no file can grow
        before = path.read_text() if path.exists() else ""
        path.write_text(before + lines)
        return
    with open(path, "ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":  # a line that was cut off spoils no other
                lines = "\n" + lines
        file.write(lines.encode())


def check_writable(path: epath.Path) -> None:
    """Opens the file as `append` does, and leaves nothing behind.

    Raises:
      ValueError: it can't be written.
    """
    try:
        if storage.scheme_of(path) is not None:
            probe = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
            probe.write_text("")
            probe.unlink()
            return
        new = not path.exists()
        with open(path, "ab"):
            pass
        if new:
            path.unlink()
    except OSError as error:
        raise ValueError(
            f"results can't be written to {path} ({error.strerror or error}); give "
            "another file as --out, in a directory that is there"
        ) from error


def to_tensorboard(directory: str | os.PathLike, results: list[Result]) -> None:
    """Adds a point "metrics/<name>" for each result, at its number of images seen."""
    writer = tensorboardX.SummaryWriter(str(directory))
    for result in results:
        writer.add_scalar(
            f"metrics/{result.measurement.name}",
            result.measurement.value,
            global_step=result.conditions.checkpoint,
        )
    writer.close()
