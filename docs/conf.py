"""Sphinx configuration; `make docs` builds the site into docs/_build/html."""

import dataclasses
import inspect
import os
import re
import shutil
import sys
import typing
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
# The notebooks' kernels import this copy of the package, too, and run on the CPU.
os.environ["PYTHONPATH"] = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

from stylegan_jax import config  # noqa: E402
from stylegan_jax.config import listing  # noqa: E402

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

autodoc_mock_imports = ["starlette", "uvicorn"]  # of the extra `explore`
autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_default_options = {"ignore-module-all": True}
autodoc_typehints = "signature"
autodoc_mock_imports = ["onnx"]  # an extra that the documentation does not need
smartquotes = False  # it would turn the dashes of flags into others
default_role = "code"  # docstrings quote code as Markdown does, with one backtick
napoleon_use_rtype = False
napoleon_use_ivar = True

GENERATED = ROOT / "docs" / "_generated"
# Pages of modules that have been moved would remain.
shutil.rmtree(GENERATED, ignore_errors=True)


def to_restructured_text(app, what, name, obj, options, lines) -> None:
    """Convert the plain text of our docstrings, after napoleon has read its sections.

    Indented blocks are code or formulas. Elsewhere, `a * b`, `*args` and `name_` are
    meant literally: there is no emphasis, and there are no references.
    """
    del app, what, name, obj, options
    out, literal, previous = [], False, ""
    for line in lines:
        indented = line.startswith(" ")
        if literal and line and not indented:
            literal = False
            out.append("")
        # Fields and lists have indented lines that continue them.
        if indented and line.strip() and not literal and previous:
            literal = not re.match(r" |:|[-*] |\d+\. |\.\. ", previous)
            out += ["", "::", ""] if literal else []
        out.append(line if literal else _escape(line))
        previous = line if line.strip() else previous
    lines[:] = out


def _escape(line: str) -> str:
    parts = re.split(r"(`[^`]*`)", line)
    parts[::2] = [re.sub(r"([*|]|(?<=\w)_\b)", r"\\\1", text) for text in parts[::2]]
    return "".join(parts)


def write_settings(app) -> None:
    """Write the tables of all settings, which `settings.md` includes."""
    del app
    text = []
    for section in dataclasses.fields(config.Experiment):
        values = getattr(config.Experiment(), section.name)
        text += [f"## `{section.name}`", "", inspect.getdoc(type(values)), ""]
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
    (GENERATED / "settings.inc").write_text("\n".join(text))


def _type(hint: typing.Any) -> str:
    if hint == config.ByResolution:
        return "((int, float), ...)"
    return str(hint) if typing.get_args(hint) else hint.__name__


def _description(field: dataclasses.Field) -> str:
    unit = field.metadata["unit"]
    return listing.describe(field) + f" Unit: {unit}." * bool(unit)


def setup(app) -> None:
    """Register the hooks."""
    app.connect("builder-inited", write_settings)
    app.connect("autodoc-process-docstring", to_restructured_text)
