"""Checkpoints: pytrees of arrays plus JSON metadata, written by Orbax.

Saves are asynchronous and atomic (a temporary directory is renamed when complete). The
newest `keep` checkpoints are kept, and those with the best scores. Orbax has no
checksums and restores changed bytes without notice, so each checkpoint also carries our
own, which are exact and independent of how the arrays are sharded. A directory reads
`<directory>/<step>/{<items>, meta, integrity}`.

With several processes, every process calls every method, and all of them see the same
directory.
"""

from typing import TYPE_CHECKING, Any

from stylegan_jax.checkpoint.failures import CheckpointError

if TYPE_CHECKING:
    from stylegan_jax.checkpoint.checkpoints import Checkpoints

__all__ = ["CheckpointError", "Checkpoints"]


def __getattr__(name: str) -> Any:
    """Import `Checkpoints` on first use, for Orbax is slow to import."""
    if name != "Checkpoints":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from stylegan_jax.checkpoint import checkpoints

    return checkpoints.Checkpoints
