"""Where the tensors of VGG16's files belong in ours.

The names are torchvision's, `features.<number>` and `classifier.<number>`. Those in
NVIDIA's vgg16.pt are not documented; its tensors are told by their order and shapes.
"""

import re
from collections.abc import Mapping

import numpy as np

from stylegan_jax.interop import layout
from stylegan_jax.interop.layout import Entry, Layout
from stylegan_jax.metrics.networks.vgg import CHANNELS, CONVOLUTIONS, WIDTH
from stylegan_jax.models import Variables

_OIHW = Layout(lambda a: a.transpose(2, 3, 1, 0), lambda a: a.transpose(3, 2, 0, 1))
_MATRIX = Layout(np.transpose, np.transpose)
# PyTorch flattens the last map in the order C,H,W.
_FC6 = Layout(
    lambda a: a.reshape(-1, 512, 7, 7).transpose(2, 3, 1, 0).reshape(-1, a.shape[0]),
    lambda a: a.reshape(7, 7, 512, -1).transpose(3, 2, 0, 1).reshape(a.shape[1], -1),
)
_MEANT = "VGG16 of torchvision"
_CHECK = "that the file is vgg16-397923af.pth or NVIDIA's vgg16.pt"


def entries() -> list[Entry]:
    """The tensors of vgg16-397923af.pth; the classes' layer has no place in ours."""
    found, index, channels_in = [], 0, 3
    for stage, (channels, count) in enumerate(
        zip(CHANNELS, CONVOLUTIONS, strict=True), 1
    ):
        for i in range(1, count + 1):
            path = ("params", "features", f"conv{stage}_{i}")
            shape = (channels, channels_in, 3, 3)
            found += _pair(f"features.{index}", shape, path, _OIHW)
            channels_in = channels
            index += 2  # and its ReLU
        index += 1  # the pooling
    found += _pair("classifier.0", (WIDTH, 512 * 7 * 7), ("params", "fc6"), _FC6)
    found += _pair("classifier.3", (WIDTH, WIDTH), ("params", "fc7"), _MATRIX)
    return found


# The classes' layer, which no metric uses.
UNUSED = {"classifier.6.weight": (1000, WIDTH), "classifier.6.bias": (1000,)}


def _pair(
    name: str, shape: tuple[int, ...], path: tuple[str, ...], of_kernel: Layout
) -> list[Entry]:
    return [
        Entry(f"{name}.weight", shape, (*path, "kernel"), of_kernel),
        Entry(f"{name}.bias", shape[:1], (*path, "bias")),
    ]


def load(arrays: Mapping[str, np.ndarray]) -> Variables:
    """Variables of `VGG16` from the tensors of a file.

    Args:
      arrays: name -> tensor, with torchvision's names or those in NVIDIA's vgg16.pt.

    Raises:
      ValueError: tensors are missing, unknown, or of another shape.
    """
    return layout.load(entries(), _without_classes(arrays), _MEANT, _CHECK, _CHECK)


def load_convolutions(arrays: Mapping[str, np.ndarray]) -> Variables:
    """Variables of `Convolutions`, of a file that may lack the layers behind them.

    Raises:
      ValueError: as `load`.
    """
    convolutions = [e for e in entries() if e.path[1] == "features"]
    others = {e.name for e in entries()} - {e.name for e in convolutions}
    arrays = {
        name: array
        for name, array in _without_classes(arrays).items()
        if name not in others
    }
    variables = layout.load(convolutions, arrays, _MEANT, _CHECK, _CHECK)
    return {"params": variables["params"]["features"]}


def save(variables: Variables) -> dict[str, np.ndarray]:
    """The inverse of `load`; without the classes' layer."""
    return layout.save(entries(), variables)


def _without_classes(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    arrays = dict(arrays)
    if "features.0.weight" not in arrays:
        arrays = named_by_order(arrays)
    for name, shape in UNUSED.items():
        if name in arrays and arrays[name].shape != shape:
            raise ValueError(
                f"{name} has shape {arrays[name].shape}, expected {shape}. The file is "
                f"not of {_MEANT} with its 1000 classes; check {_CHECK}."
            )
    return {name: array for name, array in arrays.items() if name not in UNUSED}


def named_by_order(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors of VGG16 under torchvision's names, whatever theirs are.

    Convolutions follow each other strictly, so that the order in the file tells which
    is which. It has to agree with the order of their names, numbers taken as numbers.

    Args:
      arrays: name -> tensor, in the order of the file. What has no more numbers than
        the deepest map has channels may be there besides: LPIPS's weights, constants.

    Raises:
      ValueError: they are not those of a VGG16 in its order.
    """
    layers = [(e.name.removesuffix(".weight"), e.shape) for e in entries()[::2]]
    layers.append(("classifier.6", UNUSED["classifier.6.weight"]))  # may be missing
    weights = [n for n, a in arrays.items() if a.ndim > 1 and a.size > CHANNELS[-1]]
    theirs = [name.removesuffix(".weight") for name in weights]
    named = {
        f"{layer}.{part}": arrays[f"{module}.{part}"]
        for module, (layer, _) in zip(theirs, layers, strict=False)
        for part in ("weight", "bias")
        if f"{module}.{part}" in arrays
    }
    used = {id(array) for array in named.values()}
    if not (
        len(theirs) in (len(layers), len(layers) - 1)
        and [arrays[n].shape for n in weights] == [s for _, s in layers[: len(theirs)]]
        and len(named) == 2 * len(theirs)
        and theirs == sorted(theirs, key=_natural)
        and all(id(a) in used or a.size <= CHANNELS[-1] for a in arrays.values())
    ):
        listed = [f"{name} {arrays[name].shape}" for name in weights[:20]]
        raise ValueError(
            f"The tensors are not those of {_MEANT}: there is no features.0.weight, "
            "and by order and shape they are not its either. Their names and shapes "
            f"begin with: {', '.join(listed) or 'none'}. Check {_CHECK}."
        )
    return named


def _natural(name: str) -> list[tuple[int, int | str]]:
    """A key that sorts conv2 before conv10."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(p)) if p.isdigit() else (1, p) for p in parts]
