"""Long tasks of the explorer, run one at a time in a thread that streams reports.

A report is a JSON object on a line of its own. The last line is the result, or
{"error": message}.
"""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax

from stylegan_jax.runtime.cli import describe, is_out_of_memory

Report = Callable[[dict[str, Any]], None]  # raises Stopped once the page has gone
Work = Callable[[Report], dict[str, Any]]


class Stopped(Exception):
    """The page has stopped the task, or has been closed."""


class Jobs:
    """A thread for long tasks. All methods must be called from one event loop."""

    def __init__(self):
        """Start the thread, without a task."""
        self._thread = ThreadPoolExecutor(1, "job")
        self._busy = False

    async def stream(self, work: Work) -> AsyncIterator[bytes]:
        """Yield the reports and the result of a task, a line each.

        When the iterator is closed, the task stops at its next report.

        Args:
          work: the task, called with a function that takes its reports.
        """
        if self._busy:
            problem = "another projection, tuning or drag is running; stop it first"
            yield _line({"error": problem})
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
            self._busy = False  # a new task waits in the queue of the thread


def _run(work: Work, report: Report) -> dict[str, Any]:
    """Return the result of a task, or its error."""
    try:
        return work(report)
    except Stopped:
        return {"error": "stopped"}
    except (ValueError, OSError) as error:
        return {"error": describe(error)[:1000]}
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return {"error": "there is not enough memory; close other programs"}


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"
