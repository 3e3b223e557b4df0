"""The checkpoints of one directory, written and read by Orbax."""

import contextlib
import os
import uuid
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath
from orbax.checkpoint.checkpoint_managers import preservation_policy

from stylegan_jax.checkpoint.failures import (
    CheckpointError,
    Damaged,
    free_bytes,
    in_all_processes,
    megabytes,
    reading,
    reason_of,
)
from stylegan_jax.checkpoint.integrity import PyTree, json_checksum, signature
from stylegan_jax.checkpoint.items import (
    abstract,
    check_fits,
    check_items,
    json_round_trip,
)
from stylegan_jax.checkpoint.leftovers import (
    close_after_failure,
    remove_unfinished,
    set_aside,
)
from stylegan_jax.checkpoint.retention import Best
from stylegan_jax.runtime import storage

META = "meta"
INTEGRITY = "integrity"


class Checkpoints:
    """The checkpoints of one directory; reading alone changes nothing in it."""

    def __init__(
        self,
        directory: str | os.PathLike,
        keep: int,
        on_warning: Callable[[str], None] = warnings.warn,
        keep_best: int = 0,
    ):
        """Names the directory; it is created by the first save.

        Args:
          directory: where the checkpoints are; need not exist.
          keep: how many of the newest to keep, at least 1. While one is being
            written there is one more, so the disk must hold `keep` + 1.
          on_warning: told when a damaged checkpoint is skipped.
          keep_best: how many to keep beside them of those with the highest score.

        Raises:
          ValueError: if `keep` is below 1.
        """
        if keep < 1:
            raise ValueError(f"`keep` (={keep}) must be at least 1")
        self.directory = epath.Path(directory).expanduser()
        self._in_bucket = storage.scheme_of(directory) is not None
        if not self._in_bucket:
            self.directory = epath.Path(os.path.abspath(self.directory))
        self._keep, self._keep_best = keep, keep_best
        self._scores: dict[int, float] = {}
        self._on_warning = on_warning
        self._writing = False
        self._manager = self._open()
        self._pending: tuple[int, int] | None = None
        self._damaged: set[int] = set()

    def save(
        self,
        step: int,
        items: Mapping[str, PyTree],
        meta: dict,
        score: float | None = None,
    ) -> None:
        """Starts to write a checkpoint; does nothing if this step has one.

        Waits for the save before, then for the arrays and their copy to the host;
        afterwards they may be donated. The files are written in the background.

        Args:
          step: number of the checkpoint, above all existing ones.
          items: pytrees of `jax.Array`, each under a name of its own.
          meta: what JSON can hold; tuples come back as lists, keys as strings.
          score: how good it is, more is better; None if nobody knows.

        Raises:
          CheckpointError: if this save cannot start or the one before it failed; in
            either case this one was not made, and may be tried again.
          ValueError: for arguments that cannot be saved, or a step out of order.
        """
        check_items(items, reserved=(META, INTEGRITY))
        meta = json_round_trip(meta)
        self.wait()
        try:
            self._open_for_writing()
        except OSError as error:
            raise CheckpointError(
                f"cannot write checkpoints to {self.directory}: {reason_of(error)}"
            ) from error
        steps = self._manager.all_steps()
        if step in steps:
            return
        if steps and step < max(steps):
            raise ValueError(
                f"checkpoint step (={step}) must be above the newest one, "
                f"{max(steps)}, in {self.directory}; to go on from an older "
                f"checkpoint use another directory, or move the newer ones away"
            )
        integrity = {
            "meta": json_checksum(meta),
            "items": {name: signature(tree) for name, tree in items.items()},
            "score": score,
        }
        if score is not None:
            self._scores[step] = score
        # Wrapped, because Orbax wants a container and an item may be one array.
        arguments = {k: ocp.args.StandardSave([v]) for k, v in items.items()}
        arguments[META] = ocp.args.JsonSave(meta)
        arguments[INTEGRITY] = ocp.args.JsonSave(integrity)
        self._pending = step, sum(x.nbytes for x in jax.tree.leaves(items))
        self._check_writable()
        failure = None
        try:
            # force: our own rules above replace Orbax's, which skip without a word.
            self._manager.save(step, args=ocp.args.Composite(**arguments), force=True)
        except Exception as error:  # Orbax has no class for it
            failure = error
        self._agree(failure)

    def wait(self) -> None:
        """Returns when the last save is on disk; all processes have to call it.

        Raises:
          CheckpointError: if it failed in any process; said once, older checkpoints
            are unharmed and the next save may succeed.
        """
        if self._pending is None:
            return
        failure = None
        try:
            self._manager.wait_until_finished()
        except Exception as error:  # Orbax has no class for it
            failure = error
        self._agree(failure)
        self._pending = None

    def restore(
        self, templates: Mapping[str, PyTree], step: int | None = None
    ) -> tuple[int, dict[str, PyTree], dict]:
        """Reads and verifies the newest intact checkpoint, or the one of `step`.

        Args:
          templates: per item wanted (not necessarily all that were saved) a pytree
            of `jax.ShapeDtypeStruct` with shardings, or of arrays like those wanted.
          step: this one and no other; None for the newest that is intact. Damaged
            ones are skipped with a warning; the next save renames them
            `<step>.damaged`.

        Returns:
          The step, the items named by `templates`, and the metadata.

        Raises:
          CheckpointError: if none is intact; says what is wrong with each. Or if one
            could not be read for a reason that may pass.
          ValueError: if an intact one does not fit the templates.
        """
        templates = {name: abstract(name, tree) for name, tree in templates.items()}
        found, (items, meta), damaged = self._first_intact(
            step, lambda candidate: self._read(candidate, templates)
        )
        self._damaged = damaged
        return found, items, meta

    def latest_step(self) -> int | None:
        """The newest complete checkpoint, its content unverified; None without any."""
        self.wait()
        self._manager.reload()
        return max(self._manager.all_steps(), default=None)

    def items(self, step: int | None = None) -> tuple[str, ...]:
        """What `step` holds, or the newest checkpoint whose list of items is readable.

        Raises:
          CheckpointError: if there is none.
        """
        _, (_, items), _ = self._first_intact(step, self._read_json)
        return tuple(items)

    def close(self) -> None:
        """Waits for the last save and ends the background threads.

        Of this process alone: one that ends by an error closes while others do not.

        Raises:
          CheckpointError: if that save failed here.
        """
        try:
            if self._pending is not None:
                self._manager.wait_until_finished()
        except Exception as error:  # Orbax has no class for it
            raise self._failed(error) from error
        finally:
            self._manager.close()

    def _open(self) -> ocp.CheckpointManager:
        policies = [
            preservation_policy.LatestN(self._keep),
            Best(self._keep_best, self._scores),
        ]
        options = ocp.CheckpointManagerOptions(
            preservation_policy=preservation_policy.AnyPreservationPolicy(policies),
            create=self._writing,
            # We do it: theirs runs in a thread and tells its errors to a later save.
            cleanup_tmp_directories=False,
        )
        return ocp.CheckpointManager(self.directory, options=options)

    def _open_for_writing(self) -> None:
        if self._writing and not self._damaged:
            return
        # Damaged steps would count as the newest and crowd out the intact ones.
        failure = None
        try:
            if ocp.utils.is_primary_host(0):
                for step in self._damaged:
                    set_aside(self.directory / str(step))
                # Not when reading, for another program may just be writing there.
                remove_unfinished(self.directory)
        except OSError as error:
            failure = error
        if not in_all_processes(failure is None):
            raise failure or OSError("the main process cannot tidy it up")
        self._damaged = set()
        if not self._writing and self._keep_best:
            self._read_scores()
        self._writing = True
        self._manager.close()
        try:
            self._manager = self._open()
        except OSError:
            self._writing = False
            self._manager = self._open()
            raise

    def _check_writable(self) -> None:
        # Where Orbax itself fails to make a directory, it leaves threads behind that
        # hold up the end of the program for minutes.
        trial = self.directory / f".trial-{uuid.uuid4().hex}"
        failure = None
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            if self._in_bucket:  # which has objects only
                trial.write_text("")
                trial.unlink()
            else:
                trial.mkdir()
                trial.rmdir()
        except OSError as error:
            failure = error
        self._agree(failure)

    def _agree(self, failure: Exception | None) -> None:
        """Fails in all processes, which have to call it, if in one."""
        if not in_all_processes(failure is None):
            failure = failure or OSError("another process of the run could not write")
            raise self._failed(failure) from failure

    def _failed(self, error: Exception) -> CheckpointError:
        """Describes the failure, removes what the save left, and starts afresh."""
        step, size_bytes = self._pending
        self._pending = None
        free = free_bytes(self.directory)
        # The old manager has forgotten a step that it did not delete in the end.
        close_after_failure(self._manager)
        if ocp.utils.is_primary_host(0):
            remove_unfinished(self.directory)
        try:
            self._manager = self._open()
        except OSError:  # not even the directory can be made; the next save says so
            self._writing = False
            self._manager = self._open()
        last = max(self._manager.all_steps(), default=None)
        unharmed = (
            f"The last complete checkpoint is step {last}, unharmed."
            if last is not None
            else "There is no complete checkpoint yet."
        )
        return CheckpointError(
            f"saving step {step} to {self.directory} failed: {reason_of(error)}. "
            f"Its arrays take {megabytes(size_bytes)}; free on that disk when it "
            f"failed: {megabytes(free)}. {unharmed} Free some space or mend the "
            f"cause, then save again"
        )

    def _first_intact(
        self, step: int | None, read: Callable[[int], Any]
    ) -> tuple[int, Any, set[int]]:
        """Returns the step that could be read, what was read, and the damaged ones."""
        self.wait()
        self._manager.reload()
        steps = sorted(self._manager.all_steps(), reverse=True)
        candidates = steps if step is None else [s for s in steps if s == step]
        if not candidates:
            wanted = "" if step is None else f" of step {step}"
            there = f"there are steps {steps[::-1]}" if steps else "there is none"
            raise CheckpointError(f"no checkpoint{wanted} in {self.directory}; {there}")
        reasons: dict[int, str] = {}
        for candidate, older in zip(candidates, [*candidates[1:], None], strict=True):
            try:
                return candidate, read(candidate), set(reasons)
            except Damaged as damage:
                reasons[candidate] = str(damage)
            if older is not None:
                self._on_warning(
                    f"checkpoint {candidate} in {self.directory} is damaged and not "
                    f"used ({reasons[candidate]}); trying the older one, {older}"
                )
        raise CheckpointError(
            f"no intact checkpoint in {self.directory}; tried {len(reasons)}: "
            + "; ".join(f"step {s}: {reason}" for s, reason in reasons.items())
            + ". Bring the files back from a copy, or start in another directory"
        )

    def _read_scores(self) -> None:
        """Those that were saved, by whatever run of the program."""
        for step in self._manager.all_steps():
            with contextlib.suppress(Damaged):  # which `restore` tells
                score = self._read_integrity(step)[1].get("score")
                if score is not None:
                    self._scores[step] = score

    def _read_json(self, step: int) -> tuple[dict, dict]:
        meta, integrity = self._read_integrity(step)
        return meta, integrity["items"]

    def _read_integrity(self, step: int) -> tuple[dict, dict]:
        """The metadata, and what is known of all that was saved."""
        with reading(f"checkpoint {step} in {self.directory}"):
            restored = self._manager.restore(
                step,
                args=ocp.args.Composite(
                    **{META: ocp.args.JsonRestore(), INTEGRITY: ocp.args.JsonRestore()}
                ),
            )
            meta, integrity = restored[META], restored[INTEGRITY]
            if json_checksum(meta) != integrity["meta"]:
                raise ValueError("the checksum of the metadata differs")
            if not isinstance(integrity["items"], dict):
                raise ValueError("the list of its items is unreadable")
        return meta, integrity

    def _read(
        self, step: int, templates: dict[str, PyTree]
    ) -> tuple[dict[str, PyTree], dict]:
        meta, saved = self._read_json(step)
        for name, template in templates.items():
            check_fits(f"checkpoint {step} in {self.directory}", name, template, saved)
        if not templates:
            return {}, meta
        with reading(f"checkpoint {step} in {self.directory}"):
            restored = self._manager.restore(
                step,
                args=ocp.args.Composite(
                    **{k: ocp.args.StandardRestore([v]) for k, v in templates.items()}
                ),
            )
        items = {name: restored[name][0] for name in templates}
        for name, tree in items.items():
            actual = signature(tree)
            changed = [k for k, v in saved[name].items() if actual[k] != v]
            if changed:
                raise Damaged(
                    f"the checksum of `{name}/{changed[0]}` differs ({len(changed)} "
                    f"of the {len(actual)} arrays of `{name}`): the bytes on disk "
                    f"are not those that were written"
                )
        return items, meta
