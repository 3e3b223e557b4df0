"""Command lines with a `--config` and overrides such as `--config.data.mirror=True`."""

import re

from absl import flags

from stylegan_jax.config.parsing import ConfigError, key_error


def parse_flags(
    argv: list[str], flag_values: flags.FlagValues = flags.FLAGS
) -> list[str]:
    """Parse a command line; for `app.run(flags_parser=parse_flags)`.

    `ml_collections.config_flags` applies the overrides. This function turns its
    exceptions, which would end in a traceback, into messages.

    Args:
      argv: the name of the program and its arguments.
      flag_values: the declared flags, among them `config`.

    Returns:
      The arguments that are not flags.

    Raises:
      ConfigError: an override names no setting, the config file cannot be read, or a
        flag is unknown, missing or invalid.
    """
    # config_flags would stop at the first unknown setting, with an AttributeError.
    arguments = flag_values.read_flags_from_files(argv[1:], force_gnu=False)
    problems = unknown_overrides(arguments)
    if problems:
        raise ConfigError("\n  ".join(["The command line is wrong:", *problems]))
    try:
        remaining = flag_values(argv)
        # config_flags reports a missing file when the config is first used.
        flag_values.config.lock()
    except flags.Error as error:
        raise ConfigError(f"The command line is wrong: {error}") from error
    except BrokenPipeError:  # as from `--help | head`
        raise
    except OSError as error:
        raise ConfigError(f"The config file cannot be read: {error}") from error
    return remaining


def unknown_overrides(arguments: list[str]) -> list[str]:
    """Return an error for each `--config.section.key=value` that names no setting."""
    matches = (re.match(r"--?(?:no)?config\.([^=]+)", text) for text in arguments)
    errors = (key_error(match[1]) for match in matches if match)
    return [error for error in errors if error]
