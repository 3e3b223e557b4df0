"""Guard against mode collapse, with the action that `training.on_collapse` selects.

A generator has collapsed when its images have lost their variety, as measured by
MS-SSIM or recall (see `evaluator.collapse_alarm`) or against held-out images
(`overfitting.HeldOutScores`). The images of an untrained generator are alike, too, so a
lack of variety counts only in successive measurements, and only after the same
measurement has found a variety that is not close to its limit.

A run is rolled back at most once. The file `rollback.json` in its directory records the
rollback and the lower learning rate, which a resumed run reads.
"""

import dataclasses
import json
from collections.abc import Mapping

import jax
from etils import epath

from stylegan_jax.checkpoint import Checkpoints
from stylegan_jax.runtime import json_files, storage
from stylegan_jax.runtime.collectives import all_processes, gather_texts
from stylegan_jax.runtime.logger import RunLogger
from stylegan_jax.runtime.parallel import Parallel
from stylegan_jax.training.progress import Progress
from stylegan_jax.training.state import TrainState

FILE = "rollback.json"  # name of the record in the directory of a run
PATIENCE = 2  # successive measurements without variety that count as a collapse
LOWERED = 0.5  # factor of the learning rates of both networks after a rollback


class Collapsed(RuntimeError):
    """Error for a run that must stop because the generator has collapsed."""


@dataclasses.dataclass(frozen=True)
class EvalResult:
    """Result of a measurement of the generator.

    Attributes:
      score: score by which the best checkpoints are kept, higher is better; None if the
        experiment does not keep the best.
      alarm: warning for the progress line until the next measurement, but not about
        variety; None for none.
      collapse: warning that the images lack variety, "" if they have variety, and None
        if that was not measured.
      clearly_varied: False if their variety is close to the limit.
    """

    score: float | None
    alarm: str | None
    collapse: str | None = None
    clearly_varied: bool = True


@dataclasses.dataclass(frozen=True)
class Rollback:
    """The rollback of a run.

    Attributes:
      collapse_images: images seen when the collapse was detected.
      checkpoint: number of the checkpoint that was restored.
      learning_rate_factor: factor of the learning rates after it.
      set_aside: numbers of the newer checkpoints, which are renamed.
      complete: True once they have been renamed.
    """

    collapse_images: int
    checkpoint: int
    learning_rate_factor: float
    set_aside: tuple[int, ...]
    complete: bool


