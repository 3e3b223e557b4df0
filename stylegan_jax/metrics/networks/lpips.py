"""LPIPS: how different two images look, as the distance of their maps in VGG16.

Reference: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a
    Perceptual Metric" (2018), section 3 and equation 1; version 0.1, `net="vgg"`.
"""

from collections.abc import Mapping

import chex
import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.interop import layout
from stylegan_jax.interop.layout import Entry, Layout
from stylegan_jax.metrics.networks import vgg
from stylegan_jax.models import Variables

# Brings images in -1..1 to ImageNet's mean and spread, RGB.
SHIFT = np.array([-0.030, -0.088, -0.188], np.float32)
SCALE = np.array([0.458, 0.448, 0.450], np.float32)
MIN_SIZE = 16  # pixels, of which the deepest map is one


def distance(variables: Variables, a: jax.Array, b: jax.Array) -> jax.Array:
    """LPIPS of pairs of images; to be traced.

    Args:
      variables: of `vgg.Convolutions`, and "heads": see `load_heads`.
      a: [B,H,W,3] float32 in -1..1, H and W at least 16.
      b: the same.

    Returns:
      [B] float32, 0 for equal images.
    """
    return jnp.sum(jnp.stack(per_layer(variables, a, b)), 0)


def per_layer(variables: Variables, a: jax.Array, b: jax.Array) -> list[jax.Array]:
    """What each of the five maps adds to the distance, [B] each; see `distance`."""
    chex.assert_equal_shape([a, b])
    chex.assert_shape(a, (None, None, None, 3))
    if min(a.shape[1:3]) < MIN_SIZE:
        raise ValueError(
            f"images are {a.shape[1]}x{a.shape[2]}; LPIPS needs at least "
            f"{MIN_SIZE}x{MIN_SIZE} pixels, so enlarge them first"
        )
    images = (jnp.concatenate([a, b]) - SHIFT) / SCALE
    maps, _ = vgg.Convolutions().apply({"params": variables["params"]}, images)
    terms = []
    for x, head in zip(maps, variables["heads"], strict=True):
        unit_a, unit_b = jnp.split(normalized(x), 2)
        squares = jnp.square(unit_a - unit_b)
        weighted = jnp.dot(squares, head, precision=jax.lax.Precision.HIGHEST)
        terms.append(jnp.mean(weighted, (1, 2)))
    return terms


def normalized(x: jax.Array) -> jax.Array:
    """Every pixel [...,C] brought to unit length; zero stays zero."""
    length = jnp.sqrt(jnp.sum(jnp.square(x), -1, keepdims=True))
    return x / (length + 1e-10)


def head_entries() -> list[Entry]:
    """The tensors of vgg.pth: the weight of every channel of each map."""
    flat = Layout(np.ravel, lambda a: a.reshape(1, -1, 1, 1))
    return [
        Entry(f"lin{i}.model.1.weight", (1, channels, 1, 1), (str(i),), flat)
        for i, channels in enumerate(vgg.CHANNELS)
    ]


def load_heads(arrays: Mapping[str, np.ndarray]) -> list[jax.Array]:
    """The weights of the channels, [64] to [512], of the tensors of vgg.pth.

    Raises:
      ValueError: tensors are missing, unknown, or of another shape.
    """
    check = "that the file is vgg.pth of LPIPS 0.1, not alex.pth or squeeze.pth"
    heads = layout.load(head_entries(), arrays, "set of LPIPS's weights", check, check)
    return [heads[str(i)] for i in range(len(vgg.CHANNELS))]
