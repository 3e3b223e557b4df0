"""LPIPS: the perceptual distance between two images, by their VGG16 feature maps.

Reference: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a
    Perceptual Metric" (2018), section 3 and equation 1; version 0.1, `net="vgg"`.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.metrics.networks import vgg, vgg_weights
from stylegan_jax.metrics.networks.detector import BatchRunner
from stylegan_jax.metrics.networks.published import find, sha256
from stylegan_jax.models import Variables
from stylegan_jax.weights import files, layout
from stylegan_jax.weights.layout import Entry, Layout

# Normalization of images in -1..1 by ImageNet's mean and standard deviation, RGB.
SHIFT = np.array([-0.030, -0.088, -0.188], np.float32)
SCALE = np.array([0.458, 0.448, 0.450], np.float32)
MIN_SIZE = 16  # size in pixels at which the deepest map has a single pixel
HEADS = Path(__file__).parent / "assets" / "lpips_vgg_v0.1.safetensors"


def distance(variables: Variables, a: jax.Array, b: jax.Array) -> jax.Array:
    """Return the LPIPS of pairs of images, in traced code.

    Args:
      variables: Variables of `vgg.Convolutions`, and "heads"; see `load_heads`.
      a: [B,H,W,3] float32 in -1..1, H and W at least 16.
      b: The same.

    Returns:
      [B] float32, 0 for equal images.

    Raises:
      ValueError: The images are too small.
    """
    return jnp.sum(jnp.stack(per_layer(variables, a, b)), 0)


def per_layer(variables: Variables, a: jax.Array, b: jax.Array) -> list[jax.Array]:
    """Return the contribution [B] of each of the five maps; see `distance`."""
    chex.assert_equal_shape([a, b])
    pairs = [jnp.split(x, 2) for x in unit_maps(variables, jnp.concatenate([a, b]))]
    return compare(variables, *zip(*pairs, strict=True))


def unit_maps(variables: Variables, images: jax.Array) -> list[jax.Array]:
    """Return the five feature maps of images, with every pixel scaled to unit length.

    Args:
      variables: See `distance`.
      images: [B,H,W,3] float32 in -1..1, H and W at least 16.

    Returns:
      [B,H,W,64] to [B,H/16,W/16,512].

    Raises:
      ValueError: The images are too small.
    """
    chex.assert_shape(images, (None, None, None, 3))
    chex.assert_type(images, jnp.float32)
    if min(images.shape[1:3]) < MIN_SIZE:
        raise ValueError(
            f"the images are {images.shape[1]}x{images.shape[2]}; LPIPS needs at least "
            f"{MIN_SIZE}x{MIN_SIZE} pixels, so enlarge them first"
        )
    images = (images - SHIFT) / SCALE
    maps, _ = vgg.Convolutions().apply({"params": variables["params"]}, images)
    return [normalize(x) for x in maps]


def compare(
    variables: Variables, a: Sequence[jax.Array], b: Sequence[jax.Array]
) -> list[jax.Array]:
    """Return the contribution [B] of each of the five maps; see `unit_maps`."""
    terms = []
    for unit_a, unit_b, head in zip(a, b, variables["heads"], strict=True):
        squares = jnp.square(unit_a - unit_b)
        weighted = jnp.dot(squares, head, precision=jax.lax.Precision.HIGHEST)
        terms.append(jnp.mean(weighted, (1, 2)))
    return terms


def normalize(x: jax.Array) -> jax.Array:
    """Return every pixel [...,C] scaled to unit length; zero stays zero."""
    length = jnp.sqrt(jnp.sum(jnp.square(x), -1, keepdims=True))
    return x / (length + 1e-10)


class LPIPS:
    """The LPIPS of pairs of images, over the devices of this process.

    Attributes:
      name: "lpips".
      digest: SHA-256 of VGG16's weight file, "+", and SHA-256 of LPIPS's weight file.
      variables: Argument of `distance`, for programs that trace it themselves.
    """

    name = "lpips"

    def __init__(
        self,
        vgg16: str | os.PathLike | None = None,
        batch_size: int = 32,
    ) -> None:
        """Find the weights and put them on the devices.

        Args:
          vgg16: Path of VGG16's weights; see `published.find`.
          batch_size: Pairs in a batch, over the devices of this process.

        Raises:
          ValueError: A file is not for its network, or the batch does not divide evenly
            over the devices.
          WeightsNotFound: There is no such file, or the download failed.
        """
        self.variables, self.digest = load(vgg16)
        self._run = BatchRunner(distance, self.variables, batch_size)

    def __call__(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return the distances [N] float32 of pairs of images.

        Args:
          a: [N,H,W,3] float32 in -1..1, any N; not resized.
          b: The same.

        Raises:
          ValueError: The images are too small, or not pairs.
        """
        if np.shape(a) != np.shape(b):
            raise ValueError(
                f"the images of a pair must have the same shape; got {np.shape(a)} and "
                f"{np.shape(b)}"
            )
        return self._run(a, b)


def load(
    vgg16: str | os.PathLike | None = None,
) -> tuple[Variables, str]:
    """Return the argument `variables` of `distance`, and `LPIPS.digest`.

    The argument and errors are those of `LPIPS`.
    """
    vgg16 = find("vgg16", vgg16)
    variables = {
        **files.convert_tensors(vgg16, vgg_weights.load_convolutions),
        "heads": files.convert_tensors(HEADS, load_heads),
    }
    return variables, f"{sha256(vgg16)}+{sha256(HEADS)}"


def head_entries() -> list[Entry]:
    """Return the table of the tensors in vgg.pth: a weight per channel of each map."""
    flat = Layout(np.ravel, lambda a: a.reshape(1, -1, 1, 1))
    return [
        Entry(f"lin{i}.model.1.weight", (1, channels, 1, 1), (str(i),), flat)
        for i, channels in enumerate(vgg.CHANNELS)
    ]


def load_heads(arrays: Mapping[str, np.ndarray]) -> list[jax.Array]:
    """Return the channels' weights, [64] to [512], from the tensors of vgg.pth.

    Raises:
      ValueError: Tensors are missing, unknown, or of the wrong shape.
    """
    check = "that the file is vgg.pth of LPIPS 0.1, not alex.pth or squeeze.pth"
    heads = layout.load(head_entries(), arrays, "set of LPIPS weights", check, check)
    return [heads[str(i)] for i in range(len(vgg.CHANNELS))]
