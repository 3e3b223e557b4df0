"""The networks of the official StyleGAN3 code: arguments, names and layouts.

Its discriminator is that of stylegan2-ada-pytorch with other default arguments.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import flax.linen as nn

from stylegan_jax.config import check_resolution
from stylegan_jax.interop import stylegan2_torch
from stylegan_jax.interop.arguments import Arguments
from stylegan_jax.interop.source import Source
from stylegan_jax.interop.stylegan2_variables import entries as stylegan2_entries
from stylegan_jax.layers.matmul import PLAIN_FORMS
from stylegan_jax.models import stylegan2
from stylegan_jax.models.interface import Channels
from stylegan_jax.models.stylegan3 import Generator
from stylegan_jax.models.stylegan3_geometry import LayerGeometry, Options
from stylegan_jax.weights.layout import OIHW, TRANSPOSED, Entry

_D_DEFAULTS = {"num_fp16_res": 4, "conv_clamp": 256}
# Attributes that define how a network is computed, not what it computes.
_COMPUTATION = {"dtype", "low_precision_resolutions", "float32_precision", "remat"}
_COMPUTATION |= {*PLAIN_FORMS, "parent", "name"}


def build(network: str, kwargs: Mapping[str, Any]) -> nn.Module:
    """Return the module that the official arguments of a network describe."""
    if network == "discriminator":
        return stylegan2_torch.build(network, _D_DEFAULTS | dict(kwargs))
    a = Arguments(kwargs, "stylegan3 generator")
    mapping = a.nested("mapping_kwargs")
    mapping.number("w_avg_beta", 0.998)  # used in training
    a.number("magnitude_ema_beta", 0.999)  # used in training
    flag, number, count = a.flag, a.number, a.count
    default = Options()
    model = Generator(
        resolution=count("img_resolution"),
        image_channels=count("img_channels"),
        z_dim=count("z_dim"),
        w_dim=count("w_dim"),
        label_size=count("c_dim"),
        mapping_layers=mapping.count("num_layers", 2),
        mapping_lr_multiplier=mapping.number("lr_multiplier", 0.01),
        # `Channels` counts in the unit of the TensorFlow code.
        channels=Channels(number("channel_base", 32768) / 2, count("channel_max", 512)),
        design=Options(
            num_layers=count("num_layers", default.num_layers),
            num_critical=count("num_critical", default.num_critical),
            first_cutoff=number("first_cutoff", default.first_cutoff),
            first_stopband=number("first_stopband", default.first_stopband),
            last_stopband_rel=number("last_stopband_rel", default.last_stopband_rel),
            margin_size=count("margin_size", default.margin_size),
            filter_size=count("filter_size", default.filter_size),
            lrelu_upsampling=count("lrelu_upsampling", default.lrelu_upsampling),
            conv_kernel=a.take("conv_kernel", default.conv_kernel, (1, 3)),
            use_radial_filters=flag("use_radial_filters", False),
        ),
        conv_clamp=number("conv_clamp", 256, optional=True),
        output_scale=number("output_scale", 0.25),
        low_precision_resolutions=count("num_fp16_res", 4),
    )
    a.done()
    mapping.done()
    check_resolution(model.resolution, "img_resolution")
    if not 0 <= model.design.num_critical < model.design.num_layers:
        raise ValueError(
            f"num_critical={model.design.num_critical} must be less than "
            f"num_layers={model.design.num_layers}"
        )
    return model


def same_network(a: nn.Module, b: nn.Module) -> bool:
    """Return True if two modules are one network, at any precision."""
    if isinstance(a, stylegan2.Discriminator):
        return stylegan2_torch.same_network(a, b)
    return type(a) is type(b) and not differences(a, b)


def differences(a: Generator, b: Generator) -> dict[str, Any]:
    """Return the settings of `a` that differ from those of `b`."""
    others = _settings(b)
    return {k: v for k, v in _settings(a).items() if v != others[k]}


def _settings(model: Generator) -> dict[str, Any]:
    settings = {
        f.name: getattr(model, f.name)
        for f in dataclasses.fields(model)
        if f.name not in _COMPUTATION
    }
    settings["mapping_features"] = model.mapping_features or model.w_dim
    return settings | {"channels": model.table}


def entries(model: nn.Module) -> list[Entry]:
    """Return the official variables of a network.

    Raises:
      ValueError: The official code has no such network.
    """
    if isinstance(model, stylegan2.Discriminator):
        return stylegan2_entries(model, "torch")
    if not isinstance(model, Generator):
        raise ValueError(f"{type(model).__name__} is not a network of StyleGAN3")
    if model.mapping_features not in (None, model.w_dim):
        raise ValueError(
            f"mapping_features={model.mapping_features} must be w_dim={model.w_dim} in "
            "official StyleGAN3 networks"
        )
    table = [*_input(model), *_mapping(model)]
    for i, layer in enumerate(model.table.layers):
        table += _layer(layer, f"layers_{i}", model.w_dim)
    return table


def _input(g: Generator) -> Iterator[Entry]:
    name, ours, c = "synthesis.input", ("constants", "input"), g.table.first.channels
    yield Entry(f"{name}.weight", (c, c), ("params", "input", "weight"), TRANSPOSED)
    yield Entry(f"{name}.transform", (3, 3), (*ours, "transform"))
    yield Entry(f"{name}.freqs", (c, 2), (*ours, "frequencies"))
    yield Entry(f"{name}.phases", (c,), (*ours, "phases"))
    yield from _dense(f"{name}.affine", ("input", "affine"), g.w_dim, 4)


def _mapping(g: Generator) -> Iterator[Entry]:
    yield Entry("mapping.w_avg", (g.w_dim,), ("stats", "w_avg"))
    inputs = g.z_dim
    if g.label_size:
        path = ("mapping", "label_embedding")
        yield from _dense("mapping.embed", path, g.label_size, g.w_dim)
        inputs += g.w_dim
    for i in range(g.mapping_layers):
        path = ("mapping", f"dense{i}")
        yield from _dense(f"mapping.fc{i}", path, inputs, g.w_dim)
        inputs = g.w_dim


def _layer(g: LayerGeometry, ours: str, w_dim: int) -> Iterator[Entry]:
    name, inputs, outputs = f"synthesis.{g.name}", g.before.channels, g.after.channels
    shape = (outputs, inputs, g.kernel, g.kernel)
    yield Entry(f"{name}.weight", shape, ("params", ours, "weight"), OIHW)
    yield Entry(f"{name}.bias", (outputs,), ("params", ours, "bias"))
    yield Entry(f"{name}.magnitude_ema", (), ("stats", ours, "magnitude"))
    for direction in ("up", "down"):
        if getattr(g, f"{direction}_taps") > 1:
            f = getattr(g, f"{direction}_filter")
            yield Entry(f"{name}.{direction}_filter", f.shape, (), constant=f)
    yield from _dense(f"{name}.affine", (ours, "affine"), w_dim, inputs)


def _dense(
    name: str, path: tuple[str, ...], inputs: int, outputs: int
) -> Iterator[Entry]:
    weight, bias = (*path, "kernel", "weight"), (*path, "bias", "bias")
    yield Entry(f"{name}.weight", (outputs, inputs), ("params", *weight), TRANSPOSED)
    yield Entry(f"{name}.bias", (outputs,), ("params", *bias))


SOURCE = Source(
    title="StyleGAN3",
    models=(Generator, stylegan2.Discriminator),
    build=build,
    entries=entries,
    same_network=same_network,
    check_names=(
        "`img_resolution`, `c_dim`, `num_layers`, `channel_base` and `channel_max`"
    ),
    check_shapes=(
        "`conv_kernel`, `use_radial_filters`, `channel_max` and the sizes of z, w and "
        "labels"
    ),
)
