"""What a metric found, with all that is needed to find it again."""

import dataclasses
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
      truncation_psi: of the generator; None of images from a disk.
      noise: of the generator, "const", "random" or "none".
      detector: name of the feature network.
      detector_digest: SHA-256 of its weights.
      resize: how images were brought to its size.
      dataset: what the reals are.
      dataset_fingerprint: of their content.
      dataset_mirrored: whether half of them were flipped left-right.
      size: height and width of the images.
      generated: what was compared with them.
      generated_fingerprint: of images from a disk.
      checkpoint: its number, which is that of images seen.
      step: of training.
      kimg: thousands of images seen in training.
    """

    metric: str
    images_real: int | None
    images_generated: int | None
    seed: int
    truncation_psi: float | None = None
    noise: str | None = None
    detector: str | None = None
    detector_digest: str | None = None
    resize: str | None = None
    dataset: str | None = None
    dataset_fingerprint: str | None = None
    dataset_mirrored: bool | None = None
    size: tuple[int, int] | None = None
    generated: str | None = None
    generated_fingerprint: str | None = None
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


def table(results: list[Result]) -> str:
    """The results to read: a line each."""
    rows = [("metric", "value", "+-", "reals", "generated", "seconds")]
    for result in results:
        found, how = result.measurement, result.conditions
        error = found.standard_error
        rows.append(
            (
                found.name,
                f"{found.value:.6g}",
                "" if error is None else f"{error:.2g}",
                "" if how.images_real is None else str(how.images_real),
                "" if how.images_generated is None else str(how.images_generated),
                f"{result.seconds:.1f}",
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
