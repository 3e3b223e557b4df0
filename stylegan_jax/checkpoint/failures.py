"""What can go wrong with a checkpoint, told in one line and in all processes."""

import contextlib
import errno
import logging
import math
import re
import shutil
from collections.abc import Iterator

import jax
import numpy as np
from etils import epath
from jax.experimental import multihost_utils


class CheckpointError(RuntimeError):
    """A checkpoint could not be written, or none could be read."""


class Damaged(Exception):
    """This one checkpoint cannot be read; an older one may."""


# Errors of the operating system that mean that something is not as it was written ...
_OF_DAMAGE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
# ... and what others call those that say nothing of it: status codes of TensorStore,
_PASSING_STATUS = re.compile(
    r"\b(UNAVAILABLE|DEADLINE_EXCEEDED|PERMISSION_DENIED|UNAUTHENTICATED|"
    r"RESOURCE_EXHAUSTED|ABORTED|CANCELLED)\b"
)
# exceptions of TensorFlow,
_PASSING_ERRORS = {
    "UnavailableError",
    "DeadlineExceededError",
    "PermissionDeniedError",
    "UnauthenticatedError",
    "ResourceExhaustedError",
    "AbortedError",
    "CancelledError",
    "TimeoutError",
}
# and the packages that talk to buckets for fsspec.
_OF_NETWORK = ("aiohttp.", "botocore.", "gcsfs.", "google.auth.", "requests.")

_READ, _DAMAGED, _NOT_READ = range(3)  # the worst of all processes is the greatest


@contextlib.contextmanager
def reading(what: str) -> Iterator[None]:
    """Turns what Orbax raises into one of two, the same one in all processes.

    Args:
      what: is read, for the message.

    Raises:
      Damaged: what was read is not what was written.
      CheckpointError: it could not be read, which says nothing of what it is.
    """
    outcome, reason, failure = _READ, "", None
    try:
        yield
    except Exception as error:  # Orbax has no class for it, often Exception itself
        if isinstance(_cause(error), (jax.errors.JaxRuntimeError, MemoryError)):
            raise  # out of memory and the like are not damage
        outcome = _NOT_READ if may_pass(error) else _DAMAGED
        reason, failure = reason_of(error), error
    everywhere = multihost_utils.process_allgather(np.int32(outcome))
    worst = max(outcome, int(np.max(everywhere)))
    if worst == _DAMAGED:
        raise Damaged(reason or "another process could not read it")
    if worst == _NOT_READ:
        if outcome != _NOT_READ:
            reason = "so another process of the run says"
        raise CheckpointError(
            f"{what} could not be read: {reason}. That says nothing of what is in it, "
            "and may pass: nothing was changed. Start the same command again; if it "
            "stays so, mend the cause, or move that checkpoint away"
        ) from failure


def may_pass(error: BaseException | None) -> bool:
    """Whether the disk or bucket failed to answer, rather than what it holds."""
    while error is not None:
        kinds = type(error).__mro__
        if (
            (isinstance(error, OSError) and not isinstance(error, _OF_DAMAGE))
            or any(kind.__name__ in _PASSING_ERRORS for kind in kinds)
            or any(kind.__module__.startswith(_OF_NETWORK) for kind in kinds)
            or _PASSING_STATUS.search(str(error))
        ):
            return True
        error = error.__cause__ or error.__context__
    return False


def in_all_processes(true_here: bool) -> bool:
    """Whether it is true in every process; all of them must ask."""
    return bool(np.all(multihost_utils.process_allgather(np.int32(true_here))))


def reason_of(error: Exception) -> str:
    """One line of what went wrong, a full disk named first."""
    error = _cause(error)
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    text = " ".join(str(text).split()) or type(error).__name__
    if getattr(error, "errno", None) == errno.ENOSPC or "os_error_code='28'" in text:
        text = f"the disk is full: {text}"
    return text if len(text) <= 500 else f"{text[:240]} ... {text[-240:]}"


def _cause(error: BaseException) -> BaseException:
    while type(error) is Exception and error.__cause__ is not None:
        error = error.__cause__
    return error


def free_bytes(directory: epath.Path) -> float:
    """Free space on the disk of a directory; NaN if nobody knows."""
    try:
        return shutil.disk_usage(directory).free
    except OSError:
        return math.nan


def megabytes(size_bytes: float) -> str:
    """A size for a message; "unknown" for NaN."""
    return "unknown" if math.isnan(size_bytes) else f"{size_bytes / 1e6:,.1f} MB"


def _not_a_traceback_of_orbax(record: logging.LogRecord) -> bool:
    return record.exc_info is None or "orbax" not in record.pathname


# Orbax logs each failure six times with its traceback, and then raises it to us.
logging.getLogger("absl").addFilter(_not_a_traceback_of_orbax)
