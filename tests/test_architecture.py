"""Imports between the tiers of the package: never upward, and without cycles."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "stylegan_jax"
# From the lowest to the highest; the subpackages of a tier may import each other.
TIERS = (
    ("runtime",),
    ("config",),
    ("commands",),
    ("rngs", "layers", "weights"),
    ("models", "augment", "data", "checkpoint", "presets"),
    ("workdir",),
    ("training", "metrics", "sampling", "interop"),
    ("networks",),
    ("inversion",),
    ("explorer", "exporters", "report"),
    (
        *("convert", "directions", "ema", "encoder", "evaluate", "explore", "export"),
        *("figures", "generate", "inspect", "interpolate", "mix", "prepare", "project"),
        *("train", "tune"),
    ),
)
TIER = {
    subpackage: i for i, subpackages in enumerate(TIERS) for subpackage in subpackages
}


def imported_names(path: Path) -> Iterator[str]:
    """Yield the names of the package that a file imports, including in functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                if name.startswith("stylegan_jax."):
                    yield name.removeprefix("stylegan_jax.")
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("stylegan_jax."):
                    yield alias.name.removeprefix("stylegan_jax.")


def module_of(name: str) -> str | None:
    """Return the module of an imported name, which may itself be a module."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        path = PACKAGE.joinpath(*parts[:end])
        if path.with_suffix(".py").exists():
            return ".".join(parts[:end])
        if (path / "__init__.py").exists():
            return ".".join([*parts[:end], "__init__"])
    return None


@pytest.fixture(scope="module")
def import_graph() -> dict[str, set[str]]:
    """Return the imports of every module, as module -> imported modules."""
    out = {}
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        found = {module_of(name) for name in imported_names(path)} - {None, module}
        out[module] = found
    return out


def test_imports_point_to_the_same_or_a_lower_tier(import_graph):
    upward = sorted(
        f"{module} -> {other}"
        for module, others in import_graph.items()
        for other in others
        if module != "__init__"
        and TIER[other.split(".")[0]] > TIER[module.split(".")[0]]
    )
    assert not upward


def test_every_subpackage_has_a_tier(import_graph):
    subpackages = {module.split(".")[0] for module in import_graph} - {"__init__"}
    assert subpackages == set(TIER)


def test_imports_have_no_cycle(import_graph):
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path, module])
        if module not in done:
            for other in import_graph[module]:
                visit(other, (*path, module))
            done.add(module)

    for module in import_graph:
        visit(module, ())


def test_layers_and_models_do_not_import_training(import_graph):
    """Training imports no data source, and only its evaluator imports metrics."""
    for module, others in import_graph.items():
        subpackage = module.split(".")[0]
        subpackages = {other.split(".")[0] for other in others}
        if subpackage in ("layers", "models"):
            assert not subpackages & {"training", "data", "checkpoint", "metrics"}, (
                module
            )
        if subpackage == "training" and module != "training.evaluator":
            assert "metrics" not in subpackages, module
            assert not any(o.startswith("data.sources") for o in others), module
