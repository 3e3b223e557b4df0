"""Names and layouts of the StyleGAN2 variables in PyTorch and TensorFlow.

The frameworks differ in more than the order of axes:
  * TensorFlow adds 1 to a style's bias when using it; PyTorch and ours store the sum.
  * TensorFlow mirrors the kernels of upsampling layers.
  * PyTorch stores the normalized filters; TensorFlow derives them from its arguments.
"""

import dataclasses
from collections.abc import Iterator

import flax.linen as nn
import numpy as np

from stylegan_jax.models.stylegan2 import Discriminator, Generator
from stylegan_jax.weights.layout import (
    IDENTITY,
    LEADING_AXIS,
    NCHW,
    OIHW,
    TRANSPOSED,
    Entry,
    Layout,
    chw_rows,
    permuted,
)

FRAMEWORKS = ("torch", "tf")
DEFAULT_FILTER = (1, 3, 3, 1)  # in the buffers of layers that do not resample
SEPARABLE_TAPS = 8  # PyTorch keeps longer filters as [k], others as [h,w]

_CHW_TO_HWC = permuted(1, 2, 0)
# Kind of variable -> layout in PyTorch, layout in TensorFlow.
_LAYOUTS = {
    "same": (IDENTITY, IDENTITY),
    "style_bias": (IDENTITY, Layout(lambda a: a + 1, lambda a: a - 1)),
    "conv": (OIHW, IDENTITY),
    "up_conv": (OIHW, Layout(lambda a: a[::-1, ::-1], lambda a: a[::-1, ::-1])),
    "dense": (TRANSPOSED, IDENTITY),
    "chw_dense": (TRANSPOSED.then(chw_rows(4, 4)), chw_rows(4, 4)),
    "const": (_CHW_TO_HWC, LEADING_AXIS.then(_CHW_TO_HWC)),
    "noise": (Layout(lambda a: a[None, ..., None], lambda a: a[0, ..., 0]), NCHW),
}


def entries(model: nn.Module, framework: str) -> list[Entry]:
    """Return the official variables of a network in one of FRAMEWORKS.

    Raises:
      ValueError: The official code has no such network.
    """
    if not isinstance(model, (Generator, Discriminator)):
        raise ValueError(f"{type(model).__name__} is not a network of StyleGAN2")
    if model.base_size != (4, 4) or model.architecture == "growing":
        raise ValueError(
            "official StyleGAN2 networks are square and do not grow; this one has the "
            f"architecture {model.architecture!r} and a base of {model.base_size}"
        )
    is_generator = isinstance(model, Generator)
    variables = _generator(model) if is_generator else _discriminator(model)
    table = [v.entry(framework) for v in variables]
    if framework == "torch":
        filters = _generator_filters if is_generator else _discriminator_filters
        table += [
            Entry(f"{name}.resample_filter", taps.shape, (), constant=taps)
            for name, taps in filters(model)
        ]
    return table


@dataclasses.dataclass(frozen=True)
class _Variable:
    """A variable: its official names, our path and shape, and its kind of layout."""

    torch: str
    tf: str
    path: tuple[str, ...]
    shape: tuple[int, ...]
    kind: str = "same"

    def entry(self, framework: str) -> Entry:
        """Return the entry of the variable in one of FRAMEWORKS."""
        number = FRAMEWORKS.index(framework)
        name, layout = (self.torch, self.tf)[number], _LAYOUTS[self.kind][number]
        ours = np.broadcast_to(np.float32(0), self.shape)  # takes no memory
        return Entry(name, layout.save(ours).shape, self.path, layout)


def _weights(
    torch: str,
    tf: str,
    path: tuple[str, ...],
    shape: tuple[int, ...],
    kind: str = "dense",
    bias: bool = True,
) -> Iterator[_Variable]:
    """Yield weight and bias of a `Dense` or `ConvLayer`."""
    weight, path = ("params", *path, "kernel", "weight"), ("params", *path)
    yield _Variable(f"{torch}.weight", f"{tf}/weight", weight, shape, kind)
    if bias:
        path = (*path, "bias", "bias")
        yield _Variable(f"{torch}.bias", f"{tf}/bias", path, shape[-1:])


