"""The tensors in Inception-v3's weight files and their places in our variables.

Two sets of names are in use. The .pth files (pytorch-fid's and torch-fidelity's) use
those of PyTorch's modules, as our variables do. NVIDIA's TorchScript file uses those
of TensorFlow's graph, and omits the scale of the normalization, which is always 1.
"""

import functools
from collections.abc import Mapping

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.metrics.networks.inception import SIZE, InceptionV3
from stylegan_jax.models import Variables
from stylegan_jax.weights import layout
from stylegan_jax.weights.layout import IDENTITY, OIHW, TRANSPOSED, Entry

# Our parameter of a unit -> its name in the units of the .pth files and of NVIDIA's.
_PTH = {
    "kernel": "conv.weight",
    "gamma": "bn.weight",
    "beta": "bn.bias",
    "mean": "bn.running_mean",
    "variance": "bn.running_var",
}
_FC = {"kernel": "weight", "bias": "bias"}
_NVIDIA = {"kernel": "weight", "beta": "beta", "mean": "mean", "variance": "var"}

# In the order of TensorFlow's graph, which numbers them: conv, conv_1, and so on.
_STEM = ("1a_3x3", "2a_3x3", "2b_3x3", "3b_1x1", "4a_3x3")
_BLOCKS = ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")
# Within a block of the graph, branches of several units are towers, whose units are
# numbered too; other branches are named in full, or else are `conv`.
_POOL = {"branch_pool": "tower_2.conv"}
_TOWERS = {
    "5": _POOL | {"branch5x5": "tower", "branch3x3dbl": "tower_1"},
    "6a": {"branch3x3dbl": "tower"},
    "6": _POOL | {"branch7x7": "tower", "branch7x7dbl": "tower_1"},
    "7a": {"branch3x3": "tower", "branch7x7x3": "tower_1"},
    "7": {
        "branch3x3_1": "tower_conv",
        "branch3x3_2a": "tower_mixed_conv",
        "branch3x3_2b": "tower_mixed_conv_1",
        "branch3x3dbl_1": "tower_1_conv",
        "branch3x3dbl_2": "tower_1_conv_1",
        "branch3x3dbl_3a": "tower_1_mixed_conv",
        "branch3x3dbl_3b": "tower_1_mixed_conv_1",
        "branch_pool": "tower_2_conv",
    },
}


def load(arrays: Mapping[str, np.ndarray]) -> Variables:
    """Return our variables from the tensors of a file with either set of names.

    Args:
      arrays: Name -> tensor. The counts of batches, which later versions of PyTorch
        add, are ignored.

    Raises:
      ValueError: Tensors are missing, unknown, or of the wrong shape.
    """
    arrays = {
        name: array
        for name, array in arrays.items()
        if not name.endswith(".bn.num_batches_tracked")
    }
    entries = nvidia_entries() if "layers.conv.weight" in arrays else pth_entries()
    variables = layout.load(
        entries,
        arrays,
        "Inception-v3 of FID (2015-12-05)",
        "that the file is pt_inception-2015-12-05-6726825d.pth, "
        "weights-inception-2015-12-05-6726825d.pth or NVIDIA's inception-2015-12-05.pt",
        "that it is not torchvision's Inception, which is a different network",
    )
    flat = flax.traverse_util.flatten_dict(variables)
    for path, shape in _parameters():
        if path[-1] == "gamma" and path not in flat:
            flat[path] = jnp.ones(shape)
    return flax.traverse_util.unflatten_dict(flat)


def save(variables: Variables) -> dict[str, np.ndarray]:
    """Return the inverse of `load`, with the names of the .pth files."""
    return layout.save(pth_entries(), variables)


def pth_entries() -> list[Entry]:
    """Return the table of the 472 tensors in the .pth files."""
    entries = []
    for path, shape in _parameters():
        *_, unit, name = path
        official = _FC[name] if unit == "fc" else _PTH[name]
        entries.append(_entry(".".join((*path[1:-1], official)), path, shape))
    return entries


def nvidia_entries() -> list[Entry]:
    """Return the table of the 378 tensors in NVIDIA's inception-2015-12-05.pt."""
    entries = []
    for path, shape in _parameters():
        _, *units, name = path
        if units == ["fc"]:
            entries.append(_entry(f"output.{_FC[name]}", path, shape))
        elif name in _NVIDIA:
            official = f"layers.{_tensorflow_unit(*units)}.{_NVIDIA[name]}"
            entries.append(_entry(official, path, shape))
    return entries


def _tensorflow_unit(outer: str, branch: str = "") -> str:
    """Return e.g. "mixed_1.tower.conv_1" for ("Mixed_5c", "branch5x5_2")."""
    kind, _, place = outer.partition("_")
    if kind == "Conv2d":
        return _counted("conv", _STEM.index(place))
    towers = _TOWERS.get(place) or _TOWERS[place[0]]
    stem, _, number = branch.rpartition("_")
    if branch in towers:
        unit = towers[branch]
    elif stem in towers:
        unit = f"{towers[stem]}.{_counted('conv', int(number) - 1)}"
    else:
        unit = "conv"
    return f"{_counted('mixed', _BLOCKS.index(place))}.{unit}"


def _counted(name: str, index: int) -> str:
    return f"{name}_{index}" if index else name


def _entry(official: str, path: tuple[str, ...], shape: tuple[int, ...]) -> Entry:
    """Return the entry of a tensor; `shape` is ours."""
    by_rank = {1: IDENTITY, 2: TRANSPOSED, 4: OIHW}
    axes = by_rank[len(shape)]
    official_shape = axes.save(np.broadcast_to(np.float32(0), shape)).shape
    return Entry(official, official_shape, path, axes)


@functools.cache
def _parameters() -> tuple[tuple[tuple[str, ...], tuple[int, ...]], ...]:
    """Return path and shape of each of our parameters."""
    images = jax.ShapeDtypeStruct((1, SIZE, SIZE, 3), jnp.float32)
    variables = jax.eval_shape(InceptionV3().init, jax.random.key(0), images)
    flat = flax.traverse_util.flatten_dict(variables)
    return tuple((path, leaf.shape) for path, leaf in flat.items())
