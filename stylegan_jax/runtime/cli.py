"""Errors and exit statuses of the command-line programs."""

import contextlib
import sys
from collections.abc import Iterator

from absl import logging

# Exit statuses of a program.
EXIT_FAILURE = 1  # another attempt may succeed
EXIT_PERMANENT = 2  # the same command would fail again


@contextlib.contextmanager
def reporting_errors(
    *expected: type[Exception], permanent: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Run a program, reporting expected errors without a traceback.

    Each becomes one message on standard error and an exit status. The libraries' logs
    are reduced to warnings.

    Args:
      *expected: exceptions after which the program exits with EXIT_FAILURE.
      permanent: exceptions after which it exits with EXIT_PERMANENT.
    """
    logging.set_verbosity(logging.WARNING)
    try:
        yield
    except (*expected, *permanent) as error:
        sys.stdout.flush()
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_PERMANENT if isinstance(error, permanent) else EXIT_FAILURE)
