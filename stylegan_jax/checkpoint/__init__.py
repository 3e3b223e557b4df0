"""Checkpoints: any pytrees of arrays plus JSON metadata, written by Orbax.

A save is asynchronous and atomic (a temporary directory, renamed when complete), and
the last `keep` are kept, and those of the best scores. Orbax holds no checksums and
restores changed bytes without a word, so each checkpoint also carries our own, exact
and independent of how the arrays are sharded. A directory reads
`<directory>/<step>/{<items>, meta, integrity}`.

With several processes every process calls every method; the directory is shared.
"""

from stylegan_jax.checkpoint.checkpoints import Checkpoints
from stylegan_jax.checkpoint.failures import CheckpointError

__all__ = ["CheckpointError", "Checkpoints"]
