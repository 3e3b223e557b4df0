"""The report of a tick: means of scalars, speed, waiting times and alarms."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from stylegan_jax.runtime.logger import RunLogger
from stylegan_jax.training.overfitting import OverfittingWatch
from stylegan_jax.training.progress import (
    DataWaitMeter,
    Progress,
    live_line,
    tick_line,
)
from stylegan_jax.training.schedule import Stage
from stylegan_jax.training.setup import Setup
from stylegan_jax.training.state import TrainState


class TickReporter:
    """Collects what happens during a tick, and reports it.

    Attributes:
      alarms: the latest alarm of each measurement, for the progress line, or None.
    """

    def __init__(
        self, setup: Setup, stage_cost: Callable[[int], float], logger: RunLogger
    ):
        """Start a tick; for `stage_cost`, see `loop.Hooks`."""
        self._stages, self._stage_cost, self._logger = setup.stages, stage_cost, logger
        training = setup.experiment.training
        self._augments = training.augment != "none"
        self._overfitting = OverfittingWatch(training)
        self._add = jax.jit(lambda a, b: jax.tree.map(jnp.add, a, b))
        self._data_wait = DataWaitMeter()
        self.start_again()

    def start_again(self) -> None:
        """Forget everything that was collected, and start a tick."""
        self._sums: dict[str, tuple[Any, int]] = {}  # phase -> sums, number of terms
        self.alarms: dict[str, str | None] = {}
        self.start_tick()

    def start_tick(self) -> None:
        """Start to measure a tick's time."""
        self._start_seconds = time.monotonic()
        self._compile_seconds = 0.0  # excluded from the tick's duration
        self._data_wait.reset()

    def exclude_compilation(self, seconds: float) -> None:
        """Exclude time spent compiling from the tick's speed and duration."""
        self._compile_seconds += seconds
        self._start_seconds += seconds
        self._data_wait.exclude(seconds)

    def next_batch(self, batches: Iterator[Any], running: Any) -> Any:
        """Return the next batch and measure the wait; see `DataWaitMeter.next`."""
        return self._data_wait.next(batches, running)

    def add(self, phase: str, scalars: Any) -> None:
        """Add the scalars of a phase, which may not be computed yet."""
        if phase in self._sums:
            sums, count = self._sums[phase]
            self._sums[phase] = self._add(sums, scalars), count + 1
        else:
            self._sums[phase] = scalars, 1

    def show_progress(self, stage: Stage, progress: Progress) -> None:
        """Update the live line with the current tick's speed."""
        seconds = time.monotonic() - self._start_seconds
        rate = (progress.images_seen - progress.tick_start_images) / max(seconds, 1e-6)
        if rate <= 0:
            return
        line = live_line(
            progress,
            self._stages,
            stage,
            rate,
            self._data_wait.share,
            self._stage_cost,
            self._alarm,
        )
        self._logger.progress(line)

    def report(
        self, state: TrainState, stage: Stage, progress: Progress, learning_rate: float
    ) -> dict[str, int]:
        """Wait for the device, end the tick, and log and print what was collected.

        Args:
          state: the state after the tick's last step.
          stage: the current stage.
          progress: the run's progress, which is advanced to the next tick.
          learning_rate: the current learning rate.

        Returns:
          For each phase, the number of successive updates that were skipped up to now.
        """
        means, skipped, skipped_total, probability = self._fetch_scalars(state)
        rate = self._advance(stage, progress)
        data_wait = self._data_wait.share
        augments = (
            {"progress/augment_probability": probability} if self._augments else {}
        )
        self._logger.scalars(
            progress.images_seen,
            means
            | {
                "progress/fade": progress.fade,
                "progress/learning_rate": learning_rate,
                "progress/images_per_second": rate,
                "progress/training_seconds": progress.training_seconds,
                "progress/compile_seconds": self._compile_seconds,
                "progress/data_wait": data_wait,
                **augments,
                **{f"{name}/skipped_total": n for name, n in skipped_total.items()},
            },
            stage=stage.name,
            tick=progress.tick,
            step=progress.step,
        )
        self._logger.line(
            tick_line(
                progress,
                stage,
                means,
                rate,
                data_wait,
                sum(skipped_total.values()),
                self._alarm,
                self._compile_seconds,
                probability if self._augments else None,
            )
        )
        warning = self._overfitting.warning(probability) if self._augments else None
        if warning is not None:
            self._logger.warning(progress.images_seen, warning)
        return skipped

    def _fetch_scalars(
        self, state: TrainState
    ) -> tuple[dict[str, float], dict[str, int], dict[str, int], float]:
        """Fetch the scalars of the tick from the device.

        Returns:
          The means of the scalars, the skipped updates of each phase in a row and in
          total, and the augmentation probability.
        """
        sums, skipped, total, probability = jax.device_get(
            (
                self._sums,
                state.skipped,
                state.skipped_total,
                state.augment_probability,
            )
        )
        self._sums = {}
        means = {
            name: float(value / count)
            for scalars, count in sums.values()
            for name, value in scalars.items()
        }
        counts = ({k: int(v) for k, v in n.items()} for n in (skipped, total))
        return means, *counts, float(probability)

    def _advance(self, stage: Stage, progress: Progress) -> float:
        """Advance the progress to the next tick, and return the speed in images/s."""
        seconds = time.monotonic() - self._start_seconds
        images = progress.images_seen - progress.tick_start_images
        progress.tick += 1
        progress.tick_start_images = progress.images_seen
        progress.training_seconds += seconds
        progress.resolution = stage.resolution
        progress.fade = stage.fade(progress.images_seen)
        return images / seconds

    @property
    def _alarm(self) -> str | None:
        """The alarms of all measurements, for the progress line."""
        return ", ".join(filter(None, self.alarms.values())) or None
