"""Progress of a run: its place on the clock, and the lines that report it."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax

from stylegan_jax.models import LevelOfDetail
from stylegan_jax.runtime.logger import format_duration
from stylegan_jax.training.schedule import Stage


@dataclasses.dataclass
class Progress:
    """Place of a run on the host's clock; saved with every checkpoint.

    Attributes:
      resolution: resolution of the averaged generator.
      fade: weight of this resolution against the one below.
      step: steps taken.
      images_seen: real images shown.
      tick: ticks reported.
      tick_start_images: `images_seen` at the start of the current tick.
      training_seconds: time spent training.
      accumulation_rounds: rounds that the stage's batches are split into; None in
        checkpoints that do not store it.
      varied_images: `images_seen` when the generated images had variety for the last
        time; None before that was measured.
      collapse_signs: measurement -> number of times in a row that it found no variety;
        has only measurements that have found variety.
    """

    resolution: int
    fade: float = 1.0
    step: int = 0
    images_seen: int = 0
    tick: int = 0
    tick_start_images: int = 0
    training_seconds: float = 0.0
    accumulation_rounds: int | None = None
    varied_images: int | None = None
    collapse_signs: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def lod(self) -> LevelOfDetail:
        """Level of detail of the averaged generator."""
        return LevelOfDetail(self.resolution, self.fade)


def tick_line(
    progress: Progress,
    stage: Stage,
    means: Mapping[str, float],
    images_per_second: float,
    data_wait: float,
    skipped: int,
    alarm: str | None,
    compile_seconds: float = 0.0,
    augment_probability: float | None = None,
) -> str:
    """Return the line that reports a tick.

    Args:
      progress: progress at the end of the tick.
      stage: the current stage.
      means: means of the scalars over the tick, of which the losses are shown.
      images_per_second: speed over the tick.
      data_wait: share of the time that the device waited for images.
      skipped: updates skipped since the run started.
      alarm: warning of the metrics.
      compile_seconds: time that the tick waited for compilation, which is not part of
        the training time.
      augment_probability: probability of the augmentations; None without any.
    """
    compiled = compile_seconds >= 1  # shorter compilations are not worth reporting
    return (
        f"tick {progress.tick:<4d} kimg {progress.images_seen / 1000:<8.1f} "
        f"{stage.name:<18s} {images_per_second:7.1f} img/s  data wait {data_wait:3.0%}"
        f"  time {format_duration(progress.training_seconds):<8s} "
        + "  ".join(
            f"{name} {means[name]:.3f}" for name in means if name.endswith("/loss")
        )
        + (
            ""
            if augment_probability is None
            else f"  augment {augment_probability:.3f}"
        )
        + (f"  skipped {skipped}" if skipped else "")
        + (f"  compilation {format_duration(compile_seconds)}" * compiled)
        + (f"  {alarm}" if alarm else "")
    )


def live_line(
    progress: Progress,
    stages: Sequence[Stage],
    stage: Stage,
    images_per_second: float,
    data_wait: float,
    stage_cost: Callable[[int], float],
    alarm: str | None,
) -> str:
    """Return the live line between ticks, with the time left at the current speed.

    Args:
      progress: the current progress.
      stages: all stages of the run.
      stage: the current stage.
      images_per_second: speed since the last tick.
      data_wait: share of the time that the device waited for images.
      stage_cost: (resolution) -> relative cost of an image.
      alarm: warning of the metrics.
    """
    stage_left = (stage.end_images - progress.images_seen) / images_per_second
    later = sum(
        (s.end_images - s.start_images)
        * stage_cost(s.resolution)
        / stage_cost(stage.resolution)
        for s in stages[stage.index + 1 :]
    )
    fading = f" {stage.fade(progress.images_seen):4.0%}" if stage.fading else ""
    return (
        f"{stage.name}{fading} | {progress.images_seen / 1000:.1f} of "
        f"{stages[-1].end_images / 1000:g} kimg | {images_per_second:.0f} img/s, "
        f"waiting {data_wait:.0%} for data | stage "
        f"{format_duration(stage_left)} left | total about "
        f"{format_duration(stage_left + later / images_per_second)} left"
        + (f" | {alarm}" if alarm else "")
    )


class DataWaitMeter:
    """Measures the time that the device waits for images.

    The host runs ahead of the device. While the device is busy, the host's own waiting
    costs nothing and does not count. If the device is idle when the host's waiting
    ends, all of that waiting counts, which overestimates it by the time that the device
    was still busy.
    """

    def __init__(self):
        """Start an interval."""
        self.reset()

    def reset(self) -> None:
        """Start a new interval."""
        self._start, self._waited = time.monotonic(), 0.0

    def exclude(self, seconds: float) -> None:
        """Exclude time that has just passed from the interval."""
        self._start += seconds

    def next(self, batches: Iterator[Any], running: Any) -> Any:
        """Return the next batch and measure the wait for it.

        Args:
          batches: iterator of batches.
          running: arrays that the device is computing; None before the first step.
        """
        start = time.monotonic()
        batch = next(batches)
        if all(array.is_ready() for array in jax.tree.leaves(running)):
            self._waited += time.monotonic() - start
        return batch

    @property
    def share(self) -> float:
        """Share of the current interval that was spent waiting, in [0,1]."""
        return self._waited / max(time.monotonic() - self._start, 1e-9)
