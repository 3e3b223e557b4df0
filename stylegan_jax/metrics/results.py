"""Results of metrics: their conditions, the file that stores them, their comparison.

A formula returns a `MetricValue`; an evaluation adds the conditions under which it was
measured, which makes it a `MetricResult`: a line of `metrics.jsonl`.
"""

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from etils import epath

from stylegan_jax.runtime import storage
from stylegan_jax.runtime.messages import sides
from stylegan_jax.runtime.storage import to_jsonable

FILE = "metrics.jsonl"

# A field of a result that changes what the number means -> its label. The seed and the
# batch size are not among them: they only draw another sample of the same quantity.
COMPARISON_KEYS = {
    "images_generated": "{} images",
    "images_real": "{} reals",
    "truncation_psi": "psi {}",
    "noise": "noise {}",
    "label_source": "labels {}",
    "dtype": "{}",
    "detector": "{}",
    "detector_digest": "weights {:.12}",
    "resize": "resize {}",
    "dataset_fingerprint": "data {:.12}",
    "dataset_fit": "fit {}",
    "dataset_mirrored": "mirrored {}",
    "size": "size {}",
    "decoder": "decoder {}",
}
ComparisonKey = tuple[str | None, ...]  # the values of COMPARISON_KEYS, as text


@dataclasses.dataclass(frozen=True)
class MetricValue:
    """A number that a formula returns.

    Attributes:
      value: the number itself.
      standard_error: its standard error over the choice of images; None where it is
        unknown or undefined.
      details: further figures worth keeping, as JSON represents them.
    """

    value: float
    standard_error: float | None = None
    details: dict[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def mean(cls, values: np.ndarray, **details: Any) -> "MetricValue":
        """Return the mean of independent values [N], with its standard error."""
        values = np.asarray(values, np.float64)
        error = None
        if len(values) > 1:
            error = float(np.std(values, ddof=1) / np.sqrt(len(values)))
        return cls(float(np.mean(values)), error, details)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetricResult(MetricValue):
    """A number with everything needed to reproduce it: a line of `metrics.jsonl`.

    Attributes:
      name: name of the number, such as "fid50k" or "precision".
      metric: name of the metric in the registry, such as "pr".
      images_real: number of real images; None for metrics without reals, as below.
      images_generated: number of generated images, or of pairs for a path length.
      seed: seed of latents, labels, noise, the order of the reals and the metric.
      batch_size: images per batch, which the generator's noise depends on.
      truncation_psi: truncation of the generator; None for images from a disk.
      noise: noise mode of the generator, "const", "random" or "none".
      detector: name of the network that the metric uses.
      detector_digest: SHA-256 of the network's weights.
      resize: method of resizing images for the network.
      dataset: name of the real images.
      dataset_fingerprint: fingerprint of the content of the real images.
      dataset_mirrored: True if half of the reals were flipped left-right.
      dataset_fit: method that brought the reals to their size, "exact" or "crop".
      size: height and width of the images.
      generated: name of the images that were measured.
      generated_fingerprint: fingerprint of their content, if they are from a disk.
      generated_fit: like `dataset_fit`, for images from a disk.
      decoder: `VERSION` of `data.decoding`, if the reals, or the images that were
        measured, are from a disk; None in rows of its first version, too.
      dtype: type of the generator's activations; None for images from a disk, as below.
      label_source: "data" if classes were drawn with their frequencies in the data,
        "uniform" if all were equally likely; None for unconditional networks.
      checkpoint: number of the checkpoint, which is its number of images seen.
      step: training step of the checkpoint.
      kimg: thousands of images seen in training.
      versions: versions of the packages, and the commit of this one.
      seconds: time taken, including images that other metrics shared.
      time: time of completion, ISO 8601.
    """

    name: str
    metric: str
    images_real: int | None
    images_generated: int | None
    seed: int
    batch_size: int
    truncation_psi: float | None = None
    noise: str | None = None
    detector: str | None = None
    detector_digest: str | None = None
    resize: str | None = None
    dataset: str | None = None
    dataset_fingerprint: str | None = None
    dataset_mirrored: bool | None = None
    dataset_fit: str | None = None
    size: tuple[int, int] | None = None
    generated: str | None = None
    generated_fingerprint: str | None = None
    generated_fit: str | None = None
    decoder: int | None = None
    dtype: str | None = None
    label_source: str | None = None
    checkpoint: int | None = None
    step: int | None = None
    kimg: float | None = None
    versions: dict[str, str | None]
    seconds: float
    time: str

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as a flat dict that JSON can hold, the name first."""
        return {"name": self.name} | dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class MetricFailure:
    """A metric that could not be measured, and the reason."""

    metric: str
    reason: str


def group_failures(failures: Mapping[str, str]) -> list[str]:
    """Return a line per reason, with the metrics that failed for it.

    Args:
      failures: name of a metric -> reason of its failure.
    """
    names: dict[str, list[str]] = {}
    for name, reason in failures.items():
        names.setdefault(reason, []).append(name)
    return [f"{', '.join(group)}: {reason}" for reason, group in names.items()]


class ResultTable:
    """A table of results that is printed line by line, as the results arrive."""

    _COLUMNS = ("value", "+-", "reals", "generated", "seconds")
    _WIDTHS = (12, 8, 9, 9, 9)

    def __init__(self, names: Iterable[str]):
        """Size the first column to fit these names of numbers."""
        self._first = max(map(len, ("metric", *names)))
        self.header = self._line("metric", self._COLUMNS)

    def row(self, result: MetricResult) -> str:
        """Return the line of a result."""
        error, reals = result.standard_error, result.images_real
        cells = (
            f"{result.value:.6g}",
            "" if error is None else f"{error:.2g}",
            "" if reals is None else str(reals),
            str(result.images_generated),
            f"{result.seconds:.1f}",
        )
        return self._line(result.name, cells)

    def _line(self, name: str, cells: Iterable[str]) -> str:
        rest = (c.rjust(n) for c, n in zip(cells, self._WIDTHS, strict=True))
        return "  ".join([name.ljust(self._first), *rest])


def append(path: epath.Path, results: Iterable[MetricResult]) -> None:
    """Append a line per result; the file may be new, and may be in a bucket."""
    lines = "".join(
        json.dumps(to_jsonable(result.to_dict()), allow_nan=False) + "\n"
        for result in results
    )
    if storage.scheme_of(path) is not None:  # a bucket cannot append
        present = path.read_text() if path.exists() else ""
        path.write_text(present + lines)
        return
    with open(path, "ab+") as file:
        if lines and file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":  # end a truncated line
                lines = "\n" + lines
        file.write(lines.encode())


def check_writable(path: epath.Path) -> None:
    """Check that a file can be appended to, leaving no trace.

    Raises:
      ValueError: the file cannot be written.
    """
    try:
        is_new = not path.exists()
        append(path, [])
        if is_new:
            path.unlink()
    except OSError as error:
        raise ValueError(
            f"the results cannot be written to {path} ({error.strerror or error}); "
            "name a file in an existing directory with --out"
        ) from error


def write_tensorboard(
    directory: str | os.PathLike, results: Iterable[MetricResult]
) -> None:
    """Write a point "metrics/<name>" per result, at its number of images seen."""
    import tensorboardX  # slow to import, and rarely used

    writer = tensorboardX.SummaryWriter(str(directory))
    for result in results:
        writer.add_scalar(
            f"metrics/{result.name}", result.value, global_step=result.checkpoint
        )
    writer.close()


def comparison_key(row: Mapping[str, Any]) -> ComparisonKey:
    """Return a hashable key that is equal for comparable lines of `metrics.jsonl`."""
    values = (row.get(name) for name in COMPARISON_KEYS)
    return tuple(None if value is None else _text(value) for value in values)


def disambiguating_labels(keys: list[ComparisonKey]) -> list[str]:
    """Return a label per key: its images, a psi other than 1, and what differs."""
    rows = [dict(zip(COMPARISON_KEYS, key, strict=True)) for key in keys]
    shown = {name for name in COMPARISON_KEYS if len({row[name] for row in rows}) > 1}
    shown.add("images_generated")
    labels = []
    for row in rows:
        psi = {"truncation_psi"} if row["truncation_psi"] != "1" else set()
        texts = [
            text.format(row[name])
            for name, text in COMPARISON_KEYS.items()
            if name in shown | psi and row[name] is not None
        ]
        labels.append(", ".join(texts))
    return labels


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):  # height and width
        return sides(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
