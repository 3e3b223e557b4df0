"""The training loop: stages, cadence, checkpoints, rollback, and stopping.

The networks, the data and the evaluation are passed in.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from stylegan_jax.augment import controller
from stylegan_jax.checkpoint import CheckpointError, Checkpoints
from stylegan_jax.config import by_resolution
from stylegan_jax.runtime.logger import RunLogger, format_duration
from stylegan_jax.runtime.stop_request import StopRequest
from stylegan_jax.runtime.watchdog import Watchdog
from stylegan_jax.training import schedule
from stylegan_jax.training.compilation import ProgramCache, Programs
from stylegan_jax.training.guard import CollapseGuard, EvalResult
from stylegan_jax.training.progress import Progress
from stylegan_jax.training.schedule import Stage
from stylegan_jax.training.setup import Setup
from stylegan_jax.training.state import TrainState, reset_optimizers
from stylegan_jax.training.tick_report import TickReporter

QUIET_SECONDS = 5  # wait for programs before the compilation of each is reported
# Images and labels: this process's share, or global batches on the devices.
Batches = Iterator[tuple[np.ndarray, np.ndarray] | tuple[jax.Array, jax.Array]]


class Diverged(RuntimeError):
    """Too many consecutive updates were not finite."""


@dataclasses.dataclass(frozen=True)
class Hooks:
    """Functions that the loop calls.

    Attributes:
      batches: (stage, images seen) -> endless batches of real images from there on.
      on_tick: (state, progress) -> result, called after every tick, for example to draw
        images; None if nothing was measured.
      evaluate: (state, progress) -> result, called after `on_tick`; None if no
        evaluation is due.
      stage_cost: (resolution) -> relative cost of an image, to estimate the time left.
    """

    batches: Callable[[Stage, int], Batches]
    on_tick: Callable[[TrainState, Progress], EvalResult | None]
    evaluate: Callable[[TrainState, Progress], EvalResult | None]
    stage_cost: Callable[[int], float]


class Loop:
    """Trains a state to the end of the schedule, or until a stop is requested."""

    def __init__(
        self,
        setup: Setup,
        *,
        programs: ProgramCache,
        hooks: Hooks,
        checkpoints: Checkpoints,
        guard: CollapseGuard,
        logger: RunLogger,
        stop: StopRequest,
    ):
        """Store the parts; `run` starts the loop."""
        self._setup, self._guard = setup, guard
        self._e, self._parallel = setup.experiment, setup.parallel
        self._phases, self._stages = setup.phases, setup.stages
        self._programs, self._hooks = programs, hooks
        self._checkpoints, self._logger, self._stop = checkpoints, logger, stop
        self._reset = jax.jit(
            lambda state: reset_optimizers(state, setup.optimizers),
            out_shardings=setup.state_shardings,
            donate_argnums=0,
        )
        self._reporter = TickReporter(setup, hooks.stage_cost, logger)
        # Work that the host has started and the device may not have finished.
        self._queue: list[Any] = []
        self._running: Any = None  # scalars of the phase that was started last
        # Stopping, as agreed on by all processes.
        self._votes: list[Callable[[], bool]] = []
        self._stopping = False
        # Checkpoints and evaluation.
        self._save_is_due = False
        self._evaluated: tuple[int, float] | None = None  # images seen, score
        self._collapsed = False  # True if the last tick requires a rollback

    def run(self, state: TrainState, progress: Progress) -> TrainState:
        """Train; `state` is donated, `progress` is updated in place.

        Returns:
          The state at the end, or where the run was stopped.

        Raises:
          Diverged: if too many consecutive updates were skipped.
          Collapsed: if the generator has collapsed, and the run is not to continue.
          CheckpointError: if the last checkpoint could not be written.
        """
        self._reporter.start_tick()
        name = (
            f"process {self._parallel.process_index} of {self._parallel.process_count}"
        )
        self._watchdog = Watchdog(self._e.run.hang_report_seconds, name)
        try:
            while not self._stopping and (stage := self._stage_at(progress)):
                state = self._run_stage(state, stage, progress)
            self._save(state, progress)
            self._checkpoints.wait()
        finally:
            self._watchdog.close()
            self._programs.close()
        return state

    def _stage_at(self, progress: Progress) -> Stage | None:
        """Return the stage to run; None at the end of the schedule."""
        seen = progress.images_seen
        return next((s for s in self._stages if seen < s.end_images), None)

    def _run_stage(
        self, state: TrainState, stage: Stage, progress: Progress
    ) -> TrainState:
        start = time.monotonic()
        programs = self._start_stage(stage, progress)
        if progress.images_seen == stage.start_images:
            state = self._reset(state)
        self._reporter.exclude_compilation(time.monotonic() - start)
        batches = self._hooks.batches(stage, progress.images_seen)
        while progress.images_seen < stage.end_images:
            state = self._round(state, stage, programs, batches, progress)
            self._stopping = self._agree_to_stop()
            is_last = (
                stage is self._stages[-1] and progress.images_seen >= stage.end_images
            )
            if is_last or self._stopping or self._tick_is_due(stage, progress):
                is_skipping = self._tick(state, stage, progress)
                if self._collapsed:
                    state = self._roll_back(state, progress)
                    break
                if progress.tick % self._e.run.checkpoint_every_ticks == 0:
                    self._save_is_due = True
                # While updates are skipped, or the generator may have collapsed, the
                # existing checkpoints are the good ones and must not be deleted for
                # newer ones. `run` saves the last one.
                waits = is_skipping or self._guard.suspects(progress)
                if self._save_is_due and not (waits or is_last or self._stopping):
                    self._save_or_warn(state, progress)
            if self._stopping:
                break
        self._programs.forget(stage)
        return state

    def _roll_back(self, state: TrainState, progress: Progress) -> TrainState:
        """Return the state of an older checkpoint; `progress` is set to its own."""
        self._watchdog.watch("the rollback to an older checkpoint")
        step = self._guard.roll_back(state, progress, self._logger)
        restored, then = restore(self._checkpoints, self._setup, step)
        then.collapse_signs = dict.fromkeys(then.collapse_signs, 0)
        then.training_seconds = progress.training_seconds
        for field in dataclasses.fields(Progress):
            setattr(progress, field.name, getattr(then, field.name))
        self._queue, self._running = [], None
        self._save_is_due, self._evaluated = False, None
        self._reporter.start_again()
        return restored

    def _learning_rate(self, stage: Stage, images_seen: int) -> float:
        rate = schedule.learning_rate(self._e, stage, images_seen)
        return rate * self._guard.learning_rate_factor

    def _agree_to_stop(self) -> bool:
        """Return True, in every process, if any process must stop.

        With several processes, this is the answer of the previous round: waiting for
        this round's would keep the host from running ahead of the device.
        """
        self._votes.append(self._parallel.any_process(self._stop.requested))
        pending = int(self._parallel.process_count > 1)
        stopping = len(self._votes) > pending and self._votes.pop(0)()
        if stopping:
            self._stop.mark_requested_elsewhere()
        return stopping

    def _start_stage(self, stage: Stage, progress: Progress) -> Programs:
        """Return the stage's programs, and start to compile those of the next one."""
        start = time.monotonic()
        self._watchdog.watch(f"the compilation of stage {stage.name}")
        announcement = self._programs.announcement(stage)
        if announcement is not None:
            self._logger.line(announcement)
        shown: list[str] = []

        def show(name: str, seconds: float) -> None:
            if seconds > QUIET_SECONDS and name and name not in shown:
                shown.append(name)
                self._logger.line(f"compiling {name} of stage {stage.name}")
            self._logger.progress(
                f"compiling {name} of stage {stage.name}, waiting for "
                f"{format_duration(seconds)}"
            )

        programs = self._programs.get(stage, show)
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
        self._warn_of_other_rounds(stage, progress)
        for later in self._stages[stage.index + 1 :]:
            if self._programs.prepare(later):
                break
        return programs

    def _warn_of_other_rounds(self, stage: Stage, progress: Progress) -> None:
        """Warn if a stage resumes with a different number of accumulation rounds."""
        before, now = progress.accumulation_rounds, self._programs.rounds(stage)
        progress.accumulation_rounds = now
        resumed = progress.images_seen > stage.start_images
        if resumed and before not in (None, now):
            self._logger.line(
                f"WARNING: stage {stage.name} resumes with {now} accumulation "
                f"round(s), chosen to fit the memory of the devices; it started with "
                f"{before}. Results will differ slightly from those of an "
                "uninterrupted run. Set `run.device_memory_gib` to the memory of the "
                f"previous devices to restore the {before} round(s)"
            )

    def _round(
        self,
        state: TrainState,
        stage: Stage,
        programs: Programs,
        batches: Batches,
        progress: Progress,
    ) -> TrainState:
        """Take the steps between two evaluations of the schedule."""
        self._watchdog.watch(
            f"the steps from {progress.step} on ({progress.images_seen / 1000:g} "
            f"kimg, stage {stage.name})"
        )
        rate = self._learning_rate(stage, progress.images_seen)
        fade, rate = self._parallel.replicate(
            (np.float32(stage.fade(progress.images_seen)), np.float32(rate))
        )
        for _ in range(stage.steps_per_round):
            batch = self._reporter.next_batch(batches, self._running)
            images, labels = self._parallel.put_batch(batch)
            for phase in self._phases:
                if progress.step % phase.interval == 0:
                    state, scalars = programs[phase.name](
                        state, images, labels, fade, rate
                    )
                    self._reporter.add(phase.name, scalars)
                    self._running = scalars
            progress.step += 1
            progress.images_seen += stage.batch_size
        # Stay at most two rounds ahead of the device.
        self._queue.append(scalars)
        if len(self._queue) > 2:
            jax.block_until_ready(self._queue.pop(0))
        self._reporter.show_progress(stage, progress)
        return state

    def _tick_is_due(self, stage: Stage, progress: Progress) -> bool:
        run = self._e.run
        kimg = by_resolution(
            run.tick_kimg_by_resolution, stage.resolution, run.tick_kimg
        )
        return progress.images_seen - progress.tick_start_images >= kimg * 1000

    def _tick(self, state: TrainState, stage: Stage, progress: Progress) -> bool:
        """Report, draw and evaluate, after the device has finished all steps so far.

        Returns:
          True if the latest update of some phase was skipped.
        """
        self._watchdog.watch(f"tick {progress.tick + 1} (step {progress.step})")
        skipped = self._reporter.report(
            state, stage, progress, self._learning_rate(stage, progress.images_seen)
        )
        self._check_divergence(skipped, progress)
        self._measure(state, progress)
        self._reporter.start_tick()
        return any(streak > 0 for streak in skipped.values())

    def _measure(self, state: TrainState, progress: Progress) -> None:
        """Call the hooks of a tick, and check for a collapse."""
        results = {"held_out": self._hooks.on_tick(state, progress)}
        self._watchdog.watch(f"the metrics after tick {progress.tick}")
        results["metrics"] = self._hooks.evaluate(state, progress)
        self._collapsed = self._guard.has_collapsed(progress, results, self._logger)
        for name, result in results.items():
            if result is None:
                continue
            self._reporter.alarms[name] = self._guard.alarm(name, result, progress)
            if result.score is not None:
                self._evaluated = progress.images_seen, result.score
                self._save_is_due = True

    def _check_divergence(self, skipped: dict[str, int], progress: Progress) -> None:
        for name, streak in skipped.items():
            if streak >= self._e.training.nonfinite_limit:
                newest = self._checkpoints.latest_step()
                raise Diverged(
                    f"phase {name} had {streak} consecutive updates with a gradient "
                    f"that is not finite, up to step {progress.step} "
                    f"({progress.images_seen / 1000:g} kimg), which reaches "
                    f"`training.nonfinite_limit` (="
                    f"{self._e.training.nonfinite_limit}); they were all skipped, and "
                    f"nothing has been saved since (the last checkpoint is "
                    f"{'none' if newest is None else newest}); try a lower learning "
                    "rate or a stronger penalty, in another --workdir"
                )

    def _save(self, state: TrainState, progress: Progress) -> None:
        """Save a checkpoint, even if the previous one could not be written."""
        self._watchdog.watch(f"the checkpoint of step {progress.step}")
        try:
            self._checkpoints.wait()
        except CheckpointError as error:
            self._warn(error)
        images_seen, score = self._evaluated or (None, None)
        self._checkpoints.save(
            progress.images_seen,
            {"ema": state.ema, "training": state.replace(ema={})},
            dataclasses.asdict(progress),
            score if images_seen == progress.images_seen else None,
        )

    def _save_or_warn(self, state: TrainState, progress: Progress) -> None:
        """Save a checkpoint; a failure, such as a full disk, does not end the run."""
        try:
            self._save(state, progress)
            self._save_is_due = False
        except CheckpointError as error:
            self._warn(error)

    def _warn(self, error: CheckpointError) -> None:
        self._logger.line(f"WARNING: {error}. The run continues and will try again.")
        self._logger.event("checkpoint_failed", message=str(error))


def restore(
    checkpoints: Checkpoints, setup: Setup, step: int | None = None
) -> tuple[TrainState, Progress]:
    """Restore a state and its progress.

    Args:
      checkpoints: the checkpoints of the run.
      setup: the training.
      step: number of the checkpoint; None for the newest that is intact.
    """
    state = setup.abstract_state
    probability = controller.from_config(setup.experiment.training).initial
    _, items, meta = checkpoints.restore(
        {"ema": state.ema, "training": state.replace(ema={})},
        step,
        initial={"training/augment_probability": probability},
    )
    return items["training"].replace(ema=items["ema"]), Progress(**meta)
