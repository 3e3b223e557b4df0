"""Checkpoints: pytrees of arrays plus JSON metadata, written by Orbax.

Saves are asynchronous and atomic (a temporary directory is renamed when complete). The
newest `keep` checkpoints are kept, and those with the best scores. Orbax has no
checksums and restores changed bytes without notice, so each checkpoint also carries our
own, which are exact and independent of how the arrays are sharded. A directory reads
`<directory>/<step>/{<items>, meta, integrity}`.

With several processes, every process calls every method, and all of them see the same
directory.
"""

from stylegan_jax.checkpoint.checkpoints import Checkpoints
from stylegan_jax.checkpoint.failures import CheckpointError

__all__ = ["CheckpointError", "Checkpoints"]
