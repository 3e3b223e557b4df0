"""Says so when the host waits too long, be it for a collective, the disk or data."""

import sys
import threading
import time
from collections.abc import Callable


class Watchdog:
    """A thread that reports the activity which has not ended in time.

    It only reports: that a process is dead is for JAX's heartbeat to decide, and that
    a slow disk is too slow for a person.
    """

    def __init__(
        self,
        limit_seconds: float,
        process: str,
        report: Callable[[str], None] | None = None,
    ):
        """Starts the thread; nothing is watched yet.

        Args:
          limit_seconds: an activity that takes longer is reported, and again after
            twice, four times... as long.
          process: what the report calls this process, e.g. "process 1 of 2".
          report: told the text; None prints it to `sys.stderr`, in every process, for
            the one that hangs need not be the main one.
        """
        self._limit_seconds, self._process = limit_seconds, process
        self._report = report or (lambda text: print(text, file=sys.stderr, flush=True))
        self._changed = threading.Condition()
        self._activity: str | None = None
        self._since = self._next_report = 0.0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self._thread.start()

    def watch(self, activity: str | None) -> None:
        """The activity before has ended, and this one begins; None: nothing does."""
        with self._changed:
            self._activity, self._since = activity, time.monotonic()
            self._next_report = self._since + self._limit_seconds
            self._changed.notify()

    def close(self) -> None:
        """Ends the thread."""
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
                seconds = time.monotonic() - self._since
                self._next_report = self._since + 2 * max(seconds, self._limit_seconds)
                self._report(
                    f"WARNING: {self._process} has been at {self._activity} for "
                    f"{seconds:.0f} s (`run.hang_report_seconds`="
                    f"{self._limit_seconds:g}). If it hangs in a collective, look for "
                    "a process that is gone, stopped, or at another place; end all of "
                    "them and start the same command again: it resumes from the last "
                    "checkpoint."
                )
