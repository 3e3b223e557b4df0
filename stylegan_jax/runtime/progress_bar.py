"""Progress of a long command, on one line of a terminal."""

import shutil
import sys
import time

LIVE_LINE_SECONDS = 0.2


class LiveLine:
    """Rewrites one line of a terminal: how far it is and how long it will take."""

    def __init__(self):
        self._what, self._begin, self._first, self._last = "", 0.0, 0, 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        """Shows that `done` of `total` images are; "looked at" or such is `what`."""
        now = time.monotonic()
        if what.split(",")[0] != self._what:
            self._what, self._begin, self._first = what.split(",")[0], now, done
        if not sys.stderr.isatty() or now - self._last < LIVE_LINE_SECONDS:
            return
        self._last = now
        rate = (done - self._first) / max(now - self._begin, 1e-9)
        left = f", {(total - done) / rate:.0f} s left" if rate else ""
        width = shutil.get_terminal_size().columns - 1
        text = f"{done} of {total} {what}, {rate:.0f} images/s{left}"
        print(f"\r{text[:width]}\x1b[K", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Takes the line away."""
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
