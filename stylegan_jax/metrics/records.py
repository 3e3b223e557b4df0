"""Keeps results: a line each in `metrics.jsonl`, and points in TensorBoard."""

import json
import os

import tensorboardX
from etils import epath

from stylegan_jax import paths
from stylegan_jax.metrics.result import Result
from stylegan_jax.reporting import jsonable

FILE = "metrics.jsonl"


def append(path: str | os.PathLike, results: list[Result]) -> None:
    """Adds a line for each result; the file may be new, and may be in a bucket."""
    lines = "".join(
        json.dumps(jsonable(result.to_dict()), allow_nan=False) + "\n"
        for result in results
    )
    target = epath.Path(path)
    if paths.scheme_of(path) is not None:  # where no file can grow
        before = target.read_text() if target.exists() else ""
        target.write_text(before + lines)
        return
    with open(path, "ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":  # a line that was cut off spoils no other
                lines = "\n" + lines
        file.write(lines.encode())


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
