"""Where a run stands, and how that is told."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from stylegan_jax.models import LevelOfDetail
from stylegan_jax.runtime.logger import format_duration
from stylegan_jax.training.schedule import Stage


@dataclasses.dataclass
class Progress:
    """Where the run stands on the host; saved with every checkpoint.

    `resolution` and `fade` say at which stage the generator is to be used;
    `accumulation_rounds` in how many rounds that stage's batches were taken, None where
    a checkpoint of an earlier version does not say.
    """

    resolution: int
    fade: float = 1.0
    step: int = 0
    images_seen: int = 0
    tick: int = 0
    tick_start_images: int = 0
    training_seconds: float = 0.0
    accumulation_rounds: int | None = None

    @property
    def lod(self) -> LevelOfDetail:
        """The resolution and fade at which the generator is to be used."""
        return LevelOfDetail(self.resolution, self.fade)


def tick_line(
    progress: Progress,
    stage: Stage,
    means: Mapping[str, float],
    images_per_second: float,
    data_wait: float,
    dropped: int,
    alarm: str | None,
) -> str:
    """The line of one tick.

    Args:
      progress: at its end.
      stage: it was in.
      means: of its scalars; losses are told.
      images_per_second: its speed.
      data_wait: share of the time that the device waited for images.
      dropped: updates skipped since the run began.
      alarm: what the metrics warn of.
    """
    return (
        f"tick {progress.tick:<4d} kimg {progress.images_seen / 1000:<8.1f} "
        f"{stage.name:<18s} {images_per_second:7.1f} img/s  data wait {data_wait:3.0%}"
        f"  time {format_duration(progress.training_seconds):<8s} "
        + "  ".join(
            f"{name} {means[name]:.3f}" for name in means if name.endswith("/loss")
        )
        + (f"  skipped {dropped}" if dropped else "")
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
    """The line between ticks, with the time left at this speed.

    Args:
      progress: so far.
      stages: all of the run.
      stage: the one it is in.
      images_per_second: the speed since the last tick.
      data_wait: share of the time that the device waited for images.
      stage_cost: (resolution) -> relative cost of an image.
      alarm: what the metrics warn of.
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
