"""What a metric found, with all that is needed to find it again."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Measurement:
    """A number.

    Attributes:
      name: e.g. "fid50k", or one of several that a metric gives, as "swd/32".
      value: the number itself.
      standard_error: how far it would move with other images; None where that is not
        defined, or nobody knows.
      details: what else is worth keeping, as JSON has it.
    """

    name: str
    value: float
    standard_error: float | None = None
    details: dict[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def mean(cls, name: str, values: np.ndarray, **details: Any) -> "Measurement":
        """The mean of independent values [N], and its standard error."""
        values = np.asarray(values, np.float64)
        error = None
        if len(values) > 1:
            error = float(np.std(values, ddof=1) / np.sqrt(len(values)))
        return cls(name, float(np.mean(values)), error, details)


@dataclasses.dataclass(frozen=True)
class Conditions:
    """Under which a metric was taken.

    Attributes:
      metric: its name in the table.
      images_real: how many; None where a metric takes none, as below.
      images_generated: how many, or pairs of steps of a path.
      seed: of latents, labels, noise, order of the reals, and of the metric's draws.
      batch_size: images at once, by which the generator's noise is drawn.
      truncation_psi: of the generator; None of images from a disk.
      noise: of the generator, "const", "random" or "none".
      detector: name of the feature network.
      detector_digest: SHA-256 of its weights.
      resize: how images were brought to its size.
      dataset: what the reals are.
      dataset_fingerprint: of their content.
      dataset_mirrored: whether half of them were flipped left-right.
      dataset_fit: how they were brought to their size, "exact" or "crop".
      size: height and width of the images.
      generated: what was compared with them.
      generated_fingerprint: of images from a disk.
      generated_fit: as `dataset_fit`, of images from a disk.
      dtype: of the generator's activations; None of images from a disk, as below.
      label_source: "data" if classes were drawn with their shares in the data,
        "uniform" if all alike; None of unconditional networks.
      checkpoint: its number, which is that of images seen.
      step: of training.
      kimg: thousands of images seen in training.
    """

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
    dtype: str | None = None
    label_source: str | None = None
    checkpoint: int | None = None
    step: int | None = None
    kimg: float | None = None


@dataclasses.dataclass(frozen=True)
class Result:
    """A line of `metrics.jsonl`.

    Attributes:
      measurement: the number.
      conditions: how it came about.
      versions: of the packages, and of this one's code.
      seconds: what it took, with the images that it shared with other metrics.
      time: when it was done, ISO 8601.
    """

    measurement: Measurement
    conditions: Conditions
    versions: dict[str, str | None]
    seconds: float
    time: str

    def to_dict(self) -> dict[str, Any]:
        """All fields, in one flat dict that JSON can hold."""
        rest = {"versions": self.versions, "seconds": self.seconds, "time": self.time}
        return (
            dataclasses.asdict(self.measurement)
            | dataclasses.asdict(self.conditions)
            | rest
        )


class Table:
    """Results to read: a line each, which can be told as soon as it is there."""

    _HEAD = ("value", "+-", "reals", "generated", "seconds")
    _WIDTHS = (12, 8, 9, 9, 9)

    def __init__(self, names: Iterable[str]):
        """The names of all numbers that may come."""
        self._first = max(map(len, ("metric", *names)))
        self.head = self._line("metric", self._HEAD)

    def row(self, result: Result) -> str:
        """The line of a result."""
        found, how = result.measurement, result.conditions
        error = found.standard_error
        cells = (
            f"{found.value:.6g}",
            "" if error is None else f"{error:.2g}",
            "" if how.images_real is None else str(how.images_real),
            str(how.images_generated),
            f"{result.seconds:.1f}",
        )
        return self._line(found.name, cells)

    def _line(self, name: str, cells: Iterable[str]) -> str:
        rest = (c.rjust(n) for c, n in zip(cells, self._WIDTHS, strict=True))
        return "  ".join([name.ljust(self._first), *rest])


def failures_told(failures: dict[str, str]) -> list[str]:
    """Metric -> why it could not be taken, as a line for each reason."""
    names: dict[str, list[str]] = {}
    for name, reason in failures.items():
        names.setdefault(reason, []).append(name)
    return [f"{', '.join(of)}: {reason}" for reason, of in names.items()]
