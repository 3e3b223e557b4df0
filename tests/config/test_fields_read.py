"""Every setting is read somewhere in the package."""

import ast
import typing
from collections.abc import Iterable

from stylegan_jax import config
from tests.config.reading import ROOT, schema

PACKAGE = ROOT / "stylegan_jax"


def fields_read(source: str) -> set[str]:
    """Return each "section.field" that a module reads as an attribute.

    This finds `<anything>.training.loss` and `t.loss`, where t is a variable or an
    attribute that is assigned `<anything>.training`, or another such t, or a parameter
    annotated as `Training`.
    """
    sections = typing.get_type_hints(config.Experiment)
    classes = {cls.__name__: name for name, cls in sections.items()}
    names: dict[str, str] = {}  # "t" or "self._t" -> section

    def section_of(node: ast.AST) -> str | None:
        if isinstance(node, ast.Attribute) and node.attr in classes.values():
            return node.attr
        return names.get(ast.unparse(node))

    def bind(target: ast.AST, value: ast.AST) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            if any(isinstance(part, ast.Starred) for part in value.elts):
                return
            for pair in zip(target.elts, value.elts, strict=True):
                bind(*pair)
        elif section_of(value) and not isinstance(target, ast.Tuple):
            names[ast.unparse(target)] = section_of(value)

    nodes = list(ast.walk(ast.parse(source)))
    for node in sorted(nodes, key=lambda node: getattr(node, "lineno", 0)):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                bind(target, node.value)
        elif isinstance(node, ast.arg) and node.annotation is not None:
            annotation = ast.unparse(node.annotation).rpartition(".")[2]
            if annotation in classes:
                names[node.arg] = classes[annotation]
    return {
        f"{section_of(node.value)}.{node.attr}"
        for node in nodes
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Load)
        and section_of(node.value)
    }


def never_read(sources: Iterable[str]) -> set[str]:
    return schema().difference(*map(fields_read, sources))


def test_every_field_is_read_outside_of_config():
    files = [p for p in PACKAGE.rglob("*.py") if PACKAGE / "config" not in p.parents]
    assert never_read(p.read_text() for p in files) == set()


def test_an_unused_field_is_found():
    read_all = "\n".join(f"e.{name}" for name in sorted(schema()))
    assert never_read([read_all]) == set()
    without = read_all.replace("e.training.loss\n", "")
    assert never_read([without]) == {"training.loss"}
    assert never_read([without, "'e.training.loss'; e.training.loss = 1; x.loss"]) == {
        "training.loss"
    }
    for use in (
        "self._e.training.loss",
        "kimg, t = images / 1000, e.training\nt.loss",
        "def f(how: config.Training): return how.loss",
        "t = e.training\nself._t = t\nself._t.loss",
    ):
        assert never_read([without, use]) == set()
