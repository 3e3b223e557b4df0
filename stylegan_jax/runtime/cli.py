"""What the command-line programs share: quiet libraries, errors without traceback."""

import contextlib
import logging as standard_logging
import re
import sys
from collections.abc import Iterator

from absl import flags, logging
from ml_collections import ConfigDict

from stylegan_jax import config

FLAGS = flags.FLAGS


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


def parse_flags(argv: list[str]) -> list[str]:
    """The command line of a program with a `--config`; for `app.run(flags_parser=)`.

    Args:
      argv: the program's name and its arguments.

    Returns:
      What is no flag.

    Raises:
      config.ConfigError: an override names no config key, there is no config file, or
        a flag is unknown, missing or wrong.
    """
    arguments = FLAGS.read_flags_from_files(argv[1:], force_gnu=False)
    problems = unknown_overrides(arguments)
    if problems:
        raise config.ConfigError("\n  ".join(["The command line is wrong:", *problems]))
    try:
        rest = FLAGS(argv)
        FLAGS.config.lock()  # ml_collections reports a missing file at the first use
    except flags.Error as error:
        raise config.ConfigError(f"The command line is wrong: {error}") from error
    except BrokenPipeError:  # of `--help | head`
        raise
    except OSError as error:
        raise config.ConfigError(f"The config file cannot be read: {error}") from error
    return rest


def unknown_overrides(arguments: list[str]) -> list[str]:
    """What is wrong with the names in `--config.section.key=value` arguments."""
    matches = [re.match(r"--?(?:no)?config\.([^=]+)", a) for a in arguments]
    names = [match[1] for match in matches if match]
    return [text for text in map(_unknown_key, names) if text]


def _unknown_key(name: str) -> str | None:
    section, parts = config.base(), name.split(".")
    for depth, part in enumerate(parts):
        if not isinstance(section, ConfigDict):
            return f"`{'.'.join(parts[:depth])}` is a value; it has no key `{part}`"
        if part not in section:
            return config.unknown_key(".".join(parts[: depth + 1]), section)
        section = section[part]
    return None
