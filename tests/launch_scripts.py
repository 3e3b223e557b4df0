"""Paths of the launch scripts, and the flags that they may use."""

from pathlib import Path

from stylegan_jax.commands.train import COMMAND

ROOT = Path(__file__).resolve().parent.parent
LAUNCH = ROOT / "launch"


def flags_of_train() -> set[str]:
    return set(COMMAND.all_flags)
