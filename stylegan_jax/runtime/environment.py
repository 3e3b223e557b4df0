"""The versions, devices and commit that a run depended on."""

import datetime
import importlib.metadata
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax

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
    """The versions of the packages that a run's numbers depend on."""
    return {package: _version(package) for package in _PACKAGES}


def environment() -> dict[str, Any]:
    """What a run depended on: versions, devices, commit, command line, time."""
    devices = jax.devices()
    return {
        "time": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": list(sys.argv),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": versions(),
        "device_kind": devices[0].device_kind,
        "device_count": len(devices),
        "process_count": jax.process_count(),
        "git_commit": git_commit(),
    }


def git_commit() -> str | None:
    """The commit of the code, with "-dirty" if files differ; None outside git."""
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
    # tensorflow-cpu installs the same module under a name of its own.
    for name in (package, f"{package}-cpu"):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None
