"""Latents of two groups of images: those with a property and those without it."""

from pathlib import Path

import numpy as np

from stylegan_jax.config import image_size
from stylegan_jax.inversion import targets
from stylegan_jax.inversion.encoder import Encoder
from stylegan_jax.inversion.projection import Progress, Projector, Settings, project
from stylegan_jax.networks.network import Label, Network

GROUPS = ("negative", "positive")  # names of the subfolders
STEPS = 300  # steps of a projection


def latents(
    network: Network,
    folder: Path,
    encoder: Encoder | None = None,
    *,
    label: Label = None,
    progress: Progress | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the latents of the images in the subfolders negative and positive.

    They come from an encoder, or else from a projection to W that starts from the
    average w, with constant noise and the distance "multiscale".

    Args:
      network: the network.
      folder: the folder with the two subfolders.
      encoder: an encoder for this network; None projects the images.
      label: label of the images, for conditional networks; an encoder ignores it.
      progress: called after every few steps of the projection.

    Returns:
      ws [N,L,W] and [M,L,W] float32.

    Raises:
      ValueError: a subfolder is missing or has no images, or some cannot be used.
    """
    missing = [name for name in GROUPS if not (folder / name).is_dir()]
    if missing:
        raise ValueError(
            f"`--images` (={folder}) must have the subfolders negative and positive "
            f"with images; there is no {' and no '.join(missing)}"
        )
    generator = network.generator
    size = image_size(generator.base_size, network.resolution)
    if encoder is not None:
        encoder.check(network)
    found = [
        targets.load(
            str(folder / name), size, generator.image_channels, setting="--images"
        ).images
        for name in GROUPS
    ]
    images = np.concatenate(found)
    if encoder is None:
        settings = Settings(steps=STEPS, noise="const")
        projector = Projector(network, settings, "multiscale", label=label)
        ws = np.stack([each.ws for each in project(projector, images, progress)])
    else:
        ws = encoder(images)
    return ws[: len(found[0])], ws[len(found[0]) :]
