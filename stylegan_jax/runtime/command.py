"""Declaration of a program: its flags in groups, its help, and the parsing of both.

A program declares itself in a module of `stylegan_jax.commands`, which imports nothing
slow, so that `--help` and errors in flags appear at once.
"""

import dataclasses
import importlib
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Mapping
from typing import NamedTuple, NoReturn

from absl import flags

from stylegan_jax.runtime import cli
from stylegan_jax.runtime.flag import NAME_COLUMNS, Flag
from stylegan_jax.runtime.messages import listed

HELP = re.compile(r"--?(?:help|h|\?|helpshort|helpfull|helpxml)(?:=(?P<topic>.*))?")
WIDTHS = 60, 88  # minimum and maximum of the help, in columns
TRUTH = re.compile(r"(?i:true|false|yes|no|on|off|0|1)")

Parse = Callable[[list[str], flags.FlagValues], list[str]]


class UsageError(ValueError):
    """The command line is invalid."""


class Needs(NamedTuple):
    """The state of another flag that a flag needs to have an effect.

    Attributes:
      flag: the other flag.
      values: its values with which there is an effect; without any, it must be given.
    """

    flag: str
    values: tuple[str, ...] = ()


def parse_with_absl(argv: list[str], values: flags.FlagValues) -> list[str]:
    """Parse a command line; raise UsageError for flags that are unknown or wrong."""
    try:
        return values(argv)
    except flags.Error as error:
        raise UsageError(f"the command line is wrong: {error}") from error


@dataclasses.dataclass(frozen=True)
class Command:
    """A program of this package.

    Attributes:
      name: its module, such as "generate".
      summary: its purpose, in whole sentences.
      examples: arguments of example commands, after "python -m stylegan_jax.NAME".
      groups: title of a group -> its flags, in the order of the help.
      notes: paragraphs at the end of the help.
      topics: word -> "module:function", which returns the text that `--help=word`
        prints for the word and the command line; a string, because importing it may be
        slow.
      tables: title -> word -> its explanation, for the help, after the flags.
      one_of: flags of which exactly one must be given.
      needs: flag -> what it needs to have an effect; it is refused otherwise.
      parse_flags: parser of the command line.
      wrong_status: exit status after a wrong command line.
    """

    name: str
    summary: str
    examples: tuple[str, ...]
    groups: Mapping[str, tuple[Flag, ...]]
    notes: tuple[str, ...] = ()
    topics: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tables: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    one_of: tuple[str, ...] = ()
    needs: Mapping[str, Needs] = dataclasses.field(default_factory=dict)
    parse_flags: Parse = parse_with_absl
    wrong_status: int = cli.EXIT_FAILURE

    @property
    def program(self) -> str:
        """The program as users start it."""
        return f"python -m stylegan_jax.{self.name}"

    @property
    def all_flags(self) -> dict[str, Flag]:
        """All flags by name."""
        return {flag.name: flag for group in self.groups.values() for flag in group}

    def define(self, values: flags.FlagValues, argv: list[str]) -> None:
        """Define the flags; the value of some depends on the rest of `argv`."""
        for flag in self.all_flags.values():
            flag.define(values, argv)

    def parse(
        self,
        argv: list[str],
        values: flags.FlagValues = flags.FLAGS,
    ) -> list[str]:
        """Parse a command line with flags that `define` has defined.

        Args:
          argv: the name of the program and its arguments.
          values: the flags.

        Returns:
          The name of the program.

        Raises:
          UsageError: a flag is unknown, wrong, missing or without effect, or an
            argument is not a flag.
        """
        program, *others = self.parse_flags(argv, values)
        if others:
            hint = "every argument is a flag, such as " + self.examples[0].split()[0]
            if all(map(TRUTH.fullmatch, others)):
                hint = "switches have no value after a space: write --name or --noname"
            raise UsageError(f"unexpected arguments {others}; {hint}")
        missing = [
            f"--{flag.name}={flag.placeholder}"
            for flag in self.all_flags.values()
            if flag.required and values[flag.name].value is None
        ]
        if missing:
            raise UsageError(
                f"{' and '.join(missing)} must be given; `{self.program} --help` "
                "explains all flags"
            )
        given = [f"--{name}" for name in self.one_of if values[name].value is not None]
        if self.one_of and len(given) != 1:
            options = " or ".join(f"--{name}" for name in self.one_of)
            raise UsageError(
                f"{options} must be given, "
                + (f"but not {' and '.join(given)}" if given else "and is missing")
                + f"; `{self.program} --help` explains all flags"
            )
        for name, (other, allowed) in self.needs.items():
            now = values[other].value
            if values[name].present and not (now in allowed if allowed else now):
                raise UsageError(self._without_effect(name, now))
        return [program]

    def _without_effect(self, name: str, now: str | bool | None) -> str:
        """Return the message for a flag whose `needs` are not met.

        Args:
          name: the flag.
          now: the value of the flag that it needs.
        """
        other, allowed = self.needs[name]
        if allowed:
            return (
                f"--{name} has no effect with --{other}={now}; leave it out, or use "
                f"--{other}={' or '.join(allowed)}"
            )
        placeholder = self.all_flags[other].placeholder
        return (
            f"--{name} has no effect without --{other}; leave it out, or add "
            f"--{other}{f'={placeholder}' * bool(placeholder)}"
        )

    def help(self, width: int = WIDTHS[1]) -> str:
        """Return the help as text of at most `width` columns."""
        out = [*textwrap.wrap(self.summary, width), ""]
        for example in self.examples:
            out += _wrapped_command(f"{self.program} {example}", width)
        for title, group in self.groups.items():
            out += ["", f"{title}:"]
            for flag in group:
                out += flag.help(width)
        for title, table in self.tables.items():
            out += ["", f"{title}:"]
            for word, text in table.items():
                head, indent = f"  {word}".ljust(NAME_COLUMNS), " " * NAME_COLUMNS
                out += textwrap.wrap(
                    text, width, initial_indent=head, subsequent_indent=indent
                )
        for note in self.notes:
            out += ["", *textwrap.wrap(note, width, break_on_hyphens=False)]
        return "\n".join(out)


