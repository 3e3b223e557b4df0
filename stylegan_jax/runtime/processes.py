"""The processes of a run: connecting, exchanging text without devices, and ending.

JAX's coordination service, which process 0 hosts, aborts all processes when one dies.
It does not wait longer than a heartbeat for a process that ends later than the others,
and it does not know exit statuses. This module adds both: processes end together, and a
process that fails ends the others with its own exit status and message.
"""

import collections
import contextlib
import json
import os
import re
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax

# `jax.distributed` has no public functions for keys, values and barriers.
from jax._src import distributed

T = TypeVar("T")

_PREFIX = "stylegan_jax"
_FAILURE = f"{_PREFIX}/failure"
POLL_SECONDS = 0.5  # interval between checks for failures of other processes
# Time for a process to report by itself a failure that all processes have.
OWN_REPORT_SECONDS = 1.0
_FOREVER_MS = 1000 * 60 * 60 * 24 * 30  # dead processes are left to the heartbeat


class ProcessLost(RuntimeError):
    """Another process of the run can no longer be reached."""


def initialize(
    coordinator: str | None,
    num_processes: int | None,
    process_id: int | None,
    heartbeat_seconds: int,
) -> None:
    """Connect the processes of a run; call it before anything else uses JAX.

    Args:
      coordinator: "host:port" of process 0; None to detect it from the environment
        (TPU pods, SLURM, Open MPI).
      num_processes: number of processes, with `coordinator`.
      process_id: index of this process, with `coordinator`.
      heartbeat_seconds: time after which a silent process is considered dead: JAX
        names it in all the others and aborts them (status 134).
    """
    if num_processes is not None and not 0 <= (process_id or 0) < num_processes:
        raise ValueError(
            f"`--process_id` (={process_id}) must be below `--num_processes` "
            f"(={num_processes}); the first process is 0"
        )
    # JAX's SIGTERM handler would only record the signal for a protocol that the
    # training loop, which has its own, does not use.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            heartbeat_timeout_seconds=heartbeat_seconds,
            shutdown_timeout_seconds=heartbeat_seconds,
        )
    except ValueError as error:  # a value is neither given nor in the environment
        raise ValueError(
            f"the processes of the run cannot be connected: {str(error).rstrip('.')}; "
            "give --coordinator, --num_processes and --process_id, or --distributed on "
            "a cluster that names them"
        ) from error
    global _watcher
    _watcher = _Watcher(_client(), heartbeat_seconds)


def finish() -> None:
    """Wait until all processes have called it, then disconnect.

    Process 0 may write a report and upload files for longer than a heartbeat, which is
    as long as JAX would wait for it at exit.
    """
    global _watcher
    if _watcher is None:
        return
    _client().wait_at_barrier(f"{_PREFIX}/finish", _FOREVER_MS)
    _watcher.claim_end()
    _watcher = None  # `ending_together` re-raises errors from here on
    jax.distributed.shutdown()


@contextlib.contextmanager
def ending_together() -> Iterator[None]:
    """End the other processes if this one ends within the block before `finish`.

    They end with the exit status and the message of this one, so that a launch script
    need not guess which status counts. Without it they would wait in a collective until
    JAX aborts all of them, this one included, with status 134.
    """
    try:
        yield
    except BaseException as error:
        if _watcher is None:
            raise
        _watcher.claim_end()
        is_exit = isinstance(error, SystemExit)
        cause = error.__context__ if is_exit else error
        if isinstance(cause, ProcessLost):
            raise  # there is no use in waiting; JAX's heartbeat will name the process
        status = exit_status(error.code) if is_exit else 1
        text = str(cause or "").strip() or type(cause or error).__name__
        if not _watcher.announce(status, text):
            if not is_exit:
                traceback.print_exception(error)
            exit_now(status)
        raise


def exit_status(code: object) -> int:
    """Return the status with which Python exits for the argument of `sys.exit`."""
    return code if isinstance(code, int) else int(code is not None)


