"""Measures how long the training step waits for its images."""

import time
from collections.abc import Iterator
from typing import Any

import jax


class StarvationMeter:
    """Takes batches from an iterator and sums up the time that the device had to wait.

    The host runs ahead of the device. While that is still busy, the host's own waiting
    costs nothing and does not count; when it is idle at the end of the host's waiting,
    all of that counts, which is too much by as long as it was busy.
    """

    def __init__(self):
        """Starts an interval."""
        self.reset()

    def reset(self) -> None:
        """Starts another interval, with no time waited."""
        self._begin, self._waited = time.monotonic(), 0.0

    def next(self, batches: Iterator[Any], running: Any) -> Any:
        """The next batch.

        Args:
          batches: where it comes from.
          running: arrays of the computation that was started last; None before one.
        """
        begin = time.monotonic()
        batch = next(batches)
        if all(array.is_ready() for array in jax.tree.leaves(running)):
            self._waited += time.monotonic() - begin
        return batch

    @property
    def share(self) -> float:
        """The time waited over that of the interval so far, from 0 to 1."""
        return self._waited / max(time.monotonic() - self._begin, 1e-9)
