"""What can go wrong with a checkpoint, told in one line and in all processes."""

import contextlib
import errno
import logging
import math
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


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """Turns what Orbax raises into Damaged, in all processes if in one."""
    reason = None
    try:
        yield
    except Exception as error:  # Orbax has no class for it, often Exception itself
        if isinstance(_cause(error), (jax.errors.JaxRuntimeError, MemoryError)):
            raise  # out of memory and the like are not damage
        reason = reason_of(error)
    if not in_all_processes(reason is None):
        raise Damaged(reason or "another process could not read it")


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
