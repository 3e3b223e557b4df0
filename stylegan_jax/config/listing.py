"""All settings as text: meaning, unit, allowed values, and the values of a config."""

import dataclasses
import inspect
import textwrap
from typing import Any

from ml_collections import ConfigDict

from stylegan_jax.config.schema import Experiment

WIDTH = 88
SECTIONS = tuple(field.name for field in dataclasses.fields(Experiment))


def text(config: ConfigDict, name: str | None, section: str | None = None) -> str:
    """Return a list of settings with their values in a config.

    Args:
      config: the config; it may be incomplete or have wrong values.
      name: name of its file; None for the defaults.
      section: the only section to list; None for all.
    """
    head = "The settings and their default values."
    if name is not None:
        head = (
            f"The settings with their values in {name} and on this command line; an "
            "asterisk marks those that differ from the default."
        )
    out = textwrap.wrap(f"{head} Change one with --config.SECTION.NAME=VALUE.", WIDTH)
    values = config.to_dict()
    for part in SECTIONS if section is None else (section,):
        declared = getattr(Experiment(), part)
        summary = inspect.getdoc(type(declared)).splitlines()[0]
        out += ["", f"{part}: {summary}"]
        for field in dataclasses.fields(declared):
            out += _entry(part, field, values[part][field.name])
    return "\n".join(out)


def _entry(section: str, field: dataclasses.Field, value: Any) -> list[str]:
    differs = value != field.default
    unit = field.metadata["unit"]
    head = f"  {section}.{field.name} = {value!r}" + f"  [{unit}]" * bool(unit)
    doc = describe(field)
    if differs:
        head += "  *"
        doc += f" Default: {field.default!r}."
    indent = " " * 6
    return [
        head,
        *textwrap.wrap(
            doc,
            WIDTH,
            initial_indent=indent,
            subsequent_indent=indent,
            break_on_hyphens=False,
        ),
    ]


def describe(field: dataclasses.Field) -> str:
    """Return the meaning of a setting and its allowed values, without the unit."""
    doc, rule = field.metadata["doc"], field.metadata["rule"]
    if field.metadata["choices"]:
        choices = ", ".join(f"`{choice!r}`" for choice in field.metadata["choices"])
        return f"{doc} One of {choices}."
    return f"{doc} It must {rule.text}." if rule else doc
