"""The checkpoints of one directory."""

import contextlib
import os
import uuid
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath

from stylegan_jax.checkpoint import failures, manager
from stylegan_jax.checkpoint.failures import CheckpointError, DamagedError
from stylegan_jax.checkpoint.integrity import (
    PyTree,
    json_checksum,
    named_arrays,
    signature,
)
from stylegan_jax.checkpoint.items import (
    abstract,
    check_items,
    json_round_trip,
)
from stylegan_jax.checkpoint.stored import INTEGRITY, META, StoredCheckpoint
from stylegan_jax.runtime import collectives, storage
from stylegan_jax.runtime.messages import listed

TRIAL_BYTES = 2**16


class Checkpoints:
    """The checkpoints of one directory; reading them changes nothing in it."""

    def __init__(
        self,
        directory: str | os.PathLike,
        keep: int,
        on_warning: Callable[[str], None] = warnings.warn,
        keep_best: int = 0,
    ):
        """Open a directory, which the first save creates.

        Args:
          directory: directory of the checkpoints; it need not exist.
          keep: number of the newest checkpoints to keep, at least 1. There is one more
            while a new one is being written, so the disk must hold `keep` + 1.
          on_warning: receives a message when a damaged checkpoint is skipped.
          keep_best: number of checkpoints with the highest scores to keep as well.

        Raises:
          ValueError: if `keep` is below 1.
        """
        if keep < 1:
            raise ValueError(f"`keep` (={keep}) must be at least 1")
        self.directory = epath.Path(directory).expanduser()
        if storage.scheme_of(directory) is None:
            self.directory = epath.Path(os.path.abspath(self.directory))
        self._keep, self._best = keep, manager.KeepBest(keep_best, {})
        self._on_warning = on_warning
        self._arrays = manager.ArrayHandler()
        self._manager = self._open()
        self._pending: tuple[int, int] | None = None  # step, bytes
        self._while_saving = contextlib.ExitStack()
        # Equal in all processes, because all of them branch on these.
        self._is_clean = False  # the leftovers of earlier programs are removed
        self._has_scores = False  # those of earlier programs have been read
        self._damaged: set[int] = set()

    def save(
        self,
        step: int,
        items: Mapping[str, PyTree],
        meta: dict,
        score: float | None = None,
    ) -> None:
        """Start writing a checkpoint; do nothing if one of this step exists.

        Wait for the previous save, and until the arrays have been copied to the host;
        afterwards they may be donated. The files are written in the background.

        Args:
          step: number of the checkpoint, greater than that of all existing ones.
          items: pytrees of `jax.Array` by name.
          meta: JSON data; tuples are read back as lists, and keys as strings.
          score: quality of the checkpoint, higher is better; None if unknown.

        Raises:
          CheckpointError: if this save cannot start or the previous one failed. In
            either case this checkpoint was not written, and may be saved again.
          ValueError: if the arguments cannot be saved, or the step is not the newest.
        """
        check_items(items, reserved=(META, INTEGRITY))
        meta = json_round_trip(meta)
        self.wait()
        failure = None
        try:
            self._prepare_to_write()
        except OSError as error:
            failure = error
        if not collectives.all_processes(failure is None):
            failure = failure or OSError("another process of the run cannot")
            raise CheckpointError(
                f"cannot write checkpoints to {self.directory}: "
                f"{failures.reason_of(failure)}"
            ) from failure
        steps = self._agreed_steps()
        if step in steps:
            return
        if steps and step < max(steps):
            raise ValueError(
                f"checkpoint step (={step}) must be greater than the newest, "
                f"{max(steps)}, in {self.directory}; to continue from an older "
                "checkpoint use another directory, or move the newer ones away"
            )
        self._read_scores(steps)
        leaves = {name: named_arrays(tree) for name, tree in items.items()}
        integrity = {
            "meta": json_checksum(meta),
            "items": {name: signature(arrays) for name, arrays in leaves.items()},
            "score": score,
        }
        if score is not None:
            self._best.scores[step] = score
        arguments = {k: manager.save_args(tree) for k, tree in items.items()}
        arguments[META] = ocp.args.JsonSave(meta)
        arguments[INTEGRITY] = ocp.args.JsonSave(integrity)
        self._pending = step, sum(x.nbytes for x in jax.tree.leaves(leaves))
        self._while_saving.enter_context(failures.orbax_tracebacks_hidden())
        self._check_writable()
        failure = None
        try:
            # force: the checks above replace Orbax's, which skips a step silently.
            self._manager.save(step, args=ocp.args.Composite(**arguments), force=True)
        except Exception as error:  # Orbax often raises plain Exception
            failure = error
        self._raise_in_all_processes(failure)

    def wait(self) -> None:
        """Wait until the last save is on disk; all processes must call it.

        Raises:
          CheckpointError: if it failed in any process. It is raised once; the older
            checkpoints are intact, and the next save may succeed.
        """
        if self._pending is None:
            return
        failure = None
        try:
            self._manager.wait_until_finished()
        except Exception as error:  # Orbax often raises plain Exception
            failure = error
        self._raise_in_all_processes(failure)
        self._end_save()

    def restore(
        self,
        templates: Mapping[str, PyTree],
        step: int | None = None,
        initial: Mapping[str, float] | None = None,
    ) -> tuple[int, dict[str, PyTree], dict]:
        """Read and verify the newest intact checkpoint, or that of a given step.

        Arrays are matched by name; the module `names` lists renamed arrays, and the
        values of arrays that older checkpoints lack.

        Args:
          templates: for each saved item to be read, a pytree of arrays or of
            `jax.ShapeDtypeStruct` with shardings.
          step: number of the checkpoint; None for the newest that is intact. Damaged
            ones are skipped with a warning, and the next save renames them to
            `<step>.damaged`.
          initial: initial values, by "item/name", of arrays that older checkpoints may
            lack, see `names.ADDED`.

        Returns:
          The step, the items named by `templates`, and the metadata.

        Raises:
          CheckpointError: if none is intact, with a reason for each; or if one could
            not be read for a reason that may be temporary.
          ValueError: if an intact one does not match the templates.
        """
        templates = {k: abstract(k, tree) for k, tree in templates.items()}
        found, (restored, meta), damaged = self._first_intact(
            step, lambda stored: stored.read(templates, initial or {})
        )
        self._damaged = damaged
        return found, restored, meta

    def latest_step(self) -> int | None:
        """Return the step of the newest complete checkpoint, unverified, or None."""
        self.wait()
        self._manager.reload()
        return max(self._manager.all_steps(), default=None)

    def best_step(self, until: int) -> int | None:
        """Return the step with the highest score; all processes must call it.

        Args:
          until: later steps do not count; if all steps are later, the oldest is
            returned.

        Returns:
          The step; of those without a score, the newest. None if there is none.
        """
        steps = self._reloaded_steps()
        self._read_scores(steps)
        earlier = [step for step in steps if step <= until]
        if not earlier:
            return min(steps, default=None)
        scores = self._best.scores
        scored = [step for step in earlier if step in scores]
        return max(scored, key=lambda s: (scores[s], s)) if scored else max(earlier)

    def steps_after(self, step: int) -> list[int]:
        """Return the newer steps, in order; all processes must call it."""
        return [s for s in self._reloaded_steps() if s > step]

    def set_aside(self, steps: Iterable[int], reason: str) -> None:
        """Rename checkpoints to `<step>.<reason>`; all processes must call it.

        Steps that do not exist are ignored.

        Raises:
          CheckpointError: one cannot be renamed.
        """
        self.wait()
        failure = None
        try:
            if collectives.is_main_process():
                for step in steps:
                    failures.set_aside(self.directory / str(step), reason)
        except OSError as error:
            failure = error
        if not collectives.all_processes(failure is None):
            failure = failure or OSError("the main process cannot")
            raise CheckpointError(
                f"cannot rename checkpoints in {self.directory}: "
                f"{failures.reason_of(failure)}"
            ) from failure
        self._manager.reload()
        for step in steps:
            self._best.scores.pop(step, None)

    def items(self, step: int | None = None) -> tuple[str, ...]:
        """Return the names of a checkpoint's items.

        Args:
          step: number of the checkpoint; None for the newest with a readable list.

        Raises:
          CheckpointError: if there is none.
        """
        _, (_, saved), _ = self._first_intact(step, StoredCheckpoint.read_json)
        return tuple(saved)

    def close(self) -> None:
        """Wait for the last save and end the background threads.

        This is not collective: a process that ends with an error closes its checkpoints
        while the others do not.

        Raises:
          CheckpointError: if the last save failed in this process.
        """
        try:
            if self._pending is not None:
                self._manager.wait_until_finished()
        except Exception as error:  # Orbax often raises plain Exception
            raise self._clean_up(error) from error
        finally:
            self._manager.close()
            self._end_save()

    def _open(self) -> ocp.CheckpointManager:
        return manager.open_manager(
            self.directory, self._arrays, self._keep, self._best
        )

    def _prepare_to_write(self) -> None:
        """Remove the leftovers of earlier programs, and list the checkpoints again."""
        if self._damaged or not self._is_clean:
            failure = None
            try:
                if collectives.is_main_process():
                    # They would count as the newest and displace the intact ones.
                    for step in self._damaged:
                        failures.set_aside(self.directory / str(step))
                    # Not done for reading, because another program may be writing.
                    failures.remove_unfinished(self.directory)
            except OSError as error:
                failure = error
            if not collectives.all_processes(failure is None):
                raise failure or OSError("the main process cannot clean it up")
            self._damaged, self._is_clean = set(), True
        self._manager.reload()

    def _check_writable(self) -> None:
        # If Orbax cannot create a directory, it leaves threads behind that delay the
        # end of the program by minutes; if it cannot write its metadata, it prints a
        # traceback for every array.
        trial = self.directory / f".trial-{uuid.uuid4().hex}"
        failure = None
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            try:
                trial.write_bytes(bytes(TRIAL_BYTES))
            finally:
                trial.unlink(missing_ok=True)
        except OSError as error:
            failure = error
        self._raise_in_all_processes(failure)

    def _raise_in_all_processes(self, failure: Exception | None) -> None:
        """Raise if the save failed in any process; all must call it."""
        if not collectives.all_processes(failure is None):
            failure = failure or OSError("another process of the run could not write")
            raise self._clean_up(failure) from failure

    def _clean_up(self, error: Exception) -> CheckpointError:
        """Clean up after a failed save, reopen the manager, describe the failure."""
        step, size_bytes = self._pending
        free = failures.free_bytes(self.directory)
        # The old manager no longer lists steps whose deletion was only planned.
        manager.close_after_failure(self._manager)
        self._arrays.drain_writes()
        self._end_save()
        if collectives.is_main_process():
            failures.remove_unfinished(self.directory)
        self._manager = self._open()
        last = max(self._manager.all_steps(), default=None)
        intact = (
            f"the last complete checkpoint, step {last}, is intact"
            if last is not None
            else "there is no complete checkpoint yet"
        )
        return CheckpointError(
            f"saving step {step} to {self.directory} failed: "
            f"{failures.reason_of(error)} (its arrays take "
            f"{failures.format_megabytes(size_bytes)}, and the disk had "
            f"{failures.format_megabytes(free)} free when it failed); {intact}; free "
            "some space or fix the cause, then save again"
        )

    def _end_save(self) -> None:
        self._pending = None
        self._arrays.forget_writes()
        self._while_saving.close()

    def _agreed_steps(self) -> list[int]:
        """Return the steps on disk; all processes must call it.

        Raises:
          CheckpointError: if the processes see different ones.
        """
        steps = sorted(self._manager.all_steps())
        everywhere = collectives.gather_texts(str(steps))
        if len(set(everywhere)) > 1:
            raise CheckpointError(
                f"the processes see different checkpoints in {self.directory}, in the "
                f"order of the processes: {'; '.join(everywhere)}; it must be one "
                "directory for all of them, on a shared file system or in a bucket"
            )
        return steps

    def _reloaded_steps(self) -> list[int]:
        """Return the steps on disk after the last save; see `_agreed_steps`."""
        self.wait()
        self._manager.reload()
        return self._agreed_steps()

    def _first_intact(
        self, step: int | None, read: Callable[[StoredCheckpoint], Any]
    ) -> tuple[int, Any, set[int]]:
        """Return the step that could be read, its content, and the damaged steps."""
        steps = self._reloaded_steps()[::-1]
        candidates = steps if step is None else [s for s in steps if s == step]
        if not candidates:
            wanted = "" if step is None else f" of step {step}"
            # The newest come first, because a message lists only the first ones.
            present = f"there are steps {listed(steps)}" if steps else "there is none"
            raise CheckpointError(
                f"no checkpoint{wanted} in {self.directory}; {present}"
            )
        reasons: dict[int, str] = {}
        for candidate, older in zip(candidates, [*candidates[1:], None], strict=True):
            try:
                return candidate, read(self._stored(candidate)), set(reasons)
            except DamagedError as damage:
                reasons[candidate] = str(damage)
            if older is not None:
                self._on_warning(
                    f"checkpoint {candidate} in {self.directory} is damaged and not "
                    f"used ({reasons[candidate]}); trying the older one, {older}"
                )
        raise CheckpointError(
            f"no intact checkpoint in {self.directory}; tried {len(reasons)}: "
            + "; ".join(f"step {s}: {reason}" for s, reason in reasons.items())
            + "; restore the files from a backup, or start in another directory"
        )

    def _read_scores(self, steps: list[int]) -> None:
        """Read the scores that earlier programs saved with these steps."""
        if self._has_scores or not self._best.count:
            return
        for step in steps:
            with contextlib.suppress(DamagedError):  # `restore` reports it
                score = self._stored(step).read_integrity()[1].get("score")
                if score is not None:
                    self._best.scores[step] = score
        self._has_scores = True

    def _stored(self, step: int) -> StoredCheckpoint:
        return StoredCheckpoint(self._manager, self._arrays, self.directory, step)