class CollapseGuard:
    """Watches the variety of the generated images, and rolls a run back."""

    def __init__(
        self,
        action: str,
        directory: epath.Path,
        checkpoints: Checkpoints,
        parallel: Parallel,
    ):
        """Read the record of a rollback; all processes must call this.

        Call this before the newest checkpoint is restored, because it completes an
        interrupted rollback.

        Args:
          action: `training.on_collapse`.
          directory: directory of the run.
          checkpoints: its checkpoints.
          parallel: the devices.

        Raises:
          ValueError: the record of a rollback is damaged.
          CheckpointError: an interrupted rollback cannot be completed.
        """
        self._action, self._path = action, directory / FILE
        self._checkpoints, self._parallel = checkpoints, parallel
        self._rollback = self._read()
        if self._rollback is not None and not self._rollback.complete:
            self._complete(self._rollback)

    @property
    def learning_rate_factor(self) -> float:
        """Factor of the learning rates: 1, or lower after a rollback."""
        return 1.0 if self._rollback is None else self._rollback.learning_rate_factor

    @property
    def summary(self) -> str | None:
        """Message for the log of a resumed run that was rolled back; else None."""
        if self._rollback is None:
            return None
        return (
            f"this run was rolled back from {self._rollback.collapse_images / 1000:g} "
            f"to {self._rollback.checkpoint / 1000:g} kimg; its learning rates are "
            f"{self.learning_rate_factor:g} times the configured ones"
        )

    def suspects(self, progress: Progress) -> bool:
        """Return True while new checkpoints must not replace older ones."""
        signs = any(progress.collapse_signs.values())
        return self._action != "continue" and bool(progress.varied_images) and signs

    def alarm(self, name: str, result: EvalResult, progress: Progress) -> str | None:
        """Return the warnings of a measurement for the progress line, None for none.

        Call this after `has_collapsed`.
        """
        collapse = result.collapse if name in progress.collapse_signs else None
        return ", ".join(filter(None, (result.alarm, collapse))) or None

    def has_collapsed(
        self,
        progress: Progress,
        results: Mapping[str, EvalResult | None],
        logger: RunLogger,
    ) -> bool:
        """Record the measurements of a tick; all processes must call this.

        Args:
          progress: the run's progress, whose record of variety is updated.
          results: the result of each measurement; None if it was not due.
          logger: receives the warning.

        Returns:
          True, in every process, if the run must be rolled back.

        Raises:
          Collapsed: the run must stop.
        """
        measured = {
            name: result
            for name, result in results.items()
            if result is not None and result.collapse is not None
        }
        established = False
        for name, result in measured.items():
            any_process = self._parallel.any_process
            collapsed = any_process(bool(result.collapse))()
            doubtful = any_process(not result.clearly_varied)()
            if name not in progress.collapse_signs and (collapsed or doubtful):
                continue  # it has not found variety yet
            signs = progress.collapse_signs[name] + 1 if collapsed else 0
            progress.collapse_signs[name] = signs
            # A run that continues reports a collapse only once.
            repeats = signs > PATIENCE and self._action == "continue"
            established |= signs >= PATIENCE and not repeats
        counts = [progress.collapse_signs.get(name) for name in measured]
        if 0 in counts and not any(progress.collapse_signs.values()):
            progress.varied_images = progress.images_seen
        if not established or progress.varied_images is None:
            return False
        alarms = [
            result.collapse
            for name, result in measured.items()
            if progress.collapse_signs.get(name)
        ]
        self._report(progress, alarms, logger)
        return self._action == "rollback"

    def _report(self, progress: Progress, alarms: list[str], logger: RunLogger) -> None:
        """Log a warning about a collapse, or raise Collapsed."""
        kimg = progress.images_seen / 1000
        what = (
            f"the generator collapsed by {kimg:g} kimg ({', '.join(alarms)}); its "
            f"images had variety at {progress.varied_images / 1000:g} kimg"
        )
        remedy = (
            "raise `training.r1_gamma`, lower `training.learning_rate`, or add "
            "`training.augment`, in another --workdir; with "
            "--config.training.on_collapse=continue, the run continues from its last "
            "checkpoint"
        )
        if self._action == "stop":
            raise Collapsed(
                f"{what}, and `training.on_collapse` is 'stop'; nothing has been saved "
                f"since the first sign; {remedy}"
            )
        if self._action == "rollback" and self._rollback is not None:
            raise Collapsed(
                f"{what}; the run was rolled back once already, from "
                f"{self._rollback.collapse_images / 1000:g} kimg, and is not rolled "
                f"back again; {remedy}"
            )
        after = (
            "`training.on_collapse` is 'continue', so the training continues"
            if self._action == "continue"
            else "the run is rolled back"
        )
        logger.warning(progress.images_seen, f"{what}; {after}")

    def roll_back(
        self, state: TrainState, progress: Progress, logger: RunLogger
    ) -> int:
        """Choose an older checkpoint to restore; all processes must call this.

        Args:
          state: the collapsed state, whose memory is freed.
          progress: the run's progress.
          logger: receives the warning.

        Returns:
          The number of the checkpoint. Of those saved while the images had variety, it
          is the best by `evaluation.best`, or else the newest.

        Raises:
          Collapsed: there is no checkpoint to go back to.
          CheckpointError: checkpoints cannot be read or renamed.
          OSError: the record cannot be written.
        """
        step = self._checkpoints.best_step(progress.varied_images)
        if step is None:
            raise Collapsed(
                "the generator collapsed before a checkpoint was saved, so there is "
                "none to roll back to; raise `training.r1_gamma`, or lower "
                "`run.checkpoint_every_ticks`"
            )
        jax.tree.map(lambda x: x.delete(), state)
        newer = tuple(self._checkpoints.steps_after(step))
        rollback = Rollback(progress.images_seen, step, LOWERED, newer, False)
        self._write(rollback)
        self._complete(rollback)
        message = (
            f"rolled back from {progress.images_seen / 1000:g} to {step / 1000:g} "
            f"kimg; from here on, the learning rates of both networks are {LOWERED:g} "
            "times the configured ones. If the generator collapses again, the run stops"
        )
        logger.warning(progress.images_seen, message)
        return step

    def _complete(self, rollback: Rollback) -> None:
        self._checkpoints.set_aside(rollback.set_aside, "collapsed")
        self._rollback = dataclasses.replace(rollback, complete=True)
        self._write(self._rollback)

    def _write(self, rollback: Rollback) -> None:
        """Write the record in the main process; every process raises if that fails."""
        failure = None
        try:
            if self._parallel.is_main:
                content = json.dumps(dataclasses.asdict(rollback), indent=2)
                storage.write_atomically(self._path, f"{content}\n".encode())
        except OSError as error:
            failure = error
        if not all_processes(failure is None):
            raise failure or OSError(f"the main process cannot write {self._path}")

    def _read(self) -> Rollback | None:
        """Read the record in the main process, and return it in all; None for none."""
        text, remedy = "", "remove it to forget that the run was rolled back"
        if self._parallel.is_main and self._path.exists():
            try:
                text = json.dumps(json_files.read_object(self._path, remedy))
            except ValueError as error:
                text = f"!{error}"
        text = gather_texts(text)[0]
        if text.startswith("!"):
            raise ValueError(text[1:])
        if not text:
            return None
        fields = json.loads(text)
        try:
            return Rollback(**fields | {"set_aside": tuple(fields["set_aside"])})
        except (KeyError, TypeError) as error:
            raise ValueError(f"{self._path} is damaged: {error}; {remedy}") from error
