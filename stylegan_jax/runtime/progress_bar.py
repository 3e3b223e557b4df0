"""Progress of a long command, on one line of a terminal."""

import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TextIO

import numpy as np

UPDATE_SECONDS = 0.2  # between updates of the line


class LiveLine:
    """A terminal line that is rewritten in place; without a terminal, nothing."""

    def __init__(self, stream: TextIO):
        """Write to a stream, if it is a terminal."""
        self._stream = stream
        self._last_seconds = float("-inf")
        self._visible = False

    def update(self, text: str) -> None:
        """Rewrite the line, at most once per `UPDATE_SECONDS`."""
        now = time.monotonic()
        if not self._stream.isatty() or now - self._last_seconds < UPDATE_SECONDS:
            return
        self._last_seconds = now
        # A line as wide as the terminal would wrap, and \r would not return to its
        # start.
        width = shutil.get_terminal_size().columns - 1
        self._write(f"\r{' '.join(text.split())[:width]}\x1b[K")
        self._visible = True

    def clear(self) -> None:
        """Erase the line."""
        if self._visible:
            self._write("\r\x1b[K")
            self._visible = False

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class ProgressBar:
    """Images done, their rate and the time left, on a live line of standard error."""

    def __init__(self, unit: str = "images"):
        """Create a bar without showing it; `unit` names the counted items."""
        self._line, self._unit = LiveLine(sys.stderr), unit
        self._activity, self._start_seconds, self._start_images = "", 0.0, 0

    def __call__(self, activity: str, done: int, total: int) -> None:
        """Show progress.

        Args:
          activity: operation on the images, such as "checked", and after a comma any
            details; another activity restarts the clock.
          done: images done.
          total: images in total.
        """
        now = time.monotonic()
        if activity.split(",")[0] != self._activity:
            self._activity = activity.split(",")[0]
            self._start_seconds, self._start_images = now, done
        elapsed = max(now - self._start_seconds, 1e-9)
        rate = (done - self._start_images) / elapsed
        left = f", {(total - done) / rate:.0f} s left" if rate else ""
        self._line.update(
            f"{done} of {total} {activity}, {rate:.0f} {self._unit}/s{left}"
        )

    def over(
        self, batches: Iterable[np.ndarray], total: int, activity: str
    ) -> Iterator[np.ndarray]:
        """Yield the batches of `total` images, showing progress in between.

        The first batch includes the compilation of its program.
        """
        self._line.update(f"0 of {total} {activity}, compiling")
        done = 0
        for batch in batches:
            done += len(batch)
            self(activity, done, total)
            yield batch

    def clear(self) -> None:
        """Erase the line."""
        self._line.clear()

    def __enter__(self) -> "ProgressBar":
        """Return the progress bar."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Erase the line."""
        self.clear()
