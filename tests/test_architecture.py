"""Imports run down the floors of the package and never up, and have no cycle."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "stylegan_jax"
# From the ground up; the rooms of one floor may import each other.
FLOORS = (
    ("runtime",),
    ("config",),
    ("rngs", "layers", "weights"),
    ("models", "augment", "data", "checkpoint", "presets"),
    ("workdir",),
    ("training", "metrics", "sampling", "interop"),
    ("report",),
    ("convert", "evaluate", "generate", "mix", "prepare", "train"),
)
FLOOR = {room: i for i, rooms in enumerate(FLOORS) for room in rooms}


def imports(path: Path) -> Iterator[str]:
    """Yield the modules of the package that a file imports, in functions too."""
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
    """Return the module that an imported name is, or is defined in."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        path = PACKAGE.joinpath(*parts[:end])
        if path.with_suffix(".py").exists():
            return ".".join(parts[:end])
        if (path / "__init__.py").exists():
            return ".".join([*parts[:end], "__init__"])
    return None


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    """Module -> modules that it imports."""
    out = {}
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        found = {module_of(name) for name in imports(path)} - {None, module}
        out[module] = found
    return out


def test_imports_run_down(graph):
    upward = sorted(
        f"{module} -> {other}"
        for module, others in graph.items()
        for other in others
        if module != "__init__"
        and FLOOR[other.split(".")[0]] > FLOOR[module.split(".")[0]]
    )
    assert not upward


def test_every_room_has_a_floor(graph):
    rooms = {module.split(".")[0] for module in graph} - {"__init__"}
    assert rooms == set(FLOOR)


def test_there_is_no_cycle(graph):
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path, module])
        if module not in done:
            for other in graph[module]:
                visit(other, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_layers_and_models_know_no_training(graph):
    """Nor data; and training knows no data source and no metric but its evaluator."""
    for module, others in graph.items():
        room = module.split(".")[0]
        rooms = {other.split(".")[0] for other in others}
        if room in ("layers", "models"):
            assert not rooms & {"training", "data", "checkpoint", "metrics"}, module
        if room == "training" and module != "training.evaluator":
            assert "metrics" not in rooms, module
            assert not any(o.startswith("data.sources") for o in others), module
