"""Failures of saving and reading: their messages, and the leftovers on disk.

A failure is described in one line and raised in all processes.
"""

import contextlib
import errno
import logging
import math
import re
import shutil
import time
from collections.abc import Iterator

import jax
from etils import epath

from stylegan_jax.runtime import collectives


class CheckpointError(RuntimeError):
    """A checkpoint could not be written, or none could be read."""


class DamagedError(Exception):
    """A checkpoint's files differ from what was written."""


# OSErrors that mean that files are missing or changed.
_DAMAGE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
# Errors that say nothing about the files: status codes of TensorStore,
_TRANSIENT_STATUS = re.compile(
    r"\b(UNAVAILABLE|DEADLINE_EXCEEDED|PERMISSION_DENIED|UNAUTHENTICATED|"
    r"RESOURCE_EXHAUSTED|ABORTED|CANCELLED)\b"
)
# exceptions of TensorFlow,
_TRANSIENT_ERRORS = {
    "UnavailableError",
    "DeadlineExceededError",
    "PermissionDeniedError",
    "UnauthenticatedError",
    "ResourceExhaustedError",
    "AbortedError",
    "CancelledError",
    "TimeoutError",
}
# and any exception of the packages through which fsspec accesses buckets.
_BUCKET_PACKAGES = ("aiohttp.", "botocore.", "gcsfs.", "google.auth.", "requests.")

_READ, _DAMAGED, _UNREADABLE = range(3)  # the worst result of all processes decides


@contextlib.contextmanager
def reading(checkpoint: str) -> Iterator[None]:
    """Convert Orbax's exceptions to one of two types, the same in all processes.

    Args:
      checkpoint: description of the checkpoint being read, for the message.

    Raises:
      DamagedError: if the content is not what was written.
      CheckpointError: if it could not be read, which says nothing about the content.
    """
    result, reason, failure = _READ, "", None
    try:
        with orbax_tracebacks_hidden():
            yield
    except Exception as error:  # Orbax often raises plain Exception
        if isinstance(_root_cause(error), (jax.errors.JaxRuntimeError, MemoryError)):
            raise  # out of memory, for example, is not damage
        result = _UNREADABLE if is_transient(error) else _DAMAGED
        reason, failure = reason_of(error), error
    worst = collectives.max_over_processes(result)
    if worst == _DAMAGED:
        raise DamagedError(reason or "another process could not read it")
    if worst == _UNREADABLE:
        if result != _UNREADABLE:
            reason = "reported by another process of the run"
        raise CheckpointError(
            f"{checkpoint} could not be read: {reason}; nothing was changed, and its "
            "content may be intact, so run the same command again; if the error "
            "persists, fix its cause or move this checkpoint away"
        ) from failure


def is_transient(error: BaseException | None) -> bool:
    """Return True if the disk or bucket failed to answer; the files may be intact."""
    while error is not None:
        kinds = type(error).__mro__
        if (
            (isinstance(error, OSError) and not isinstance(error, _DAMAGE))
            or any(kind.__name__ in _TRANSIENT_ERRORS for kind in kinds)
            or any(kind.__module__.startswith(_BUCKET_PACKAGES) for kind in kinds)
            or _TRANSIENT_STATUS.search(str(error))
        ):
            return True
        error = error.__cause__ or error.__context__
    return False


def reason_of(error: Exception) -> str:
    """Return one line that describes an error; a full disk is named first."""
    error = _root_cause(error)
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    text = " ".join(str(text).split()) or type(error).__name__
    if getattr(error, "errno", None) == errno.ENOSPC or "os_error_code='28'" in text:
        text = f"the disk is full: {text}"
    return text if len(text) <= 500 else f"{text[:240]} ... {text[-240:]}"


def _root_cause(error: BaseException) -> BaseException:
    while type(error) is Exception and error.__cause__ is not None:
        error = error.__cause__
    return error


def free_bytes(directory: epath.Path) -> float:
    """Return the free space on a directory's disk; NaN if it is unknown."""
    try:
        return shutil.disk_usage(directory).free
    except OSError:
        return math.nan


def format_megabytes(size_bytes: float) -> str:
    """Return a size for a message; "unknown" for NaN."""
    return "unknown" if math.isnan(size_bytes) else f"{size_bytes / 1e6:,.1f} MB"


@contextlib.contextmanager
def orbax_tracebacks_hidden() -> Iterator[None]:
    """Hide the tracebacks that Orbax logs while it saves or reads.

    Orbax logs each failure several times, with its traceback, before raising it.
    """

    def is_shown(record: logging.LogRecord) -> bool:
        return record.exc_info is None or "orbax" not in record.pathname

    logger = logging.getLogger("absl")
    logger.addFilter(is_shown)
    try:
        yield
    finally:
        logger.removeFilter(is_shown)


def remove_unfinished(directory: epath.Path) -> None:
    """Remove the leftovers of failed or killed saves, so that the disk has room."""
    for _ in range(50):
        # Retried, because removal raises while a file is still being written.
        with contextlib.suppress(OSError):
            unfinished = list(directory.glob("*.orbax-checkpoint-tmp"))
            for path in unfinished:
                path.rmtree()
            if not unfinished:
                return
        time.sleep(0.02)


def set_aside(checkpoint: epath.Path, reason: str = "damaged") -> None:
    """Rename a checkpoint to `<step>.<reason>`, or a number after it.

    Do nothing if it does not exist, because an earlier attempt renamed it.
    """
    if not checkpoint.exists():
        return
    for number in range(1000):
        target = checkpoint.parent / f"{checkpoint.name}.{reason}{number or ''}"
        if not target.exists():
            checkpoint.rename(target)
            return
