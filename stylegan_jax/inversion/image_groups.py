"""Latents of labeled images: folders of images with and without a property."""

from pathlib import Path

import numpy as np

from stylegan_jax.config import image_size
from stylegan_jax.inversion import targets
from stylegan_jax.inversion.encoder import Encoder
from stylegan_jax.inversion.projection import Progress, Projector, Settings, project
from stylegan_jax.networks.network import Label, Network

GROUPS = ("negative", "positive")  # subfolders
STEPS = 300  # of a projection


def latents(
    network: Network,
    folder: Path,
    encoder: Encoder | None = None,
    *,
    label: Label = None,
    progress: Progress | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the latents of the images in the subfolders negative and positive.

    An encoder gives them; without one, the images are projected to W from the average
    w, with constant noise and the distance that needs no weights.

    Args:
      network: the network.
      folder: with the two subfolders.
      encoder: of this network.
      label: of the images of a conditional network; an encoder needs none.
      progress: called after some steps of the projection.

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
