"""What the command-line programs share: quiet libraries, errors without traceback."""

import contextlib
import sys
from collections.abc import Iterator

from absl import logging


@contextlib.contextmanager
def reporting_errors(*expected: type[Exception]) -> Iterator[None]:
    """Runs a program; its expected errors become one message and exit code 1."""
    logging.set_verbosity(logging.WARNING)
    try:
        yield
    except expected as error:
        sys.stdout.flush()
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