def parse_or_exit(
    command: Command, values: flags.FlagValues = flags.FLAGS
) -> list[str]:
    """Parse the command line of this process, or print help or an error and exit.

    Programs call it before their other imports, which take seconds.

    Returns:
      The name of the program, for `absl.app.run`.
    """
    cli.show_any_text()
    topic = help_topic(sys.argv[1:])
    if topic is not None:
        _answer(command, topic)
    with cli.reporting_errors(permanent=(ValueError,), status=command.wrong_status):
        command.define(values, sys.argv)
        return command.parse(sys.argv, values)


def help_topic(arguments: list[str]) -> str | None:
    """Return the topic of the first `--help` or `--help=topic`, "" for none.

    None if there is no such flag.
    """
    for argument in arguments:
        if argument == "--":
            break
        if match := HELP.fullmatch(argument):
            return match["topic"] or ""
        if argument in ("--list_settings", "--list_settings=true"):
            return "settings"
    return None


def _answer(command: Command, topic: str) -> NoReturn:
    width = min(
        max(shutil.get_terminal_size((WIDTHS[1], 24)).columns, WIDTHS[0]), WIDTHS[1]
    )
    with cli.reporting_errors(permanent=(ValueError,), status=command.wrong_status):
        if not topic:
            text = command.help(width)
        elif topic in command.topics:
            module, _, function = command.topics[topic].partition(":")
            text = getattr(importlib.import_module(module), function)(topic, sys.argv)
        else:
            allowed = listed(f"--help={word}" for word in command.topics)
            raise UsageError(
                f"`--help` has no topic {topic!r}; use --help"
                + (f" or one of {allowed}" if allowed else "")
            )
    try:
        print(text, flush=True)
    except BrokenPipeError:  # as in `--help | head`
        cli.forget_stdout()
    sys.exit(0)


def _wrapped_command(text: str, width: int) -> list[str]:
    """Wrap a command into lines that end in a backslash, except for the last one."""
    rows = [""]
    for word in text.split(" "):
        if rows[-1] and len(rows[-1]) + len(word) > width - 8:
            rows.append("")
        rows[-1] += f"{word} "
    rows = [row.rstrip() for row in rows]
    indents = ["  ", *["      "] * (len(rows) - 1)]
    ends = [*[" \\"] * (len(rows) - 1), ""]
    return [a + b + c for a, b, c in zip(indents, rows, ends, strict=True)]
