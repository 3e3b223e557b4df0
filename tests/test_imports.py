"""Programs import only the modules that they use."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import stylegan_jax

PACKAGE = Path(stylegan_jax.__file__).resolve().parent
# Slow to import, and not needed to load a network and generate images ...
SLOW = ("tensorflow", "tensorboardX", "optax", "scipy", "PIL", "orbax", "tensorstore")
OURS = ("training", "metrics", "data", "inversion", "report", "checkpoint.checkpoints")
# ... or to import the package.
BASIC = ("jax", "jaxlib", "flax", "numpy", "etils", "absl")


def imported(*command: str) -> set[str]:
    """Return the names of all modules that a program imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *command],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
    )
    names = re.findall(r"^import time:.*\| +(\S+)$", done.stderr, re.MULTILINE)
    assert "stylegan_jax" in names, done.stderr[-2000:]
    return set(names)


def test_generate_imports_no_slow_modules():
    names = imported("-c", "import stylegan_jax.generate")
    assert "jax" in names  # the list includes the imports of the program itself
    slow = {*SLOW, *(f"stylegan_jax.{name}" for name in OURS)}
    assert not slow & names


def test_help_and_wrong_flags_import_neither_jax_nor_numpy():
    """The programs answer them before their other imports."""
    light = {"absl.flags", "stylegan_jax.runtime.command"}
    heavy = {*SLOW, "jax", "jaxlib", "flax", "numpy", "stylegan_jax.runtime.parallel"}
    names = imported("-m", "stylegan_jax.evaluate", "--help")
    assert light <= names and not heavy & names
    names = imported(
        *("-m", "stylegan_jax.train", "--config=configs/emoji.py"),
        "--config.training.totl_kimg=1",
    )
    assert light | {"stylegan_jax.config.parsing"} <= names and not heavy & names


def test_every_program_answers_before_its_slow_imports():
    """The answer comes first in the source of each; the test above runs two."""
    programs = [p for p in PACKAGE.glob("*.py") if "app.run(" in p.read_text()]
    programs.append(PACKAGE / "report" / "__main__.py")
    assert len(programs) == 17
    for path in programs:
        name = path.parent.name if path.stem == "__main__" else path.stem
        nodes = ast.parse(path.read_text()).body
        assert ast.unparse(nodes[1:4]) == (
            f"from stylegan_jax.commands.{name} import COMMAND\n"
            "from stylegan_jax.runtime.command import parse_or_exit\n"
            "if __name__ == '__main__':\n    arguments = parse_or_exit(COMMAND)"
        ), path


def test_package_imports_nothing():
    names = imported("-c", "import stylegan_jax; stylegan_jax.load")
    assert not {*SLOW, *BASIC} & names
    assert not [name for name in names if name.startswith("stylegan_jax.")]


def test_only_the_runtime_names_meshes_and_processes():
    names = ("parallel", "collectives", "processes")
    allowed = [PACKAGE / "runtime" / f"{name}.py" for name in names]
    names = (
        *("Mesh", "PartitionSpec", "NamedSharding", "SingleDeviceSharding"),
        *("multihost_utils", "jax.distributed", "jax.process_index"),
        *("jax.process_count", "jax.local_devices", "axis_names"),
    )
    pattern = re.compile("|".join(rf"\b{re.escape(name)}\b" for name in names))
    found = {
        f"{path.relative_to(PACKAGE)}: {line.strip()}"
        for path in PACKAGE.rglob("*.py")
        if path not in allowed
        for line in path.read_text().splitlines()
        if pattern.search(line)
    }
    assert not found
