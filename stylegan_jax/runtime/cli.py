"""Errors, exit statuses and the console of the command-line programs."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator

from absl import logging

# Exit statuses of a program.
EXIT_FAILURE = 1  # another attempt may succeed
EXIT_PERMANENT = 2  # the same command would fail again
EXIT_INTERRUPTED = 130  # by Ctrl-C, as shells report it


class NoDevice(RuntimeError):
    """JAX finds no device on the platforms that it may use."""


@contextlib.contextmanager
def reporting_errors(
    *expected: type[Exception],
    permanent: tuple[type[Exception], ...] = (),
    status: int = EXIT_PERMANENT,
) -> Iterator[None]:
    """Run a program, reporting expected errors without a traceback.

    Each becomes one message on standard error and an exit status. Libraries log only
    warnings and errors. NoDevice, running out of memory and Ctrl-C are always expected.

    Args:
      *expected: exceptions after which the program exits with EXIT_FAILURE.
      permanent: exceptions after which it exits with `status`.
      status: see `permanent`.
    """
    logging.set_verbosity(logging.WARNING)
    try:
        yield
    except BrokenPipeError:  # as in `... | head`
        forget_stdout()
        _report("the program that reads this output has ended")
        sys.exit(EXIT_FAILURE)
    except KeyboardInterrupt:
        _report("interrupted")
        sys.exit(EXIT_INTERRUPTED)
    except (*expected, *permanent, NoDevice) as error:
        _report(describe(error))
        sys.exit(status if isinstance(error, permanent) else EXIT_FAILURE)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        first, *_ = str(error).splitlines() or ["no more memory"]
        _report(
            f"out of memory: {first.rstrip('.')}; use smaller batches or a lower "
            "resolution, or close other programs"
        )
        sys.exit(EXIT_FAILURE)


def is_out_of_memory(error: BaseException) -> bool:
    """Return True for an out-of-memory error of Python or JAX."""
    if "jax" not in sys.modules:  # importing it takes seconds
        return isinstance(error, MemoryError)
    import jax

    return isinstance(error, MemoryError) or (
        isinstance(error, jax.errors.JaxRuntimeError)
        and "RESOURCE_EXHAUSTED" in str(error)
    )


def describe(error: BaseException) -> str:
    """Return the message of an error; that of an OSError names its file."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        name = os.fsdecode(error.filename)
        if error.filename2 is not None:
            name += f" -> {os.fsdecode(error.filename2)}"
        return f"{name}: {error.strerror}"
    return str(error) or type(error).__name__


def show_any_text() -> None:
    """Make the console's streams escape the characters that their encoding lacks.

    Otherwise printing a file name could crash a program that has done its work.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def forget_stdout() -> None:
    """Keep Python from reporting a closed standard output at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report(message: str) -> None:
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    print(f"error: {message}", file=sys.stderr)
