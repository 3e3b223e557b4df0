"""StyleGAN and StyleGAN2 in JAX and Flax.

`load` returns a trained generator; README.md shows the programs.
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stylegan_jax.workdir import TrainedGenerator


def load(path: str | os.PathLike, step: int | None = None) -> "TrainedGenerator":
    """Load the averaged generator of a training run or of a conversion.

    Args:
      path: directory of the run (`--workdir`) or of the conversion (`--out`), on disk
        or in a bucket.
      step: number of the checkpoint; None for the newest that is intact.

    Returns:
      The network, its variables, and facts about them.

    Raises:
      ValueError: if the directory is not that of a run.
      checkpoint.CheckpointError: if the checkpoint cannot be read.
    """
    # Imported here so that `import stylegan_jax` imports nothing heavy.
    from stylegan_jax import workdir
    from stylegan_jax.runtime import storage

    return workdir.load_generator(storage.open_path(path), step)