def _modulated(
    torch: str,
    tf: str,
    path: tuple[str, ...],
    shape: tuple[int, ...],
    w_dim: int,
    kind: str = "conv",
) -> Iterator[_Variable]:
    """Yield weight, bias and style of a `SynthesisLayer` or `ToRGB`."""
    path, style = ("params", *path), (w_dim, shape[2])
    weight, bias = (*path, "weight"), (*path, "bias", "bias")
    yield _Variable(f"{torch}.weight", f"{tf}/weight", weight, shape, kind)
    yield _Variable(f"{torch}.bias", f"{tf}/bias", bias, shape[-1:])
    torch, path = f"{torch}.affine", (*path, "affine")
    weight, bias = (*path, "kernel", "weight"), (*path, "bias", "bias")
    yield _Variable(f"{torch}.weight", f"{tf}/mod_weight", weight, style, "dense")
    yield _Variable(f"{torch}.bias", f"{tf}/mod_bias", bias, style[1:], "style_bias")


def _mapping(
    model: Generator | Discriminator, w_dim: int, z_dim: int, tf: str, tf_dense: str
) -> Iterator[_Variable]:
    """Yield the mapping network: the embedding of labels, then the dense layers."""
    inputs = z_dim
    if model.label_size:
        embedding = model.embedding_features or w_dim
        shape, path = (model.label_size, embedding), ("mapping", "label_embedding")
        yield from _weights("mapping.embed", f"{tf}LabelEmbed", path, shape)
        inputs += embedding
    for i in range(model.mapping_layers):
        is_last = i == model.mapping_layers - 1
        outputs = w_dim if is_last else model.mapping_features or w_dim
        path, shape = ("mapping", f"dense{i}"), (inputs, outputs)
        yield from _weights(f"mapping.fc{i}", f"{tf}{tf_dense}{i}", path, shape)
        inputs = outputs


def _generator(g: Generator) -> Iterator[_Variable]:
    yield _Variable("mapping.w_avg", "dlatent_avg", ("stats", "w_avg"), (g.w_dim,))
    yield from _mapping(g, g.w_dim, g.z_dim, "mapping/", "Dense")
    outputs = 0
    for i, r in enumerate(g.resolutions):
        torch, tf, block = f"synthesis.b{r}", f"synthesis/{r}x{r}", f"blocks_{i}"
        inputs, outputs = outputs, g.channels(r)
        if r == 4:
            path, shape = ("params", block, "const"), (4, 4, outputs)
            yield _Variable(f"{torch}.const", f"{tf}/Const/const", path, shape, "const")
            layers = [("conv1", "Conv", "conv", outputs)]
        else:
            layers = [
                ("conv0", "Conv0_up", "up_conv", inputs),
                ("conv1", "Conv1", "conv", outputs),
            ]
        for layer, tf_layer, kind, channels in layers:
            path, shape = (block, layer), (3, 3, channels, outputs)
            names = f"{torch}.{layer}", f"{tf}/{tf_layer}"
            yield from _modulated(*names, path, shape, g.w_dim, kind)
            if g.options.noise:
                yield from _noise(*names, path, r, 2 * i - (layer == "conv0"))
        if g.architecture == "resnet" and r > 4:
            path, shape = (block, "skip"), (1, 1, inputs, outputs)
            names = f"{torch}.skip", f"{tf}/Skip"
            yield from _weights(*names, path, shape, "up_conv", bias=False)
        if r in g.to_rgb_resolutions:
            path, shape = (f"to_rgb_{r}",), (1, 1, outputs, g.image_channels)
            names = f"{torch}.torgb", f"{tf}/ToRGB"
            yield from _modulated(*names, path, shape, g.w_dim)


