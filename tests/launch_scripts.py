"""Paths of the launch scripts, and the flags that they may use."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAUNCH = ROOT / "launch"


def flags_of_train() -> set[str]:
    tree = ast.parse((ROOT / "stylegan_jax" / "train.py").read_text())
    return {
        call.args[0].value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr.startswith("DEFINE_")
    }
