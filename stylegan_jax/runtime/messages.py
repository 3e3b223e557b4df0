"""Parts of messages for people: lists of names, sizes, and commands to copy."""

import re
import shlex
from collections.abc import Iterable, Sequence

MAX_NAMES = 20  # names or lines of the same kind in one message


def listed(names: Iterable[object]) -> str:
    """Return names separated by commas; if many, the first ones and a count."""
    names = list(map(str, names))
    if len(names) <= MAX_NAMES:
        return ", ".join(names)
    return f"{', '.join(names[:MAX_NAMES])} and {len(names) - MAX_NAMES} more"


def lines(texts: Iterable[str]) -> str:
    """Return texts as indented lines, each after a line break, up to the same limit."""
    texts = list(texts)
    shown = texts[:MAX_NAMES]
    if len(texts) > MAX_NAMES:
        shown.append(f"... and {len(texts) - MAX_NAMES} more")
    return "".join(f"\n  {text}" for text in shown)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a line for each row, with its cells in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def sides(size: Sequence[int]) -> str:
    """Return WIDTHxHEIGHT, the usual order in text.

    Args:
      size: height and width, the order of arrays.
    """
    height, width = size
    return f"{width}x{height}"


def parse_sides(text: str, flag: str) -> tuple[int, int]:
    """Return (height, width) from "64" or "96x64", which is WIDTHxHEIGHT.

    Args:
      text: the value of a flag.
      flag: its name, for the message.

    Raises:
      ValueError: the text has neither form.
    """
    match = re.fullmatch(r"\s*(\d{1,6})(?:\s*[xX\u00d7]\s*(\d{1,6}))?\s*", text)
    if not match or not int(match[1]) or not int(match[2] or 1):
        raise ValueError(
            f"`{flag}` (={text!r}) must be a side in pixels such as 256, or "
            "WIDTHxHEIGHT such as 512x384"
        )
    return int(match[2] or match[1]), int(match[1])


def command(program: str, *arguments: object) -> str:
    """Return a command line that a shell reads as these arguments.

    Args:
      program: a module of this package, such as "generate".
      *arguments: flags such as `--out=my images`, whose values are quoted where
        necessary.
    """
    words = ["python", "-m", f"stylegan_jax.{program}"]
    for argument in arguments:
        name, equals, value = str(argument).partition("=")
        words.append(shlex.quote(name) + equals + (shlex.quote(value) if value else ""))
    return " ".join(words)
