"""Long tasks of the explorer: one at a time, in a thread, with their reports streamed.

A report is an object of JSON on a line of its own. The last line is the result, or
{"error": message}.
"""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax

from stylegan_jax.runtime.cli import describe

Report = Callable[[dict[str, Any]], None]  # raises Stopped once nobody listens
Work = Callable[[Report], dict[str, Any]]


class Stopped(Exception):
    """The page has stopped the task, or has been closed."""


class Jobs:
    """A thread for long tasks. All methods must be called from one event loop."""

    def __init__(self):
        """Create it, idle."""
        self._thread = ThreadPoolExecutor(1, "job")
        self._busy = False

    async def stream(self, work: Work) -> AsyncIterator[bytes]:
        """Yield the reports of a task as lines, and its result.

        The task is stopped at its next report once the iterator is closed.

        Args:
          work: function that is called with a function for its reports.
        """
        if self._busy:
            yield _line(
                {"error": "another projection, tuning or drag is running; stop it"}
            )
            return
        loop, stop = asyncio.get_running_loop(), threading.Event()
        lines: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

        def report(value: dict[str, Any] | None) -> None:
            if stop.is_set():
                raise Stopped
            loop.call_soon_threadsafe(lines.put_nowait, value)

        self._busy = True
        try:
            running = loop.run_in_executor(self._thread, lambda: _run(work, report))
            running.add_done_callback(lambda _: lines.put_nowait(None))
            while (value := await lines.get()) is not None:
                yield _line(value)
            yield _line(running.result())
        finally:
            stop.set()
            self._busy = False  # the next one waits in the thread's queue


def _run(work: Work, report: Report) -> dict[str, Any]:
    """Return the result of a task, or its error."""
    try:
        return work(report)
    except Stopped:
        return {"error": "stopped"}
    except (ValueError, OSError) as error:
        return {"error": describe(error)[:1000]}
    except (MemoryError, jax.errors.JaxRuntimeError):
        return {"error": "the memory does not suffice; end other programs"}


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"
