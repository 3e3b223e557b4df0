"""Requests to end a run gracefully."""

import contextlib
import math
import signal
import time
from collections.abc import Iterator
from typing import Any


class StopRequest:
    """A request to end a run: by SIGINT, by SIGTERM, or by its time limit.

    A second SIGINT interrupts the program immediately.

    Attributes:
      reason: source of the request; None while there is none.
    """

    def __init__(self, minutes: float = 0.0):
        """Start the clock.

        Args:
          minutes: time limit; 0 for none.
        """
        self.reason: str | None = None
        self._end = time.monotonic() + (60 * minutes if minutes else math.inf)

    @property
    def requested(self) -> bool:
        """True once there is a request."""
        if self.reason is None and time.monotonic() >= self._end:
            self.reason = "its time limit"
        return self.reason is not None

    def mark_requested_elsewhere(self) -> None:
        """Record that another process has a request."""
        self.reason = self.reason or "another process"

    @contextlib.contextmanager
    def handling_signals(self) -> Iterator[None]:
        """Treat signals as requests within the block."""
        signals = (signal.SIGINT, signal.SIGTERM)
        previous = {s: signal.signal(s, self._handle) for s in signals}
        try:
            yield
        finally:
            for s, handler in previous.items():
                signal.signal(s, handler)

    def _handle(self, number: int, frame: Any) -> None:
        del frame
        self.reason = "a signal"
        if number == signal.SIGINT:
            signal.signal(number, signal.default_int_handler)
