"""What the command-line programs share: quiet libraries, errors without traceback."""

import contextlib
import logging as standard_logging
import sys
from collections.abc import Iterator

from absl import logging

# Exit statuses of a program.
EXIT_FAILURE = 1  # may go well another time
EXIT_PERMANENT = 2  # the same command would fail again


@contextlib.contextmanager
def reporting_errors(
    *expected: type[Exception], permanent: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Runs a program; its expected errors become one message and an exit status.

    Args:
      *expected: these end it with EXIT_FAILURE.
      permanent: these end it with EXIT_PERMANENT.
    """
    logging.set_verbosity(logging.WARNING)
    _silence_abandoned_tasks()
    try:
        yield
    except (*expected, *permanent) as error:
        sys.stdout.flush()
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_PERMANENT if isinstance(error, permanent) else EXIT_FAILURE)


def _silence_abandoned_tasks() -> None:
    """Orbax leaves the tasks of a failed save or read to die with a traceback each.

    `checkpoint` has told the error once; hundreds of lines would bury it.
    """
    standard_logging.getLogger("asyncio").addFilter(
        lambda record: "exception was never retrieved" not in record.msg
    )
    report = sys.unraisablehook

    def hook(unraisable) -> None:
        code = getattr(unraisable.object, "cr_code", None)
        of_orbax = code is not None and "orbax" in code.co_filename
        if not of_orbax and str(unraisable.exc_value) != "Event loop is closed":
            report(unraisable)

    sys.unraisablehook = hook
