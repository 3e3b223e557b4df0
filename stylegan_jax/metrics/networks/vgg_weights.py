"""The tensors in VGG16's weight files and their places in our variables.

The names are torchvision's, `features.<number>` and `classifier.<number>`. Those in
NVIDIA's vgg16.pt are not documented; its tensors are recognized by order and shape.
"""

import re
from collections.abc import Mapping

import numpy as np

from stylegan_jax.metrics.networks.vgg import CHANNELS, CONVOLUTIONS, WIDTH
from stylegan_jax.models import Variables
from stylegan_jax.weights import layout
from stylegan_jax.weights.layout import OIHW, TRANSPOSED, Entry, Layout

# PyTorch flattens the last map in the order C,H,W.
_FC6 = TRANSPOSED.then(layout.chw_rows(7, 7))
_NETWORK = "VGG16 of torchvision"
_CHECK = "that the file is vgg16-397923af.pth or NVIDIA's vgg16.pt"
# The classification layer, which no metric uses.
UNUSED = {"classifier.6.weight": (1000, WIDTH), "classifier.6.bias": (1000,)}


def entries() -> list[Entry]:
    """Return the table of the tensors in vgg16-397923af.pth, without UNUSED."""
    found, index, channels_in = [], 0, 3
    for stage, (channels, count) in enumerate(
        zip(CHANNELS, CONVOLUTIONS, strict=True), 1
    ):
        for i in range(1, count + 1):
            path = ("params", "features", f"conv{stage}_{i}")
            shape = (channels, channels_in, 3, 3)
            found += _pair(f"features.{index}", shape, path, OIHW)
            channels_in = channels
            index += 2  # the convolution and its ReLU
        index += 1  # the pooling
    found += _pair("classifier.0", (WIDTH, 512 * 7 * 7), ("params", "fc6"), _FC6)
    found += _pair("classifier.3", (WIDTH, WIDTH), ("params", "fc7"), TRANSPOSED)
    return found


def _pair(
    name: str, shape: tuple[int, ...], path: tuple[str, ...], kernel: Layout
) -> list[Entry]:
    return [
        Entry(f"{name}.weight", shape, (*path, "kernel"), kernel),
        Entry(f"{name}.bias", shape[:1], (*path, "bias")),
    ]


def load(arrays: Mapping[str, np.ndarray]) -> Variables:
    """Return the variables of `VGG16` from the tensors of a file.

    Args:
      arrays: Name -> tensor, with the names of torchvision or of NVIDIA's vgg16.pt.

    Raises:
      ValueError: Tensors are missing, unknown, or of the wrong shape.
    """
    return layout.load(entries(), _used(arrays), _NETWORK, _CHECK, _CHECK)


def load_convolutions(arrays: Mapping[str, np.ndarray]) -> Variables:
    """Return the variables of `Convolutions`; the file may lack the later layers.

    Raises:
      ValueError: See `load`.
    """
    convolutions = [e for e in entries() if e.path[1] == "features"]
    others = {e.name for e in entries()} - {e.name for e in convolutions}
    arrays = {n: a for n, a in _used(arrays).items() if n not in others}
    variables = layout.load(convolutions, arrays, _NETWORK, _CHECK, _CHECK)
    return {"params": variables["params"]["features"]}


def save(variables: Variables) -> dict[str, np.ndarray]:
    """Return the inverse of `load`, without UNUSED."""
    return layout.save(entries(), variables)


def _used(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the tensors under torchvision's names, without UNUSED."""
    arrays = dict(arrays)
    if "features.0.weight" not in arrays:
        arrays = named_by_order(arrays)
    for name, shape in UNUSED.items():
        if name in arrays and arrays[name].shape != shape:
            raise ValueError(
                f"{name} has shape {arrays[name].shape}, expected {shape}; the file is "
                f"not {_NETWORK} with its 1000 classes; check {_CHECK}"
            )
    return {name: array for name, array in arrays.items() if name not in UNUSED}


def named_by_order(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the tensors of VGG16 under torchvision's names, for any names in the file.

    VGG16 is a plain sequence of layers, so the order in the file identifies them. It
    must agree with the natural order of their names, in which conv2 precedes conv10.

    Args:
      arrays: Name -> tensor, in the order of the file. Tensors that have no more values
        than the deepest map has channels (LPIPS weights, constants) are ignored.

    Raises:
      ValueError: These are not the tensors of a VGG16 in their order.
    """
    layers = [(e.name.removesuffix(".weight"), e.shape) for e in entries()[::2]]
    layers.append(("classifier.6", UNUSED["classifier.6.weight"]))  # may be missing
    weights = [n for n, a in arrays.items() if a.ndim > 1 and a.size > CHANNELS[-1]]
    modules = [name.removesuffix(".weight") for name in weights]
    named = {
        f"{layer}.{part}": arrays[f"{module}.{part}"]
        for module, (layer, _) in zip(modules, layers, strict=False)
        for part in ("weight", "bias")
        if f"{module}.{part}" in arrays
    }
    used = {id(array) for array in named.values()}
    shapes = [shape for _, shape in layers[: len(modules)]]
    if not (
        len(modules) in (len(layers), len(layers) - 1)
        and [arrays[name].shape for name in weights] == shapes
        and len(named) == 2 * len(modules)
        and modules == sorted(modules, key=_natural_key)
        and all(id(a) in used or a.size <= CHANNELS[-1] for a in arrays.values())
    ):
        listed = [f"{name} {arrays[name].shape}" for name in weights[:20]]
        raise ValueError(
            f"the tensors are not those of {_NETWORK}: there is no features.0.weight, "
            "and their order and shapes do not fit either; the names and shapes begin "
            f"with: {', '.join(listed) or 'none'}; check {_CHECK}"
        )
    return named


def _natural_key(name: str) -> list[tuple[int, int | str]]:
    """Return a key that sorts conv2 before conv10."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(p)) if p.isdigit() else (1, p) for p in parts]
