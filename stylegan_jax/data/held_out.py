"""Images held out from training, to detect overfitting of the discriminator."""

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

from stylegan_jax.data.interface import Loader, Source
from stylegan_jax.runtime.tensorflow import tensorflow

SEED = 0  # seed of the split, the same for all runs


def split(source: Source, fraction: float) -> tuple[Source, Source | None]:
    """Split a data set at random into the images for training and those held out.

    Args:
      source: the data set.
      fraction: share of the images to hold out, in [0, 1); at least one image if it
        is not 0.

    Returns:
      The images for training, and the others; None for a fraction of 0.

    Raises:
      ValueError: no image would be left for training.
    """
    if not fraction:
        return source, None
    count = max(round(fraction * source.num_images), 1)
    if count >= source.num_images:
        raise ValueError(
            f"`data.held_out` (={fraction}) would hold out {count} of the "
            f"{source.num_images} images of {source.name}, and leave none for "
            "training; use a smaller share, or more images"
        )
    order = np.random.RandomState(SEED).permutation(source.num_images)
    chosen, others = np.sort(order[count:]), np.sort(order[:count])
    return (
        subset(source, chosen, f"{source.name} without {count:,} held out"),
        subset(source, others, f"{count:,} images held out of {source.name}"),
    )


def subset(source: Source, indices: np.ndarray, name: str) -> Source:
    """Return the images of a data set at some indices, in this order.

    The numbers of images per class remain those of the whole data set, as estimates.
    """

    def chosen(function: Callable[[int], Any]) -> Callable[[int], Any]:
        return lambda index: function(int(indices[index]))

    def load(loader: Loader) -> Loader:
        def fetch(index: Any) -> Any:
            tf = tensorflow()
            return loader.fetch(tf.gather(tf.constant(indices, tf.int64), index))

        return Loader(loader.decode, fetch)

    digest = hashlib.sha256(source.fingerprint.encode() + indices.tobytes())
    return dataclasses.replace(
        source,
        name=name,
        num_images=len(indices),
        fingerprint=digest.hexdigest(),
        load=load(source.load),
        describe=chosen(source.describe),
        check=chosen(source.check),
        levels={r: load(loader) for r, loader in source.levels.items()},
        labels_counted=source.labels_counted or source.num_images,
    )
