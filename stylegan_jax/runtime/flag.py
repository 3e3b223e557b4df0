"""Declaration of one flag of a program: its type, default, limits and help.

absl parses the flags; these declarations add what it lacks: numbers must be finite,
texts must not be empty, and the help names units and defaults.
"""

import dataclasses
import textwrap
from collections.abc import Callable
from typing import Any

from absl import flags

FLOAT32_MAX = 3.4028234663852886e38  # larger numbers become infinite on a device
NAME_COLUMNS = 24  # width of the column of names in the help


@dataclasses.dataclass(frozen=True)
class Flag:
    """A flag of a program.

    Attributes:
      name: its name, without dashes.
      doc: help, in whole sentences.
      default: its value if it is not given.
      absent: meaning of a default of None, such as "the newest", for the help.
      placeholder: stands for the value in the help, such as DIRECTORY.
      unit: unit of the default, for the help.
      required: True if there must be a value.
      define: (flag values, command line) -> None; defines it for absl.
    """

    name: str
    doc: str
    default: Any
    absent: str | None
    placeholder: str
    unit: str
    required: bool
    define: Callable[[flags.FlagValues, list[str]], None]

    def help(self, width: int) -> list[str]:
        """Return the lines of the help, at most `width` columns wide."""
        head = f"  --{self.name}" + (f"={self.placeholder}" * bool(self.placeholder))
        body = textwrap.wrap(
            " ".join([self.doc, *self._remark()]),
            width - NAME_COLUMNS,
            break_on_hyphens=False,
            break_long_words=False,
        )
        if len(head) > NAME_COLUMNS - 2:
            body = ["", *body]
        return [head.ljust(NAME_COLUMNS) + body[0]] + [
            " " * NAME_COLUMNS + line for line in body[1:]
        ]

    def _remark(self) -> list[str]:
        if self.required:
            return ["Required."]
        if self.default is None:
            return [f"Default: {self.absent}."] if self.absent else []
        if isinstance(self.default, bool):
            return []  # a switch is off
        value = self.default
        if isinstance(value, list):
            value = ",".join(value)
        return [f"Default: {value}{f' {self.unit}' * bool(self.unit)}."]


class _Text(flags.ArgumentParser):
    """Parser of a text that must not be empty, nor look like another flag."""

    def parse(self, argument: str) -> str:
        if isinstance(argument, str) and not argument.strip():
            raise ValueError(
                "the value is empty; if it comes from a shell variable, the variable "
                "is not set"
            )
        if isinstance(argument, str) and argument.startswith("--"):
            raise ValueError("the value is missing; another flag follows")
        return argument


class _Integer(flags.IntegerParser):
    """Parser of a whole number, with a readable message."""

    def convert(self, argument: Any) -> int:
        try:
            return super().convert(argument)
        except ValueError as error:
            raise ValueError("the value must be a whole number such as 8") from error


class _Number(flags.FloatParser):
    """Parser of a finite number; absl's accepts nan, whatever the bounds are."""

    def convert(self, argument: Any) -> float:
        try:
            number = super().convert(argument)
        except ValueError as error:
            raise ValueError("the value must be a number such as 0.7") from error
        if not abs(number) <= FLOAT32_MAX:  # True for NaN, too
            raise ValueError("the value must be a finite number")
        return number


def text(
    name: str,
    placeholder: str,
    doc: str,
    default: str | None = None,
    *,
    absent: str | None = None,
    required: bool = False,
    may_be_empty: bool = False,
) -> Flag:
    """Declare a flag with a text."""

    def define(values: flags.FlagValues, argv: list[str]) -> None:
        parser = flags.ArgumentParser() if may_be_empty else _Text()
        # `Command.parse` checks that a required one is given.
        flags.DEFINE(parser, name, default, doc, values, flags.ArgumentSerializer())

    return Flag(name, doc, default, absent, placeholder, "", required, define)


def integer(
    name: str,
    placeholder: str,
    doc: str,
    default: int | None = None,
    *,
    minimum: int,
    maximum: int | None = None,
    absent: str | None = None,
    unit: str = "",
) -> Flag:
    """Declare a flag with a whole number within bounds."""

    def define(values: flags.FlagValues, argv: list[str]) -> None:
        parser = _Integer(minimum, maximum)
        flags.DEFINE(parser, name, default, doc, values, flags.ArgumentSerializer())

    return Flag(name, doc, default, absent, placeholder, unit, False, define)


def number(
    name: str,
    placeholder: str,
    doc: str,
    default: float | None = None,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    absent: str | None = None,
    unit: str = "",
) -> Flag:
    """Declare a flag with a finite number, possibly within bounds."""

    def define(values: flags.FlagValues, argv: list[str]) -> None:
        flags.DEFINE(
            _Number(minimum, maximum),
            name,
            default,
            doc,
            values,
            flags.ArgumentSerializer(),
        )

    return Flag(name, doc, default, absent, placeholder, unit, False, define)


def choice(name: str, doc: str, default: str | None, choices: tuple[str, ...]) -> Flag:
    """Declare a flag with one of a few values, which the help must explain.

    Without a default it is required.
    """

    def define(values: flags.FlagValues, argv: list[str]) -> None:
        flags.DEFINE_enum(name, default, list(choices), doc, flag_values=values)

    placeholder = name.upper() if len(name) < 8 else "KIND"
    return Flag(name, doc, default, None, placeholder, "", default is None, define)


def switch(name: str, doc: str) -> Flag:
    """Declare a flag that is off unless it is given."""

    def define(values: flags.FlagValues, argv: list[str]) -> None:
        flags.DEFINE_bool(name, False, doc, flag_values=values)

    return Flag(name, doc, False, None, "", "", False, define)


def names(name: str, placeholder: str, doc: str, default: list[str]) -> Flag:
    """Declare a flag with names that are separated by commas."""

    def define(values: flags.FlagValues, argv: list[str]) -> None:
        flags.DEFINE_list(name, default, doc, flag_values=values)

    return Flag(name, doc, default, None, placeholder, "", False, define)
