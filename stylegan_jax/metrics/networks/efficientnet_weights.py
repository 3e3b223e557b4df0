"""The tensors in EfficientNet-Lite0's weight file and their places in our variables.

The names are those of the PyTorch package `efficientnet-lite-pytorch`.
"""

import functools
from collections.abc import Mapping

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.metrics.networks.efficientnet import SIZE, WIDTH, EfficientNetLite0
from stylegan_jax.models import Variables
from stylegan_jax.weights import layout
from stylegan_jax.weights.layout import IDENTITY, OIHW, Entry

_CHECK = "that the file is efficientnet-lite0-57934424.pth"
# Our unit -> the names of its convolution and of its normalization.
_UNITS = {
    "stem": ("_conv_stem", "_bn0"),
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
    "head": ("_conv_head", "_bn1"),
}
_NORMALIZATION = {
    "gamma": "weight",
    "beta": "bias",
    "mean": "running_mean",
    "variance": "running_var",
}
# The classification layer, which no metric uses.
UNUSED = {"_fc.weight": (1000, WIDTH), "_fc.bias": (1000,)}


def load(arrays: Mapping[str, np.ndarray]) -> Variables:
    """Return the variables of `EfficientNetLite0` from the tensors of a file.

    Args:
      arrays: Name -> tensor. The classification layer and the counts of batches are
        ignored, and may be missing.

    Raises:
      ValueError: Tensors are missing, unknown, or of the wrong shape.
    """
    arrays = {
        name: array
        for name, array in arrays.items()
        if name not in UNUSED and not name.endswith(".num_batches_tracked")
    }
    return layout.load(entries(), arrays, "EfficientNet-Lite0", _CHECK, _CHECK)


def save(variables: Variables) -> dict[str, np.ndarray]:
    """Return the inverse of `load`."""
    return layout.save(entries(), variables)


@functools.cache
def entries() -> tuple[Entry, ...]:
    """Return the table of the tensors in the file, without those that are ignored."""
    images = jax.ShapeDtypeStruct((1, SIZE, SIZE, 3), jnp.float32)
    variables = jax.eval_shape(EfficientNetLite0().init, jax.random.key(0), images)
    found = []
    for path, leaf in flax.traverse_util.flatten_dict(variables).items():
        _, *block, unit, parameter = path
        prefix = "".join(f"_blocks.{b.removeprefix('block')}." for b in block)
        convolution, normalization = _UNITS[unit]
        if parameter == "kernel":
            height, width, channels_in, channels = leaf.shape
            shape = (channels, channels_in, height, width)
            found.append(Entry(f"{prefix}{convolution}.weight", shape, path, OIHW))
        else:
            name = f"{prefix}{normalization}.{_NORMALIZATION[parameter]}"
            found.append(Entry(name, leaf.shape, path, IDENTITY))
    return tuple(found)
