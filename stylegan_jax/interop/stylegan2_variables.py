"""Every variable of the StyleGAN2 networks: ours, PyTorch's and TensorFlow's names.

Where the frameworks differ beyond the order of axes:
  * TensorFlow adds 1 to a style's bias when it is used; PyTorch and ours store it.
  * TensorFlow mirrors the kernels of upsampling layers.
  * PyTorch stores the normalised filters; TensorFlow makes them from its arguments.
"""

import dataclasses
from collections.abc import Iterator

import flax.linen as nn
import numpy as np

from stylegan_jax.interop.layout import Entry, Layout
from stylegan_jax.models.stylegan2 import Discriminator, Generator

FRAMEWORKS = ("torch", "tf")
DEFAULT_FILTER = (1, 3, 3, 1)  # in the buffers of layers that do not resample
SEPARABLE_TAPS = 8  # PyTorch keeps longer filters as [k], others as [h,w]

_SAME = Layout()
_OIHW = Layout(lambda a: a.transpose(2, 3, 1, 0), lambda a: a.transpose(3, 2, 0, 1))
_MIRRORED = Layout(lambda a: a[::-1, ::-1], lambda a: a[::-1, ::-1])
_CHW_INPUTS = Layout(  # [C*4*4, O] <-> [4*4*C, O]
    lambda a: (
        a.reshape(-1, 4, 4, a.shape[1]).transpose(1, 2, 0, 3).reshape(-1, a.shape[1])
    ),
    lambda a: (
        a.reshape(4, 4, -1, a.shape[1]).transpose(2, 0, 1, 3).reshape(-1, a.shape[1])
    ),
)
_LAYOUTS = {
    "torch": {
        "same": _SAME,
        "style_bias": _SAME,
        "conv": _OIHW,
        "up_conv": _OIHW,
        "dense": Layout(lambda a: a.T, lambda a: a.T),
        "chw_dense": Layout(
            lambda a: _CHW_INPUTS.load(a.T), lambda a: _CHW_INPUTS.save(a).T
        ),
        "const": Layout(lambda a: a.transpose(1, 2, 0), lambda a: a.transpose(2, 0, 1)),
        "noise": Layout(lambda a: a[None, ..., None], lambda a: a[0, ..., 0]),
    },
    "tf": {
        "same": _SAME,
        "style_bias": Layout(lambda a: a + 1, lambda a: a - 1),
        "conv": _SAME,
        "up_conv": _MIRRORED,
        "dense": _SAME,
        "chw_dense": _CHW_INPUTS,
        "const": Layout(
            lambda a: a[0].transpose(1, 2, 0), lambda a: a.transpose(2, 0, 1)[None]
        ),
        "noise": Layout(
            lambda a: a.transpose(0, 2, 3, 1), lambda a: a.transpose(0, 3, 1, 2)
        ),
    },
}


def entries(model: nn.Module, framework: str) -> list[Entry]:
    """The official variables of a network in one of FRAMEWORKS.

    Raises:
      ValueError: the network is not one that the official code has.
    """
    if not isinstance(model, (Generator, Discriminator)):
        raise ValueError(f"{type(model).__name__} is not a network of StyleGAN2")
    if model.base_size != (4, 4) or model.architecture == "growing":
        raise ValueError(
            f'official StyleGAN2 networks are square and do not grow; this one is "'
            f'{model.architecture}" with a base of {model.base_size}'
        )
    generator = isinstance(model, Generator)
    variables = _generator(model) if generator else _discriminator(model)
    table = [v.entry(framework) for v in variables]
    if framework == "torch":
        names = _generator_filters if generator else _discriminator_filters
        table += [
            Entry(f"{name}.resample_filter", taps.shape, (), constant=taps)
            for name, taps in names(model)
        ]
    return table


@dataclasses.dataclass(frozen=True)
class _Variable:
    """One variable: official names, our path and shape, and which layouts it has."""

    torch: str
    tf: str
    path: tuple[str, ...]
    shape: tuple[int, ...]
    kind: str = "same"

    def entry(self, framework: str) -> Entry:
        name = self.torch if framework == "torch" else self.tf
        layout = _LAYOUTS[framework][self.kind]
        ours = np.broadcast_to(np.float32(0), self.shape)  # of no size in memory
        return Entry(name, layout.save(ours).shape, self.path, layout)


def _weights(
    torch: str,
    tf: str,
    path: tuple[str, ...],
    shape: tuple[int, ...],
    kind: str = "dense",
    bias: bool = True,
) -> Iterator[_Variable]:
    """Weight and bias of a `Dense` or `ConvLayer`."""
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
    """Weight, bias and style of a `SynthesisLayer` or `ToRGB`."""
    at = ("params", *path)
    yield _Variable(f"{torch}.weight", f"{tf}/weight", (*at, "weight"), shape, kind)
    yield _Variable(f"{torch}.bias", f"{tf}/bias", (*at, "bias", "bias"), shape[-1:])
    torch, at = f"{torch}.affine", (*at, "affine")
    weight, bias = (*at, "kernel", "weight"), (*at, "bias", "bias")
    style = (w_dim, shape[2])
    yield _Variable(f"{torch}.weight", f"{tf}/mod_weight", weight, style, "dense")
    yield _Variable(f"{torch}.bias", f"{tf}/mod_bias", bias, style[1:], "style_bias")


def _mapping(
    model: Generator | Discriminator, w_dim: int, z_dim: int, tf: str, tf_dense: str
) -> Iterator[_Variable]:
    inputs = z_dim
    if model.label_size:
        embedding = model.embedding_features or w_dim
        shape, path = (model.label_size, embedding), ("mapping", "label_embedding")
        yield from _weights("mapping.embed", f"{tf}LabelEmbed", path, shape)
        inputs += embedding
    for i in range(model.mapping_layers):
        last = i == model.mapping_layers - 1
        outputs = w_dim if last else model.mapping_features or w_dim
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
    """A filter as PyTorch keeps it."""
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
