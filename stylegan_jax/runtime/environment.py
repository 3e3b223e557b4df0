"""Environment of a run: versions, devices and commit."""

import datetime
import importlib.metadata
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from stylegan_jax.runtime import parallel

_PACKAGES = (
    "stylegan-jax",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "numpy",
    "tensorflow",
)


def versions() -> dict[str, str | None]:
    """Return the versions of the packages that a run's numbers depend on."""
    return {package: _version(package) for package in _PACKAGES}


def environment() -> dict[str, Any]:
    """Return the versions, devices, commit, command line and time of a run."""
    return {
        "time": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": list(sys.argv),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": versions(),
        **parallel.describe_devices(),
        "git_commit": git_commit(),
    }


def git_commit() -> str | None:
    """Return the commit of the code, "-dirty" if files differ; None outside git."""
    try:
        result = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None


def _version(package: str) -> str | None:
    # tensorflow-cpu is a different distribution of the same module.
    for name in (package, f"{package}-cpu"):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None
