"""Checkpoints: pytrees of arrays plus JSON metadata, written by Orbax.

Saves are asynchronous and atomic (a temporary directory is renamed when complete). The
newest `keep` checkpoints are kept, and those with the best scores. Orbax has no
checksums and restores corrupted bytes silently, so each checkpoint also carries ours,
which are exact and independent of how the arrays are sharded. The files are in
`<directory>/<step>/{<items>, meta, integrity}`.

With several processes, every process must call every method, and all of them must see
the same directory.
"""

from typing import TYPE_CHECKING, Any

from stylegan_jax.checkpoint.failures import CheckpointError

if TYPE_CHECKING:
    from stylegan_jax.checkpoint.checkpoints import Checkpoints

__all__ = ["CheckpointError", "Checkpoints"]


def __getattr__(name: str) -> Any:
    """Import `Checkpoints` on first use, because Orbax is slow to import."""
    if name != "Checkpoints":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from stylegan_jax.checkpoint import checkpoints

    return checkpoints.Checkpoints
