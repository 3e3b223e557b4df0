"""StyleGAN, StyleGAN2 and StyleGAN3 in JAX and Flax.

`load` returns a trained generator, and `push_to_hub` uploads one; README.md shows the
programs.
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import stylegan_jax.networks.network


def load(
    reference: str | os.PathLike, step: int | None = None
) -> "stylegan_jax.networks.network.Network":
    """Open a trained generator; see `networks.references.open_network`.

        g = stylegan_jax.load("smileys64")
        images = g(seeds=range(16), truncation_psi=0.7)  # [16,32,32,3] uint8

    Args:
      reference: `smileys64`, the network that comes with the package; the directory of
        a run (`--workdir`) or of a conversion (`--out`), on disk or in a bucket; a
        `.safetensors` file that `export` wrote; an official `.pkl`; or
        `hub:OWNER/NAME`, a repository of the Hugging Face Hub.
      step: number of the checkpoint of a run; None for the newest that is intact.

    Returns:
      The network, which is called to generate images.

    Raises:
      ValueError: there is no such network, or it cannot be used.
      checkpoint.CheckpointError: if the checkpoint of a run cannot be read.
      OSError: the file cannot be read.
    """
    # Imported here so that `import stylegan_jax` imports nothing heavy.
    from stylegan_jax.networks.references import open_network

    return open_network(reference, step)


def push_to_hub(
    network: "stylegan_jax.networks.network.Network",
    repository: str,
    *,
    private: bool = False,
    license: str | None = None,
    dtype: str = "float32",
    label: "stylegan_jax.networks.network.Label" = None,
) -> str:
    """Upload a network to the Hugging Face Hub; see `networks.hub.push`.

        stylegan_jax.push_to_hub(g, "alice/smileys", license="cc-by-4.0")

    Args:
      network: the network.
      repository: OWNER/NAME, which is created if there is none.
      private: create it as one that only its owner can read.
      license: identifier of the license for the model card; None leaves it open.
      dtype: "float32", or "float16" for half the size.
      label: that of the samples, which networks of label vectors need; None for all
        classes in turn.

    Returns:
      The address of the repository.

    Raises:
      ValueError: the network cannot be saved, or the server refuses the upload.
      OSError: the server cannot be reached.
    """
    from stylegan_jax.networks import hub

    return hub.push(
        network,
        repository,
        private=private,
        license=license,
        dtype=dtype,
        label=label,
    )
