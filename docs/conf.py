"""Sphinx configuration; `make docs` builds the site into docs/_build/html."""

import dataclasses
import os
import re
import sys
import typing
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
# The notebooks' kernels import this copy of the package, too, and run on the CPU.
os.environ["PYTHONPATH"] = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

from stylegan_jax import config  # noqa: E402

project = "stylegan_jax"
copyright = "the stylegan_jax authors, Apache-2.0"  # noqa: A001
extensions = [
    "myst_nb",  # Markdown pages; those with code cells are executed
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]

html_theme = "sphinx_book_theme"
html_title = "stylegan_jax"
html_theme_options = {"show_toc_level": 2, "use_download_button": False}

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300

autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_default_options = {"ignore-module-all": True}
autodoc_typehints = "signature"
default_role = "code"  # docstrings quote code as Markdown does, with one backtick
napoleon_use_rtype = False
napoleon_use_ivar = True

GENERATED = ROOT / "docs" / "_generated"


def escape_markup(app, what, name, obj, options, lines) -> None:
    """Escape what reStructuredText would take for markup in our docstrings.

    They contain mathematics such as `a * b` and names such as `*args`, but no emphasis,
    references or substitutions.
    """
    del app, what, name, obj, options
    for i, line in enumerate(lines):
        parts = re.split(r"(`[^`]*`)", line)
        parts[::2] = [re.sub(r"([*|]|\w_\b)", _escaped, text) for text in parts[::2]]
        lines[i] = "".join(parts)


def _escaped(match: re.Match) -> str:
    text = match[1]
    return f"{text[0]}\\_" if text.endswith("_") else f"\\{text}"


def write_settings(app) -> None:
    """Write the tables of all settings, which `settings.md` includes."""
    del app
    text = []
    for section in dataclasses.fields(config.Experiment):
        values = getattr(config.Experiment(), section.name)
        text += [f"## `{section.name}`", "", type(values).__doc__, ""]
        text += ["| setting | type | default | |", "|---|---|---|---|"]
        hints = typing.get_type_hints(type(values))
        for field in dataclasses.fields(values):
            row = (
                f"`{section.name}.{field.name}`",
                f"`{_type(hints[field.name])}`",
                f"`{field.default!r}`",
                _description(field),
            )
            text.append(
                "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
            )
        text.append("")
    GENERATED.mkdir(exist_ok=True)
    path = GENERATED / "settings.inc"
    new = "\n".join(text)
    if not path.exists() or path.read_text() != new:
        path.write_text(new)


def _type(hint: typing.Any) -> str:
    if hint == config.ByResolution:
        return "((int, float), ...)"
    return str(hint) if typing.get_args(hint) else hint.__name__


def _description(field: dataclasses.Field) -> str:
    doc = field.metadata["doc"]
    if field.metadata["unit"]:
        doc += f" Unit: {field.metadata['unit']}."
    if field.metadata["choices"]:
        choices = ", ".join(f"`{choice!r}`" for choice in field.metadata["choices"])
        return f"{doc} One of {choices}."
    rule = field.metadata["rule"]
    return f"{doc} Must {rule.text}." if rule else doc


def setup(app) -> None:
    """Register the hooks."""
    app.connect("builder-inited", write_settings)
    app.connect("autodoc-process-docstring", escape_markup)
