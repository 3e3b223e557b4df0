"""The only training loop: stages, cadence, saving, reporting, stopping.

What it trains, on what data and how it is looked at are handed to it.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.checkpoint import CheckpointError, Checkpoints
from stylegan_jax.config import Experiment, by_resolution
from stylegan_jax.runtime.logger import RunLogger
from stylegan_jax.runtime.parallel import Parallel
from stylegan_jax.runtime.stop_request import StopRequest
from stylegan_jax.runtime.watchdog import Watchdog
from stylegan_jax.training import schedule
from stylegan_jax.training.compilation import ProgramCache, Programs
from stylegan_jax.training.phases import Phase
from stylegan_jax.training.progress import Progress, live_line, tick_line
from stylegan_jax.training.schedule import Stage
from stylegan_jax.training.starvation import StarvationMeter
from stylegan_jax.training.state import TrainState, reset_optimizers
from stylegan_jax.training.step import build_optimizers

Batches = Iterator[tuple[np.ndarray, np.ndarray]]  # this process's images and labels


class Diverged(RuntimeError):
    """Too many updates in a row were not finite."""


@dataclasses.dataclass(frozen=True)
class Judgement:
    """What somebody found who looked at a state.

    Attributes:
      score: how good it is, more is better: such checkpoints are kept if they are
        among the best; None if that was not asked.
      alarm: for the progress line, until the next judgement; None if all is well.
    """

    score: float | None
    alarm: str | None


@dataclasses.dataclass(frozen=True)
class Hooks:
    """What the loop calls.

    Attributes:
      batches: (stage, clock) -> endless batches of real images from there on.
      on_tick: (state, progress) after every tick, e.g. to draw images.
      evaluate: (state, progress) after that; None when no evaluation is due.
      stage_cost: (resolution) -> relative cost of an image, for the time left.
    """

    batches: Callable[[Stage, int], Batches]
    on_tick: Callable[[TrainState, Progress], None]
    evaluate: Callable[[TrainState, Progress], Judgement | None]
    stage_cost: Callable[[int], float]


class Loop:
    """Trains from a state to the end of the schedule, or until it is told to stop."""

    def __init__(
        self,
        e: Experiment,
        *,
        phases: tuple[Phase, ...],
        stages: list[Stage],
        programs: ProgramCache,
        hooks: Hooks,
        parallel: Parallel,
        checkpoints: Checkpoints,
        logger: RunLogger,
        stop: StopRequest,
    ):
        """Puts the parts together; `run` starts."""
        self._e, self._phases, self._stages = e, phases, stages
        self._programs, self._hooks, self._parallel = programs, hooks, parallel
        self._checkpoints, self._logger, self._stop = checkpoints, logger, stop
        optimizers = build_optimizers(e)
        self._reset = jax.jit(
            lambda state: reset_optimizers(state, optimizers),
            out_shardings=programs.state_shardings,
            donate_argnums=0,
        )
        self._sums: dict[str, tuple[Any, int]] = {}  # phase -> scalars' sums, count
        self._add = jax.jit(lambda a, b: jax.tree.map(jnp.add, a, b))
        self._queue: list[Any] = []
        self._starvation = StarvationMeter()
        self._running: Any = None  # scalars of the phase that was started last
        self._votes: list[Callable[[], bool]] = []
        self._stopping = False  # agreed on by all processes
        self._save_is_due = False
        self._judged: tuple[int, float] | None = None  # images seen, score
        self._alarm: str | None = None

    def run(self, state: TrainState, progress: Progress) -> TrainState:
        """Trains; `state` is donated, `progress` is updated in place.

        Returns:
          The state at the end, or at the stop that was asked for.

        Raises:
          Diverged: too many skipped updates in a row.
          CheckpointError: the last checkpoint could not be written.
        """
        self._tick_start_seconds = time.monotonic()
        self._starvation.reset()
        who = (
            f"process {self._parallel.process_index} of {self._parallel.process_count}"
        )
        self._watchdog = Watchdog(self._e.run.hang_report_seconds, who)
        try:
            for stage in self._stages:
                if progress.images_seen < stage.end_images:
                    state = self._run_stage(state, stage, progress)
                if self._stopping:
                    break
            self._save(state, progress)
            self._checkpoints.wait()
        finally:
            self._watchdog.close()
            self._programs.close()
        return state

    def _run_stage(
        self, state: TrainState, stage: Stage, progress: Progress
    ) -> TrainState:
        programs = self._enter(stage, progress)
        if progress.images_seen == stage.start_images:
            state = self._reset(state)
        batches = self._hooks.batches(stage, progress.images_seen)
        while progress.images_seen < stage.end_images:
            state = self._round(state, stage, programs, batches, progress)
            self._stopping = self._agree_to_stop()
            last = (
                stage is self._stages[-1] and progress.images_seen >= stage.end_images
            )
            if last or self._stopping or self._tick_is_due(stage, progress):
                diverging = self._tick(state, stage, progress)
                if progress.tick % self._e.run.checkpoint_every_ticks == 0:
                    self._save_is_due = True
                # While updates are skipped, the checkpoints from before are the good
                # ones; none may crowd them out.
                if self._save_is_due and not (diverging or last or self._stopping):
                    self._save_or_warn(state, progress)
            if self._stopping:
                break
        self._programs.forget(stage)
        return state

    def _agree_to_stop(self) -> bool:
        """Whether any process is to stop, the same answer on all of them.

        With several processes the answer is that of the round before: waiting for this
        round's would keep the host from running ahead of the device.
        """
        self._votes.append(self._parallel.any_process(self._stop.requested))
        waiting = int(self._parallel.process_count > 1)
        stopping = len(self._votes) > waiting and self._votes.pop(0)()
        if stopping:
            self._stop.mark_requested_elsewhere()
        return stopping

    def _enter(self, stage: Stage, progress: Progress) -> Programs:
        """The stage's programs; begins to compile the next ones that are missing."""
        start = time.monotonic()
        self._watchdog.watch(f"the compilation of stage {stage.name}")
        programs = self._programs.get(stage)
        waited = time.monotonic() - start
        self._logger.line(
            f"stage {stage.index + 1}/{len(self._stages)}: {stage.name}, "
            f"{stage.start_images / 1000:g} to {stage.end_images / 1000:g} kimg, "
            f"batch {stage.batch_size}; waited {waited:.1f} s for its program"
        )
        self._logger.event(
            "stage",
            stage=stage.name,
            images_seen=stage.start_images,
            waited_seconds=waited,
        )
        self._note_rounds(stage, progress)
        for later in self._stages[stage.index + 1 :]:
            if self._programs.prepare(later):
                break
        return programs

    def _note_rounds(self, stage: Stage, progress: Progress) -> None:
        """Tells when a stage goes on in other rounds than those it was begun in."""
        before, now = progress.accumulation_rounds, self._programs.rounds(stage)
        progress.accumulation_rounds = now
        resumed = progress.images_seen > stage.start_images
        if resumed and before not in (None, now):
            self._logger.line(
                f"WARNING: stage {stage.name} goes on in {now} round(s) of "
                f"accumulation, chosen by the memory of the devices; it was begun in "
                f"{before}. The numbers will differ slightly from those of a run that "
                "was not interrupted; `run.device_memory_gib` as the devices before "
                "had it brings the rounds back"
            )

    def _round(
        self,
        state: TrainState,
        stage: Stage,
        programs: Programs,
        batches: Batches,
        progress: Progress,
    ) -> TrainState:
        """A few steps at one fade and learning rate."""
        self._watchdog.watch(
            f"the round from step {progress.step} on ({progress.images_seen / 1000:g} "
            f"kimg, stage {stage.name})"
        )
        fade, rate = self._parallel.replicate(
            (
                np.float32(stage.fade(progress.images_seen)),
                np.float32(
                    schedule.learning_rate(self._e, stage, progress.images_seen)
                ),
            )
        )
        for _ in range(stage.steps_per_round):
            batch = self._starvation.next(batches, self._running)
            images, labels = self._parallel.put_batch(batch)
            for phase in self._phases:
                if progress.step % phase.interval == 0:
                    state, scalars = programs[phase.name](
                        state, images, labels, fade, rate
                    )
                    self._accumulate(phase, scalars)
                    self._running = scalars
            progress.step += 1
            progress.images_seen += stage.batch_size
        # Stay at most two rounds ahead of the device.
        self._queue.append(scalars)
        if len(self._queue) > 2:
            jax.block_until_ready(self._queue.pop(0))
        self._show_progress(stage, progress)
        return state

    def _accumulate(self, phase: Phase, scalars: Any) -> None:
        if phase.name in self._sums:
            sums, count = self._sums[phase.name]
            self._sums[phase.name] = self._add(sums, scalars), count + 1
        else:
            self._sums[phase.name] = scalars, 1

    def _tick_is_due(self, stage: Stage, progress: Progress) -> bool:
        run = self._e.run
        kimg = by_resolution(
            run.tick_kimg_by_resolution, stage.resolution, run.tick_kimg
        )
        return progress.images_seen - progress.tick_start_images >= kimg * 1000

    def _tick(self, state: TrainState, stage: Stage, progress: Progress) -> bool:
        """Reports; the one place where the host waits for the device.

        Returns:
          Whether the latest update of some phase was skipped.
        """
        self._watchdog.watch(f"tick {progress.tick + 1} (step {progress.step})")
        sums, skipped, total = jax.device_get(
            (self._sums, state.skipped, state.skipped_total)
        )
        means = {
            name: float(value / count)
            for scalars, count in sums.values()
            for name, value in scalars.items()
        }
        seconds = time.monotonic() - self._tick_start_seconds
        data_wait = self._starvation.share
        images = progress.images_seen - progress.tick_start_images
        progress.tick += 1
        progress.tick_start_images = progress.images_seen
        progress.training_seconds += seconds
        self._sums = {}
        progress.resolution = stage.resolution
        progress.fade = stage.fade(progress.images_seen)
        rate = images / seconds
        values = means | {
            "progress/fade": progress.fade,
            "progress/learning_rate": schedule.learning_rate(
                self._e, stage, progress.images_seen
            ),
            "progress/images_per_second": rate,
            "progress/training_seconds": progress.training_seconds,
            "progress/data_wait": data_wait,
            **{f"{name}/skipped_total": int(n) for name, n in total.items()},
        }
        self._logger.scalars(
            progress.images_seen,
            values,
            stage=stage.name,
            tick=progress.tick,
            step=progress.step,
        )
        dropped = sum(int(n) for n in total.values())
        self._logger.line(
            tick_line(progress, stage, means, rate, data_wait, dropped, self._alarm)
        )
        self._check_divergence(skipped, progress)
        self._hooks.on_tick(state, progress)
        self._watchdog.watch(f"the metrics after tick {progress.tick}")
        judgement = self._hooks.evaluate(state, progress)
        if judgement is not None:
            self._alarm = judgement.alarm
            if judgement.score is not None:
                self._judged = progress.images_seen, judgement.score
                self._save_is_due = True
        self._tick_start_seconds = time.monotonic()
        self._starvation.reset()
        return any(streak > 0 for streak in skipped.values())

    def _check_divergence(self, skipped: dict[str, Any], progress: Progress) -> None:
        for name, streak in skipped.items():
            if streak >= self._e.training.nonfinite_limit:
                newest = self._checkpoints.latest_step()
                raise Diverged(
                    f"phase {name} had {int(streak)} updates in a row with a gradient "
                    f"that is not finite, up to step {progress.step} "
                    f"({progress.images_seen / 1000:g} kimg); allowed are fewer than "
                    f"`training.nonfinite_limit` (="
                    f"{self._e.training.nonfinite_limit}). They were all skipped and "
                    f"nothing was saved since; the last checkpoint is "
                    f"{'none' if newest is None else newest}. Try a lower learning "
                    "rate or a stronger penalty, in another --workdir."
                )

    def _save(self, state: TrainState, progress: Progress) -> None:
        """Saves; that the save before failed is no reason not to."""
        self._watchdog.watch(f"the checkpoint of step {progress.step}")
        try:
            self._checkpoints.wait()
        except CheckpointError as error:
            self._warn(error)
        images_seen, score = self._judged or (None, None)
        self._checkpoints.save(
            progress.images_seen,
            {"ema": state.ema, "training": state.replace(ema={})},
            dataclasses.asdict(progress),
            score if images_seen == progress.images_seen else None,
        )

    def _save_or_warn(self, state: TrainState, progress: Progress) -> None:
        """Saves; a full disk, say, must not end the run while there is time."""
        try:
            self._save(state, progress)
            self._save_is_due = False
        except CheckpointError as error:
            self._warn(error)

    def _warn(self, error: CheckpointError) -> None:
        self._logger.line(f"WARNING: {error}. The run goes on and tries again.")
        self._logger.event("checkpoint_failed", message=str(error))

    def _show_progress(self, stage: Stage, progress: Progress) -> None:
        """The live line, at this tick's speed."""
        seconds = time.monotonic() - self._tick_start_seconds
        rate = (progress.images_seen - progress.tick_start_images) / max(seconds, 1e-6)
        if rate <= 0:
            return
        line = live_line(
            progress,
            self._stages,
            stage,
            rate,
            self._starvation.share,
            self._hooks.stage_cost,
            self._alarm,
        )
        self._logger.progress(line)


def restore(
    checkpoints: Checkpoints, abstract_state: TrainState
) -> tuple[TrainState, Progress]:
    """The newest intact state and where it stood.

    Args:
      checkpoints: of the run.
      abstract_state: shapes, dtypes and shardings of the state.
    """
    _, items, meta = checkpoints.restore(
        {"ema": abstract_state.ema, "training": abstract_state.replace(ema={})}
    )
    return items["training"].replace(ema=items["ema"]), Progress(**meta)
