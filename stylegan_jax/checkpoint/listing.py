"""The checkpoints of a directory, and their metadata, without reading any array."""

from typing import Any

from etils import epath

from stylegan_jax.runtime import json_files

REMEDY = "use another checkpoint, with --step=NUMBER"


def steps(directory: epath.Path) -> list[int]:
    """Return the numbers of the complete checkpoints in a directory, in order."""
    if not directory.exists():
        return []
    return sorted(int(p.name) for p in directory.iterdir() if p.name.isdecimal())


def metadata(directory: epath.Path, step: int) -> dict[str, Any]:
    """Return the metadata of a checkpoint, unverified.

    Raises:
      ValueError: the file is damaged.
      OSError: the file cannot be read.
    """
    path = directory / str(step) / "meta" / "metadata"
    return json_files.read_object(path, REMEDY)
