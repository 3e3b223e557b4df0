"""Orbax's checkpoint manager, configured for this project: writing, reading, retention.

Orbax's v1 API, experimental in 0.12, would simplify this: a save there returns its own
response to wait for, and the tree of a checkpoint can be inspected and loaded without a
registry of handlers.
"""

import asyncio
import contextlib
import copy
import dataclasses
import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath
from orbax.checkpoint.checkpoint_managers import preservation_policy

from stylegan_jax.checkpoint.integrity import Leaves, array_name

DRAIN_SECONDS = 30.0  # a write that takes longer after a failure is abandoned


class ArrayHandler(ocp.PyTreeCheckpointHandler):
    """Handler that writes an item's arrays in one transaction and tracks the writes.

    By default Orbax limits the bytes in flight, and to that end writes each array on
    its own. When one write fails, Orbax closes the event loop that the others still
    use; each of them then prints a traceback. A transaction is a single write, so it
    fails with a single error. It costs a compressed copy of the arrays in host memory.

    Likewise, a read that fails ends only after the other reads of its item.
    """

    def __init__(self):
        """Create the handler; one serves all items of a manager."""
        arrays = copy.copy(ocp.type_handlers.get_type_handler(jax.Array))
        for name in ("deserialize", "metadata"):
            read = functools.partial(_read_to_the_end, getattr(arrays, name))
            setattr(arrays, name, read)
        registry = ocp.type_handlers.create_type_handler_registry((jax.Array, arrays))
        # The base handler has no limit of bytes in flight by default.
        super().__init__(
            type_handler_registry=registry,
            handler_impl=ocp.BasePyTreeCheckpointHandler(
                type_handler_registry=registry
            ),
        )
        self._writes: list[ocp.future.Future] = []

    async def async_save(self, *args: Any, **kwargs: Any) -> Any:
        """Start writing an item; see Orbax."""
        writes = await super().async_save(*args, **kwargs)
        self._writes.extend(writes or ())
        return writes

    def forget_writes(self) -> None:
        """Forget the writes of a save that has ended."""
        self._writes.clear()

    def drain_writes(self) -> None:
        """Wait until no item is being written, even after a failure.

        Orbax waits for the items of a save in turn and stops at the first that fails,
        while others may still be writing into the unfinished directory.
        """
        for write in self._writes:
            with contextlib.suppress(Exception):  # the save has failed already
                write.result(timeout=DRAIN_SECONDS)
        self.forget_writes()

    def restore_args(
        self, directory: epath.Path, leaves: Leaves
    ) -> ocp.args.PyTreeRestore:
        """Return Orbax's arguments to restore an item in the structure it is stored in.

        Args:
          directory: directory of the item.
          leaves: stored name -> shape, dtype and sharding of each array.
        """
        target = jax.tree_util.tree_map_with_path(
            lambda path, _: leaves[_stored_name(path)], self.metadata(directory).tree
        )
        return ocp.args.PyTreeRestore(
            target, restore_args=ocp.checkpoint_utils.construct_restore_args(target)
        )


async def _read_to_the_end(read: Callable[..., Awaitable], *args: Any) -> Any:
    """Call Orbax's `read`; if it fails, wait for the reads that it has started."""
    earlier = asyncio.all_tasks()
    try:
        return await read(*args)
    except Exception:
        while started := asyncio.all_tasks() - earlier:
            await asyncio.gather(*started, return_exceptions=True)
        raise


def save_args(tree: Any) -> ocp.args.PyTreeSave:
    """Return Orbax's arguments to save an item."""
    return ocp.args.PyTreeSave(
        [tree]
    )  # in a container, because a tree may be a single array


def stored_arrays(restored: Any) -> Leaves:
    """Return the arrays that Orbax restored of an item, by stored name."""
    leaves = jax.tree_util.tree_leaves_with_path(restored)
    return {_stored_name(path): leaf for path, leaf in leaves}


def _stored_name(path: tuple) -> str:
    return array_name(path[1:])  # without the container of `save_args`


@dataclasses.dataclass
class KeepBest(preservation_policy.PreservationPolicy):
    """Policy that preserves the `count` best checkpoints; of equal ones, the newest.

    Attributes:
      count: number of checkpoints to preserve.
      scores: step -> score.
    """

    count: int
    scores: dict[int, float]

    def should_preserve(self, checkpoints: Any, *, context: Any) -> list[bool]:
        """Return True for each checkpoint to preserve."""
        del context
        steps = [info.step for info in checkpoints if info.step in self.scores]
        ranked = sorted(steps, key=lambda step: (self.scores[step], step), reverse=True)
        best = ranked[: self.count]
        return [info.step in best for info in checkpoints]


def open_manager(
    directory: epath.Path,
    handler: ArrayHandler,
    keep: int,
    best: KeepBest,
) -> ocp.CheckpointManager:
    """Open Orbax's manager of a directory, without waiting for other processes.

    To create the directory, or to save metadata of its own, Orbax would wait for them.

    Args:
      directory: directory of the checkpoints; it need not exist.
      handler: writes and reads the arrays.
      keep: number of the newest checkpoints to preserve.
      best: preserves those with the best scores.
    """
    registry = ocp.handlers.DefaultCheckpointHandlerRegistry()
    registry.add(None, ocp.args.PyTreeSave, handler)
    registry.add(None, ocp.args.PyTreeRestore, handler)
    options = ocp.CheckpointManagerOptions(
        preservation_policy=preservation_policy.AnyPreservationPolicy(
            [preservation_policy.LatestN(keep), best]
        ),
        create=False,
        save_root_metadata=False,
        # Orbax would do so in a thread, and its errors would surface in a later save.
        cleanup_tmp_directories=False,
    )
    return ocp.CheckpointManager(directory, options=options, handler_registry=registry)


def close_after_failure(manager: ocp.CheckpointManager) -> None:
    """Close the manager of a save that failed and was reported.

    Each attempt may raise the failure of one more item.
    """
    for _ in range(10):
        try:
            manager.close()
            return
        except Exception as error:  # Orbax often raises plain Exception
            logging.getLogger(__name__).debug("the failed save also raised: %s", error)
