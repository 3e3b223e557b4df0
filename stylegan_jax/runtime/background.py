"""Jobs that run in a background thread, such as encoding images."""

import queue
import threading
from collections.abc import Callable

PENDING = 1  # jobs that may wait; each may hold the images of a large grid


class BackgroundWriter:
    """A thread that runs jobs in order.

    An exception in a job is raised by the next method call, so that it is not lost;
    later jobs still run.
    """

    def __init__(self, name: str):
        """Start a thread with this name."""
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue(PENDING)
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[], None]) -> None:
        """Add a job; wait while `PENDING` others are waiting."""
        self._raise_error()
        self._jobs.put(job)

    def wait(self) -> None:
        """Wait until all jobs are done."""
        self._jobs.join()
        self._raise_error()

    def close(self) -> None:
        """Wait until all jobs are done, and end the thread."""
        self._jobs.put(None)
        self._thread.join()
        self._raise_error()

    def _run(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                if job is None:
                    return
                job()
            except Exception as error:
                self._error = self._error or error
            finally:
                self._jobs.task_done()

    def _raise_error(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error
