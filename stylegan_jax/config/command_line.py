"""Command lines with a `--config` and overrides such as `--config.data.mirror=True`."""

import difflib
import os
import re
import traceback
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict

from stylegan_jax.config.parsing import ConfigError, key_error, type_of
from stylegan_jax.config.schema import Experiment
from stylegan_jax.config.setting import fields
from stylegan_jax.runtime.messages import lines

# The start of the message in which ml_collections wraps an error of a config file.
_WRAPPED = "Error whilst parsing config file"
_ARGUMENTS = re.compile(r"get_config\(\) (missing|takes) ")


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
      ConfigError: an override names no setting, the config file cannot be used, or a
        flag is unknown, missing or invalid.
    """
    # config_flags would stop at the first unknown setting, with an AttributeError.
    arguments = flag_values.read_flags_from_files(argv[1:], force_gnu=False)
    problems = unknown_overrides(arguments)
    if problems:
        raise ConfigError("the command line is wrong:" + lines(problems))
    try:
        remaining = flag_values(argv)
    except flags.Error as error:
        if _WRAPPED not in str(error):
            message = f"the command line is wrong: {_flag_message(error)}"
            raise ConfigError(message) from error
        raise ConfigError(_config_message(arguments, error)) from error
    except Exception as error:  # the code of a config file may raise anything
        raise ConfigError(_config_message(arguments, error)) from error
    _check_config(flag_values.config, arguments)
    return remaining


def unknown_overrides(arguments: list[str]) -> list[str]:
    """Return an error for each `--config.section.key=value` that names no setting."""
    matches = (re.match(r"--?(?:no)?config\.([^=]+)", text) for text in arguments)
    errors = (key_error(match[1]) for match in matches if match)
    return [error for error in errors if error]


def _flag_message(error: flags.Error) -> str:
    """Return the message for an error in a flag or in a setting."""
    text = str(error)
    if match := re.match(r"flag --config\.([\w.]+)=(.*?): ", text, re.DOTALL):
        return f"`{match[1]}` (={match[2]!r}) must be {type_of(match[1])}"
    if match := re.match(r"Unknown command line flag '([\w.]+)'", text):
        # Settings are often written without their prefix, or without their section.
        names = [name for name, _, _ in fields(Experiment())]
        found = [n for n in names if match[1] in (n, n.partition(".")[2])]
        if found:
            return f"{text}; settings have a prefix: --config.{found[0]}"
    return text


def _check_config(config: object, arguments: list[str]) -> None:
    """Raise ConfigError unless the config file was found and returned a config."""
    if isinstance(config, ConfigDict):
        return
    if config is None and not _path(arguments):
        return  # the caller reports a missing --config
    try:
        config.lock  # noqa: B018  (config_flags reports a missing file by this access)
    except OSError as error:
        raise ConfigError(_unreadable_message(arguments, error)) from error
    except AttributeError:
        pass
    raise ConfigError(
        f"get_config() of {_path(arguments)} must return `config.base()` with some "
        f"settings changed; it returned {type(config).__name__}"
    )


def _path(arguments: list[str]) -> str:
    """Return the path of the config file on a command line."""
    found = ""
    for index, argument in enumerate(arguments):
        if argument in ("--config", "-config"):
            found = "".join(arguments[index + 1 : index + 2])
        elif match := re.match(r"--?config=(.*)", argument):
            found = match[1]
    return found.partition(":")[0]


def _unreadable_message(arguments: list[str], error: OSError) -> str:
    """Return the message for a config file that does not exist or cannot be read."""
    path = _path(arguments)
    message = f"the config file cannot be read: {path or 'its name is empty'}"
    if not path:
        return f"{message}; use --config=FILE.py"
    if os.path.isdir(path):
        return f"{message} is a folder; name a Python file in it"
    if os.path.exists(path):
        return f"{message}: {' '.join(str(error).split())}"
    folders = {Path(path).parent, Path("configs")}
    known = {file.stem: file for folder in folders for file in folder.glob("*.py")}
    close = difflib.get_close_matches(Path(path).stem, known, n=1)
    hint = f"; did you mean {known[close[0]]}?" if close else ""
    return f"{message} does not exist{hint}"


def _config_message(arguments: list[str], error: BaseException) -> str:
    """Return the message for a config file that exists and whose code fails."""
    path = _path(arguments)
    while _WRAPPED in str(error) and error.__context__ is not None:
        error = error.__context__
    head = f"the config file {path} cannot be used"
    if not path.endswith(".py"):
        head += " (it must be a Python file, as in configs/)"
    text = " ".join(str(error).split())
    if isinstance(error, SyntaxError):
        return f"{head}: line {error.lineno} is not valid Python ({error.msg})"
    if isinstance(error, AttributeError) and "'get_config'" in text:
        return f"{head}: it must define a function get_config()"
    if isinstance(error, TypeError) and (match := _ARGUMENTS.search(text)):
        needs = "needs" if match[1] == "missing" else "does not take"
        return f"{head}: it {needs} an argument after a colon ({text})"
    if isinstance(error, ValueError) and not isinstance(error, UnicodeError):
        return f"{head}: {text}"  # such as an argument that the config rejects
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame.lineno for frame in frames if _same_file(frame.filename, path)]
    where = f"line {own[-1]}: " if own else ""
    return f"{head}: {where}{type(error).__name__}: {text}"


def _same_file(a: str, b: str) -> bool:
    try:
        return os.path.samefile(a, b)
    except OSError:
        return False
