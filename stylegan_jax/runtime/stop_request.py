"""How a run is asked to end in order."""

import contextlib
import math
import signal
import time
from collections.abc import Iterator
from typing import Any


class StopRequest:
    """Whether a run should end in order: SIGINT or SIGTERM came, or its time is up.

    A second SIGINT interrupts at once.

    Attributes:
      reason: what asked for it; None while nothing has.
    """

    def __init__(self, minutes: float = 0.0):
        """The time begins now; 0 sets no limit."""
        self.reason: str | None = None
        self._end = time.monotonic() + (60 * minutes if minutes else math.inf)

    @property
    def requested(self) -> bool:
        """Whether there is one by now."""
        if self.reason is None and time.monotonic() >= self._end:
            self.reason = "its time limit"
        return self.reason is not None

    def mark_requested_elsewhere(self) -> None:
        """Notes that another process has one."""
        self.reason = self.reason or "another process"

    @contextlib.contextmanager
    def signals_heard(self) -> Iterator[None]:
        """Takes signals for requests within the block."""
        signals = (signal.SIGINT, signal.SIGTERM)
        before = {s: signal.signal(s, self._handle) for s in signals}
        try:
            yield
        finally:
            for s, handler in before.items():
                signal.signal(s, handler)

    def _handle(self, number: int, frame: Any) -> None:
        del frame
        self.reason = "a signal"
        if number == signal.SIGINT:
            signal.signal(number, signal.default_int_handler)
