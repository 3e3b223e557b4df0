"""Reports of activities that take too long: a collective, the disk, or data."""

import sys
import threading
import time
from collections.abc import Callable


class Watchdog:
    """Thread that reports an activity that takes too long.

    It ends nothing: JAX's heartbeat decides whether a process is dead, and a person
    whether a disk is too slow.
    """

    def __init__(
        self,
        limit_seconds: float,
        process: str,
        report: Callable[[str], None] | None = None,
    ):
        """Start the thread; it watches nothing yet.

        Args:
          limit_seconds: an activity that takes longer is reported, and again after
            twice that time, four times, and so on.
          process: name of this process in reports, such as "process 1 of 2".
          report: receives the text; None prints it to `sys.stderr` in every process,
            because the process that hangs may not be the main one.
        """
        self._limit_seconds, self._process = limit_seconds, process
        self._report = report or (lambda text: print(text, file=sys.stderr, flush=True))
        self._changed = threading.Condition()
        self._activity: str | None = None
        self._start = self._next_report = 0.0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self._thread.start()

    def watch(self, activity: str | None) -> None:
        """End the current activity and start another one, or none."""
        with self._changed:
            self._activity, self._start = activity, time.monotonic()
            self._next_report = self._start + self._limit_seconds
            self._changed.notify()

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        with self._changed:
            while not self._closed:
                left = None
                if self._activity is not None:
                    left = self._next_report - time.monotonic()
                if left is None or left > 0:
                    self._changed.wait(left)
                    continue
                seconds = time.monotonic() - self._start
                self._next_report = self._start + 2 * max(seconds, self._limit_seconds)
                self._report(
                    f"WARNING: {self._process} has spent {seconds:.0f} s on "
                    f"{self._activity} (`run.hang_report_seconds`="
                    f"{self._limit_seconds:g}). If it hangs in a collective, look for "
                    "a process that has ended, is stopped, or is elsewhere in the "
                    "program. End all processes and run the same command again: "
                    "the run resumes from the last checkpoint."
                )
