"""Where the tensors of Inception-v3's files belong in ours.

Two namings are in use: that of PyTorch's modules, of the .pth files (pytorch-fid's and
torch-fidelity's), which ours are too; and that of TensorFlow's graph, in NVIDIA's
TorchScript file, which leaves out the scale of the normalisation, 1 throughout.
"""

import functools
from collections.abc import Mapping

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.interop import layout
from stylegan_jax.interop.layout import Entry, Layout
from stylegan_jax.metrics.networks.inception import SIZE, InceptionV3
from stylegan_jax.models import Variables

_OIHW = Layout(lambda a: a.transpose(2, 3, 1, 0), lambda a: a.transpose(3, 2, 0, 1))
_TRANSPOSED = Layout(np.transpose, np.transpose)

# Our parameter of a unit -> its name in the .pth files' and in NVIDIA's units.
_PTH = {
    "kernel": "conv.weight",
    "gamma": "bn.weight",
    "beta": "bn.bias",
    "mean": "bn.running_mean",
    "variance": "bn.running_var",
}
_FC = {"kernel": "weight", "bias": "bias"}
_NVIDIA = {"kernel": "weight", "beta": "beta", "mean": "mean", "variance": "var"}

# In the order of TensorFlow's graph, which counts: conv, conv_1, and so on.
_STEM = ("1a_3x3", "2a_3x3", "2b_3x3", "3b_1x1", "4a_3x3")
_BLOCKS = ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")
# Within a block there: branches of several units are towers, whose units are counted
# too; others are named in full, or else are `conv`.
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
    """Our variables from the tensors of a file, whichever naming it has.

    Args:
      arrays: name -> tensor; counts of batches seen, which later versions of PyTorch
        add, are passed over.

    Raises:
      ValueError: tensors are missing, unknown, or of another shape.
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
        "Inception-v3 of 2015-12-05, the network of FID",
        "that the file is pt_inception-2015-12-05-6726825d.pth, "
        "weights-inception-2015-12-05-6726825d.pth or NVIDIA's inception-2015-12-05.pt",
        "whether it is torchvision's Inception, which is another network",
    )
    flat = flax.traverse_util.flatten_dict(variables)
    for path, shape in _parameters():
        if path[-1] == "gamma" and path not in flat:
            flat[path] = jnp.ones(shape)
    return flax.traverse_util.unflatten_dict(flat)


def save(variables: Variables) -> dict[str, np.ndarray]:
    """The inverse of `load`, with the names of the .pth files."""
    return layout.save(pth_entries(), variables)


def pth_entries() -> list[Entry]:
    """The 472 tensors of the .pth files."""
    entries = []
    for path, shape in _parameters():
        *_, unit, name = path
        official = _FC[name] if unit == "fc" else _PTH[name]
        entries.append(_entry(".".join((*path[1:-1], official)), path, shape))
    return entries


def nvidia_entries() -> list[Entry]:
    """The 378 tensors of NVIDIA's inception-2015-12-05.pt."""
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
    """E.g. ("Mixed_5c", "branch5x5_2") -> "mixed_1.tower.conv_1"."""
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
    """Of one tensor; `shape` is ours."""
    if len(shape) == 4:
        height, width, channels_in, channels_out = shape
        theirs = (channels_out, channels_in, height, width)
        return Entry(official, theirs, path, _OIHW)
    return Entry(official, shape[::-1], path, _TRANSPOSED)


@functools.cache
def _parameters() -> tuple[tuple[tuple[str, ...], tuple[int, ...]], ...]:
    """Path and shape of all of ours."""
    images = jax.ShapeDtypeStruct((1, SIZE, SIZE, 3), jnp.float32)
    variables = jax.eval_shape(InceptionV3().init, jax.random.key(0), images)
    flat = flax.traverse_util.flatten_dict(variables)
    return tuple((path, leaf.shape) for path, leaf in flat.items())
