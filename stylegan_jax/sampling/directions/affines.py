"""The affine maps from w to the styles of a generator, of any family.

    style = w A + b

In StyleGAN, the style of a layer holds the scales of its channels, then their shifts.
In StyleGAN2, it holds the scales of a convolution's input channels, then those of the
ToRGB layer that has the same w.
"""

import math
from typing import NamedTuple

import jax
import numpy as np
from flax import traverse_util

from stylegan_jax.models import Generator, Variables

WEIGHT, BIAS = ("kernel", "weight"), ("bias", "bias")


class Affine(NamedTuple):
    """An affine map.

    Attributes:
      layer: style layer whose w is the input.
      path: path of its parameters in "params".
      kernel: A [W,C] float64, including the equalized learning rate's scale.
    """

    layer: int
    path: tuple[str, ...]
    kernel: np.ndarray


def affines(generator: Generator, variables: Variables) -> list[Affine]:
    """Return the affine maps in the order of their layers.

    Raises:
      ValueError: the generator has no styles.
    """
    params = traverse_util.flatten_dict(variables["params"])
    found = []
    for layer, paths in sorted(generator.style_affines().items()):
        for path in paths:
            kernel = np.asarray(jax.device_get(params[path + WEIGHT]), np.float64)
            found.append(Affine(layer, path, kernel / math.sqrt(len(kernel))))
    if not found:
        raise ValueError(
            "this network has no styles, because it was built with `model.styles` "
            "False; use ganspace, boundary or difference, which need only w"
        )
    return found


def channels(generator: Generator, variables: Variables, layer: int) -> int:
    """Return the number of style channels of a layer."""
    found = affines(generator, variables)
    return sum(a.kernel.shape[1] for a in found if a.layer == layer)


def shifted(
    generator: Generator, variables: Variables, layer: int, offset: np.ndarray
) -> Variables:
    """Return the variables of a network whose styles are shifted.

    The shift is added to the biases of the affine maps, so no program is recompiled.

    Args:
      generator: the network.
      variables: its variables.
      layer: the style layer.
      offset: [C], added to all styles of this layer.
    """
    params = traverse_util.flatten_dict(variables["params"])
    start = 0
    for path in generator.style_affines()[layer]:
        bias = params[path + BIAS]
        params[path + BIAS] = bias + np.float32(offset[start : start + len(bias)])
        start += len(bias)
    return {**variables, "params": traverse_util.unflatten_dict(params)}
