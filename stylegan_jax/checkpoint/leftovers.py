"""What failed, killed or damaged saves leave behind."""

import contextlib
import logging
import threading
import time

import orbax.checkpoint as ocp
from etils import epath


def close_after_failure(manager: ocp.CheckpointManager) -> None:
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


def remove_unfinished(directory: epath.Path) -> None:
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


def set_aside(path: epath.Path) -> None:
    """Renames a damaged checkpoint `<step>.damaged`, or with a number after it."""
    for number in range(1000):
        target = path.parent / f"{path.name}.damaged{number or ''}"
        if not target.exists():
            path.rename(target)
            return