def exit_now(status: int) -> None:
    """End the process without waiting for threads, and without JAX's exit barrier."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


class _Watcher:
    """A thread that ends this process when another one has announced its failure."""

    def __init__(self, client: Any, heartbeat_seconds: int):
        self._client = client
        # Time in which all processes must have seen a failure to end with it. If one of
        # them hangs, JAX would abort the others at the heartbeat, with another status.
        self._leave_ms = 1000 * heartbeat_seconds // 2
        self._claim = threading.Lock()  # by the thread that ends the process
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="failures", daemon=True)
        self._thread.start()

    def claim_end(self) -> None:
        """Reserve ending the process for the caller.

        If the failure of another process is already ending this one, this does not
        return, because the error of the caller is a consequence of that.
        """
        self._ending.set()
        if not self._claim.acquire(blocking=False):
            threading.Event().wait()
        self._thread.join(POLL_SECONDS)

    def announce(self, status: int, text: str) -> bool:
        """Tell the other processes to end, and disconnect; call `claim_end` first.

        Returns:
          True if all processes have disconnected; otherwise JAX would abort this one
          at exit.
        """
        failure = [_process_id(), status, text]
        # Another process may have failed at the same time; its failure counts.
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            self._client.key_value_set(_FAILURE, json.dumps(failure))
        return self._leave()

    def _leave(self) -> bool:
        try:
            self._client.wait_at_barrier(f"{_FAILURE}/seen", self._leave_ms)
            jax.distributed.shutdown()
        except jax.errors.JaxRuntimeError:  # a process hangs or is dead
            return False
        return True

    def _run(self) -> None:
        failure = None
        while failure is None:
            if self._ending.wait(POLL_SECONDS):
                return
            # The key is not set, or the service has ended, which JAX will report.
            with contextlib.suppress(jax.errors.JaxRuntimeError):
                failure = self._client.key_value_try_get(_FAILURE)
        if self._ending.wait(OWN_REPORT_SECONDS) or not self._claim.acquire(False):
            return
        process, status, text = json.loads(failure)
        sys.stdout.flush()
        print(
            f"error: process {process} of {_num_processes()} has failed, and process "
            f"{_process_id()} ends with it: {text}",
            file=sys.stderr,
        )
        self._leave()
        exit_now(status)


_watcher: _Watcher | None = None
_exchanges: collections.Counter[str] = collections.Counter()


def _client() -> Any:
    return distributed.global_state.client


def _process_id() -> int:
    return distributed.global_state.process_id


def _num_processes() -> int:
    return distributed.global_state.num_processes


def exchange(name: str, text: str) -> list[str]:
    """Return the text of each process, in order; all must call it.

    It uses no device, so that a thread may call it while others use collectives.

    Args:
      name: name of the exchange. Calls with the same name must come in the same order
        in all processes; others may come in any order.
      text: the text of this process.
    """
    if _client() is None:
        return [text]
    key = f"{_PREFIX}/exchange/{name}/{_exchanges[name]}"
    _exchanges[name] += 1
    _client().key_value_set(f"{key}/{_process_id()}", text)
    return [
        _client().blocking_key_value_get(f"{key}/{i}", _FOREVER_MS)
        for i in range(_num_processes())
    ]


def in_turns(name: str, write: Callable[[], T]) -> T:
    """Call a function that writes files unless they exist; all must call this.

    Process 0 calls it first, which is enough for all if they share a file system. Then
    the first process of each other host does, and finally all others.

    Args:
      name: name of the exchange; see `exchange`.
      write: the function.

    Returns:
      The result of `write`.
    """
    hosts = exchange(f"{name}/host", socket.gethostname())
    here = _process_id() if len(hosts) > 1 else 0
    turn = 0 if here == 0 else 1 if hosts.index(hosts[here]) == here else 2
    for now in range(3):
        if now == turn:
            result = write()
        exchange(f"{name}/turn", "done")
    return result


@contextlib.contextmanager
def explaining_lost_processes(heartbeat_seconds: int) -> Iterator[None]:
    """Explain the error of a collective whose connection to a process broke.

    If a collective hangs instead of failing, JAX aborts the process at the heartbeat
    and this function is not reached; JAX names the lost process in that case, too.

    Args:
      heartbeat_seconds: the value that was passed to `initialize`.

    Raises:
      ProcessLost: instead of the error of a broken connection.
    """
    try:
        yield
    except Exception as error:
        problem = _broken_connection(error)
        if _watcher is None or problem is None:
            raise
        raise ProcessLost(
            f"process {_process_id()} of {_num_processes()} has lost another "
            f'process of the run: {problem}; JAX will name it below ("tasks are '
            f'unhealthy") within `run.heartbeat_seconds` (={heartbeat_seconds}) and '
            "abort this process, unless the lost one is process 0, on which JAX "
            "depends for that; end the remaining processes and run the same command "
            "in all of them, to resume from the last checkpoint"
        ) from error


def _broken_connection(error: BaseException | None) -> str | None:
    """Return the first line of the network error that caused an error, if one did."""
    while error is not None:
        text = str(error).strip()
        from_jax = isinstance(error, (jax.errors.JaxRuntimeError, ValueError))
        if from_jax and re.search(
            r"\bgloo\b|\bNCCL\b|UNAVAILABLE|by peer", text, re.IGNORECASE
        ):
            return text.splitlines()[0][:300]
        error = error.__cause__
    return None