def _noise(
    torch: str, tf: str, path: tuple[str, ...], r: int, number: int
) -> Iterator[_Variable]:
    """Yield strength and constant noise of layer `number`, at resolution `r`."""
    strength = ("params", *path, "noise", "strength")
    yield _Variable(f"{torch}.noise_strength", f"{tf}/noise_strength", strength, ())
    const, name = ("noise", *path, "noise", "const"), f"synthesis/noise{number}"
    yield _Variable(f"{torch}.noise_const", name, const, (1, r, r, 1), "noise")


def _discriminator(d: Discriminator) -> Iterator[_Variable]:
    c4, images = d.channels(4), d.image_channels
    for i, r in reversed(list(enumerate(d.resolutions))[1:]):
        torch, tf, block = f"b{r}", f"{r}x{r}", f"blocks_{i}"
        c, c_down = d.channels(r), d.channels(r // 2)
        if d.architecture == "skip" or r == d.resolution:
            names, path = (f"{torch}.fromrgb", f"{tf}/FromRGB"), (block, "from_rgb")
            yield from _weights(*names, path, (1, 1, images, c), "conv")
        names, path = (f"{torch}.conv0", f"{tf}/Conv0"), (block, "conv0")
        yield from _weights(*names, path, (3, 3, c, c), "conv")
        names, path = (f"{torch}.conv1", f"{tf}/Conv1_down"), (block, "conv1")
        yield from _weights(*names, path, (3, 3, c, c_down), "conv")
        if d.architecture == "resnet":
            names, path = (f"{torch}.skip", f"{tf}/Skip"), (block, "skip")
            yield from _weights(*names, path, (1, 1, c, c_down), "conv", bias=False)
    if d.architecture == "skip" or d.resolution == 4:
        shape = (1, 1, images, c4)
        yield from _weights("b4.fromrgb", "4x4/FromRGB", ("from_rgb",), shape, "conv")
    shape = (3, 3, c4 + d.mbstd_features, c4)
    yield from _weights("b4.conv", "4x4/Conv", ("conv",), shape, "conv")
    shape = (16 * c4, c4)
    yield from _weights("b4.fc", "4x4/Dense0", ("dense0",), shape, "chw_dense")
    shape = (c4, d.embedding_size or 1)
    yield from _weights("b4.out", "Output", ("dense1",), shape)
    if d.label_size:
        yield from _mapping(d, d.embedding_size, 0, "", "Mapping")


def _stored_filter(taps: tuple) -> np.ndarray:
    """Return a filter as PyTorch stores it."""
    f = np.asarray(taps, np.float32)
    if f.ndim == 1 and f.size < SEPARABLE_TAPS:
        f = np.outer(f, f)
    return f / f.sum()


def _generator_filters(g: Generator) -> Iterator[tuple[str, np.ndarray]]:
    taps, unused = map(_stored_filter, (g.options.resample_filter, DEFAULT_FILTER))
    for r in g.resolutions:
        block = f"synthesis.b{r}"
        yield block, taps
        yield f"{block}.conv1", unused
        if r > 4:
            yield f"{block}.conv0", taps
        if r > 4 and g.architecture == "resnet":
            yield f"{block}.skip", taps


def _discriminator_filters(d: Discriminator) -> Iterator[tuple[str, np.ndarray]]:
    taps, unused = map(_stored_filter, (d.options.resample_filter, DEFAULT_FILTER))
    for r in reversed(d.resolutions[1:]):
        yield f"b{r}", taps
        if d.architecture == "skip" or r == d.resolution:
            yield f"b{r}.fromrgb", unused
        yield f"b{r}.conv0", unused
        yield f"b{r}.conv1", taps
        if d.architecture == "resnet":
            yield f"b{r}.skip", taps
    if d.architecture == "skip" or d.resolution == 4:
        yield "b4.fromrgb", unused
    yield "b4.conv", unused
