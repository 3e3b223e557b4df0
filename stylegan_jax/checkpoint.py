"""Checkpoints: any pytrees of arrays plus JSON metadata, written by Orbax.

A save is asynchronous and atomic (a temporary directory, renamed when complete), and
the last `keep` are kept, and those of the best scores. Orbax holds no checksums and
restores changed bytes without a word, so each checkpoint also carries our own, exact
and independent of how the arrays are sharded. A directory reads
`<directory>/<step>/{<items>, meta, integrity}`.

With several processes every process calls every method; the directory is shared.
"""

import contextlib
import dataclasses
import errno
import json
import logging
import math
import os
import shutil
import threading
import time
import uuid
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from jax.experimental import multihost_utils
from orbax.checkpoint.checkpoint_managers import preservation_policy

from stylegan_jax import paths

PyTree = Any
Leaves = dict[str, Any]

META = "meta"
INTEGRITY = "integrity"


class CheckpointError(RuntimeError):
    """A checkpoint could not be written, or none could be read."""


class _Damaged(Exception):
    """This one checkpoint cannot be read; an older one may."""


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
        self._in_bucket = paths.scheme_of(directory) is not None
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
        _check_items(items)
        meta = _json_round_trip(meta)
        self.wait()
        try:
            self._open_for_writing()
        except OSError as error:
            raise CheckpointError(
                f"cannot write checkpoints to {self.directory}: {_reason(error)}"
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
            "meta": _json_checksum(meta),
            "items": {name: _signature(tree) for name, tree in items.items()},
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
        try:
            # force: our own rules above replace Orbax's, which skip without a word.
            self._manager.save(step, args=ocp.args.Composite(**arguments), force=True)
        except Exception as error:  # Orbax has no class for it
            raise self._failed(error) from error

    def wait(self) -> None:
        """Returns when the last save is on disk.

        Raises:
          CheckpointError: if it failed; said once, older checkpoints are unharmed
            and the next save may succeed.
        """
        if self._pending is None:
            return
        try:
            self._manager.wait_until_finished()
        except Exception as error:  # Orbax has no class for it
            raise self._failed(error) from error
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
          CheckpointError: if none is intact; says what is wrong with each.
          ValueError: if an intact one does not fit the templates.
        """
        templates = {name: _abstract(name, tree) for name, tree in templates.items()}
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

        Raises:
          CheckpointError: if that save failed.
        """
        try:
            self.wait()
        finally:
            self._manager.close()

    def _open(self) -> ocp.CheckpointManager:
        policies = [
            preservation_policy.LatestN(self._keep),
            _Best(self._keep_best, self._scores),
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
        if ocp.utils.is_primary_host(0):
            for step in self._damaged:
                _set_aside(self.directory / str(step))
            # Not when reading, for another program may just be writing there.
            _remove_unfinished(self.directory)
        multihost_utils.sync_global_devices("checkpoint: directory tidied")
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
        if not _in_all_processes(failure is None):
            failure = failure or OSError("another process cannot write there")
            raise self._failed(failure) from failure

    def _failed(self, error: Exception) -> CheckpointError:
        """Describes the failure, removes what the save left, and starts afresh."""
        step, size_bytes = self._pending
        self._pending = None
        free = _free_bytes(self.directory)
        # The old manager has forgotten a step that it did not delete in the end.
        _close_after_failure(self._manager)
        if ocp.utils.is_primary_host(0):
            _remove_unfinished(self.directory)
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
            f"saving step {step} to {self.directory} failed: {_reason(error)}. "
            f"Its arrays take {_megabytes(size_bytes)}; free on that disk when it "
            f"failed: {_megabytes(free)}. {unharmed} Free some space or mend the "
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
            except _Damaged as damage:
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
            with contextlib.suppress(_Damaged):  # which `restore` tells
                score = self._read_integrity(step)[1].get("score")
                if score is not None:
                    self._scores[step] = score

    def _read_json(self, step: int) -> tuple[dict, dict]:
        meta, integrity = self._read_integrity(step)
        return meta, integrity["items"]

    def _read_integrity(self, step: int) -> tuple[dict, dict]:
        """The metadata, and what is known of all that was saved."""
        with _reading():
            restored = self._manager.restore(
                step,
                args=ocp.args.Composite(
                    **{META: ocp.args.JsonRestore(), INTEGRITY: ocp.args.JsonRestore()}
                ),
            )
            meta, integrity = restored[META], restored[INTEGRITY]
            if _json_checksum(meta) != integrity["meta"]:
                raise ValueError("the checksum of the metadata differs")
            if not isinstance(integrity["items"], dict):
                raise ValueError("the list of its items is unreadable")
        return meta, integrity

    def _read(
        self, step: int, templates: dict[str, PyTree]
    ) -> tuple[dict[str, PyTree], dict]:
        meta, saved = self._read_json(step)
        for name, template in templates.items():
            _check_fits(f"checkpoint {step} in {self.directory}", name, template, saved)
        if not templates:
            return {}, meta
        with _reading():
            restored = self._manager.restore(
                step,
                args=ocp.args.Composite(
                    **{k: ocp.args.StandardRestore([v]) for k, v in templates.items()}
                ),
            )
        items = {name: restored[name][0] for name in templates}
        for name, tree in items.items():
            actual = _signature(tree)
            changed = [k for k, v in saved[name].items() if actual[k] != v]
            if changed:
                raise _Damaged(
                    f"the checksum of `{name}/{changed[0]}` differs ({len(changed)} "
                    f"of the {len(actual)} arrays of `{name}`): the bytes on disk "
                    f"are not those that were written"
                )
        return items, meta


@dataclasses.dataclass
class _Best(preservation_policy.PreservationPolicy):
    """Preserves the `count` checkpoints of the highest scores, of equals the newer."""

    count: int
    scores: dict[int, float]

    def should_preserve(self, checkpoints, *, context):
        """Whether each is one of them."""
        del context
        steps = [info.step for info in checkpoints if info.step in self.scores]
        ranked = sorted(steps, key=lambda step: (self.scores[step], step), reverse=True)
        best = ranked[: self.count]
        return [info.step in best for info in checkpoints]


def _close_after_failure(manager: ocp.CheckpointManager) -> None:
    """Closes; the items' other errors are of the failed save that is being told."""
    for _ in range(10):
        try:
            manager.close()
            break
        except Exception as error:  # Orbax has no class for it
            logging.getLogger(__name__).debug("the failed save also said: %s", error)
    # Items that did not fail may still be writing into the unfinished directory.
    deadline = time.monotonic() + 30
    for thread in threading.enumerate():
        if type(thread).__module__.startswith("orbax."):
            # Their own join would raise the failure once more.
            threading.Thread.join(thread, max(0.0, deadline - time.monotonic()))


def _remove_unfinished(directory: epath.Path) -> None:
    """Removes what failed or killed saves left, so that it does not fill the disk."""
    for _ in range(50):
        # It raises while a last write is under way; hence several times.
        with contextlib.suppress(OSError):
            left = list(directory.glob("*.orbax-checkpoint-tmp"))
            for path in left:
                path.rmtree()
            if not left:
                return
        time.sleep(0.02)


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    """Turns what Orbax raises into _Damaged, in all processes if in one."""
    reason = None
    try:
        yield
    except Exception as error:  # Orbax has no class for it, often Exception itself
        if isinstance(_cause(error), (jax.errors.JaxRuntimeError, MemoryError)):
            raise  # out of memory and the like are not damage
        reason = _reason(error)
    if not _in_all_processes(reason is None):
        raise _Damaged(reason or "another process could not read it")


def _in_all_processes(true_here: bool) -> bool:
    return bool(np.all(multihost_utils.process_allgather(np.int32(true_here))))


def _check_items(items: Mapping[str, PyTree]) -> None:
    for name, tree in items.items():
        if name in (META, INTEGRITY):
            raise ValueError(f"item name `{name}` is taken; choose another")
        if not jax.tree.leaves(tree):
            raise ValueError(f"item `{name}` has no arrays; leave it out")
        for key, leaf in _leaves(tree).items():
            if not isinstance(leaf, jax.Array):
                raise ValueError(
                    f"`{name}/{key}` is a {type(leaf).__name__}; only jax.Array can "
                    f"be saved: wrap it in jnp.asarray, or put it into `meta`"
                )
            if not leaf.size:
                raise ValueError(
                    f"`{name}/{key}` is {list(leaf.shape)}; Orbax cannot save an "
                    f"array without elements: leave it out"
                )


def _abstract(name: str, tree: PyTree) -> PyTree:
    def abstract(path, leaf):
        if getattr(leaf, "sharding", None) is None:
            raise ValueError(
                f"template `{name}/{_name(path)}` (a {type(leaf).__name__}) has no "
                f"sharding; use jax.ShapeDtypeStruct(shape, dtype, sharding=...)"
            )
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)

    return jax.tree_util.tree_map_with_path(abstract, tree)


def _check_fits(where: str, name: str, template: PyTree, saved: dict) -> None:
    """Raises ValueError unless item `name` was saved with the template's arrays."""
    if name not in saved:
        raise ValueError(f"{where} has no item `{name}`; it has {sorted(saved)}")
    wanted, there = _leaves(template), saved[name]
    for key in sorted(wanted.keys() ^ there.keys()):
        side = "is missing from" if key in wanted else "is unexpected in"
        raise ValueError(
            f"array `{name}/{key}` {side} {where}: it was written by another "
            f"model, optimizer or version; use the config it was trained with"
        )
    for key, leaf in wanted.items():
        expected = _describe(leaf)
        if there[key][:2] != expected:
            raise ValueError(
                f"array `{name}/{key}` is {there[key][1]}{there[key][0]} in {where}, "
                f"but {expected[1]}{expected[0]} is wanted; use the config that "
                f"it was trained with"
            )


def _name(path: tuple) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/") or "value"


def _leaves(tree: PyTree) -> Leaves:
    return {_name(k): v for k, v in jax.tree_util.tree_leaves_with_path(tree)}


def _describe(leaf: Any) -> list:
    return [list(leaf.shape), str(leaf.dtype)]


def _signature(tree: PyTree) -> dict[str, list]:
    """Per array [shape, dtype, checksum], as the integrity item stores it."""
    leaves = _leaves(tree)
    groups: dict[Any, Leaves] = {}  # one jit takes arrays of one set of devices
    for key, leaf in leaves.items():
        groups.setdefault(frozenset(leaf.sharding.device_set), {})[key] = leaf
    sums: dict[str, Any] = {}
    for group in groups.values():
        sums |= jax.device_get(_checksums(group))
    return {k: [*_describe(leaf), int(sums[k])] for k, leaf in leaves.items()}


@jax.jit
def _checksums(leaves: Leaves) -> Leaves:
    return {key: _checksum(leaf) for key, leaf in leaves.items()}


def _checksum(x: jax.Array) -> jax.Array:
    """Sum modulo 2^32 of a hash of every element's bits and position.

    The hash is a bijection of the bits, so any one changed element is found; integer
    addition has no order, so the sum is the same for every sharding.
    """
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        x = jax.random.key_data(x)
    if x.dtype == jnp.bool_:
        x = x.astype(jnp.uint8)
    word = {1: jnp.uint8, 2: jnp.uint16}.get(x.dtype.itemsize, jnp.uint32)
    bits = jax.lax.bitcast_convert_type(x, word).astype(jnp.uint32)
    index = jnp.zeros(bits.shape, jnp.uint32)
    for axis, size in enumerate(bits.shape):
        index = index * jnp.uint32(size) + jax.lax.broadcasted_iota(
            jnp.uint32, bits.shape, axis
        )
    # The finalizer of MurmurHash3.
    h = bits + index * jnp.uint32(0x9E3779B1)
    h = (h ^ (h >> 16)) * jnp.uint32(0x85EBCA6B)
    h = (h ^ (h >> 13)) * jnp.uint32(0xC2B2AE35)
    return jnp.sum(h ^ (h >> 16), dtype=jnp.uint32)


def _json_round_trip(meta: dict) -> dict:
    try:
        return json.loads(json.dumps(meta))
    except (TypeError, ValueError) as error:
        raise ValueError(f"`meta` must be what JSON can hold: {error}") from error


def _json_checksum(meta: dict) -> int:
    return zlib.crc32(json.dumps(meta, sort_keys=True).encode())


def _set_aside(path: epath.Path) -> None:
    for number in range(1000):
        target = path.parent / f"{path.name}.damaged{number or ''}"
        if not target.exists():
            path.rename(target)
            return


def _cause(error: BaseException) -> BaseException:
    while type(error) is Exception and error.__cause__ is not None:
        error = error.__cause__
    return error


def _reason(error: Exception) -> str:
    """One line of what went wrong, a full disk named first."""
    error = _cause(error)
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    text = " ".join(str(text).split()) or type(error).__name__
    if getattr(error, "errno", None) == errno.ENOSPC or "os_error_code='28'" in text:
        text = f"the disk is full: {text}"
    return text if len(text) <= 500 else f"{text[:240]} ... {text[-240:]}"


def _free_bytes(directory: epath.Path) -> float:
    try:
        return shutil.disk_usage(directory).free
    except OSError:
        return math.nan


def _megabytes(size_bytes: float) -> str:
    return "unknown" if math.isnan(size_bytes) else f"{size_bytes / 1e6:,.1f} MB"


def _not_a_traceback_of_orbax(record: logging.LogRecord) -> bool:
    return record.exc_info is None or "orbax" not in record.pathname


# Orbax logs each failure six times with its traceback, and then raises it to us.
logging.getLogger("absl").addFilter(_not_a_traceback_of_orbax)
