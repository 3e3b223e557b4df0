"""The networks of stylegan2-ada-pytorch: official arguments and their meaning."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import numpy as np

from stylegan_jax.config import check_resolution
from stylegan_jax.interop.arguments import Arguments
from stylegan_jax.interop.source import Source
from stylegan_jax.interop.stylegan2_variables import DEFAULT_FILTER, entries
from stylegan_jax.layers.activations import ACTIVATIONS
from stylegan_jax.layers.matmul import PLAIN_FORMS
from stylegan_jax.models.interface import Channels
from stylegan_jax.models.stylegan2 import (
    D_ARCHITECTURES,
    Discriminator,
    Generator,
    LayerOptions,
)

ARCHITECTURES = D_ARCHITECTURES  # for generators, too
_IGNORED = frozenset({"fp16_channels_last"})  # only changes the order of axes in memory


def build(network: str, kwargs: Mapping[str, Any]) -> nn.Module:
    """Return the module that the official arguments of a network describe."""
    return _generator(kwargs) if network == "generator" else _discriminator(kwargs)


def same_network(a: nn.Module, b: nn.Module) -> bool:
    """Return True if two modules are one network, at any precision."""
    return type(a) is type(b) and not differences(a, b)


def differences(a: nn.Module, b: nn.Module) -> dict[str, Any]:
    """Return the settings of `a` that differ from those of `b`, of the same class."""
    others = _resolved_settings(b)
    return {
        name: value
        for name, value in _resolved_settings(a).items()
        if name not in others or others[name] != value
    }


def _resolved_settings(model: nn.Module) -> dict[str, Any]:
    """Return the settings that define a network, with all defaults filled in."""
    ignored = {"parent", "name", "dtype", *PLAIN_FORMS}
    ignored |= {"low_precision_resolutions", "float32_precision"}
    settings = {
        f.name: getattr(model, f.name)
        for f in dataclasses.fields(model)
        if f.name not in ignored
    }
    settings |= dataclasses.asdict(settings.pop("options"))
    settings["channels"] = [model.channels(r) for r in model.resolutions]
    if isinstance(model, Generator):
        w_dim, has_mapping = model.w_dim, True
    else:
        del settings["noise"]
        settings["embedding"] = w_dim = model.embedding_size
        has_mapping = model.label_size > 0
    for name in ("mapping_features", "embedding_features"):
        settings[name] = settings[name] or w_dim
    if not model.label_size:
        del settings["embedding_features"]
    if not has_mapping or model.mapping_layers < 2:
        del settings["mapping_features"]
    if not has_mapping:
        for name in ("layers", "lr_multiplier", "activation"):
            del settings[f"mapping_{name}"]
    return settings


def _generator(kwargs: Mapping[str, Any]) -> Generator:
    a = Arguments(kwargs, "stylegan2 generator")
    mapping = a.nested("mapping_kwargs")
    synthesis = a.nested("synthesis_kwargs", _IGNORED)
    mapping.number("w_avg_beta", 0.995)  # used in training; None means no average
    synthesis.take("kernel_size", 3, (3,))
    model = Generator(
        resolution=a.count("img_resolution"),
        image_channels=a.count("img_channels"),
        z_dim=a.count("z_dim"),
        w_dim=a.count("w_dim"),
        label_size=a.count("c_dim"),
        **_mapping(mapping),
        channels=_channels(synthesis),
        architecture=synthesis.take("architecture", "skip", ARCHITECTURES),
        options=_layer_options(
            synthesis,
            conv_clamp=synthesis.number("conv_clamp", None, optional=True),
            noise=synthesis.flag("use_noise", True),
        ),
        low_precision_resolutions=synthesis.count("num_fp16_res", 0),
    )
    _finish(model, a, mapping, synthesis)
    embedding = model.embedding_features or model.w_dim
    inputs = model.z_dim + (embedding if model.label_size else 0)
    _check_mapping(model, inputs, model.w_dim, "w_dim")
    return model


def _discriminator(kwargs: Mapping[str, Any]) -> Discriminator:
    a = Arguments(kwargs, "stylegan2 discriminator")
    mapping = a.nested("mapping_kwargs")
    block, head = a.nested("block_kwargs", _IGNORED), a.nested("epilogue_kwargs")
    model = Discriminator(
        resolution=a.count("img_resolution"),
        image_channels=a.count("img_channels"),
        label_size=a.count("c_dim"),
        channels=_channels(a),
        architecture=a.take("architecture", "resnet", ARCHITECTURES),
        options=_layer_options(
            block, conv_clamp=a.number("conv_clamp", None, optional=True)
        ),
        embedding=a.count("cmap_dim", None, optional=True),
        **_mapping(mapping),
        head_activation=head.take("activation", "lrelu", ACTIVATIONS),
        mbstd_group_size=_group_size(head),
        mbstd_features=head.count("mbstd_num_channels", 1),
        freeze_layers=block.count("freeze_layers", 0),
        low_precision_resolutions=a.count("num_fp16_res", 0),
    )
    _finish(model, a, mapping, block, head)
    if model.label_size:
        size = model.embedding_size
        _check_mapping(model, model.embedding_features or size, size, "cmap_dim")
    return model


def _group_size(a: Arguments) -> int | None:
    size = a.count("mbstd_group_size", 4, optional=True)
    if size == 0:
        raise ValueError(
            "mbstd_group_size=0 must be positive, or None for the whole batch; for a "
            "network without the statistics, set mbstd_num_channels to 0"
        )
    return size


def _channels(a: Arguments) -> Channels:
    # `Channels` counts in the unit of the TensorFlow code.
    return Channels(a.number("channel_base", 32768) / 2, a.count("channel_max", 512))


def _mapping(a: Arguments) -> dict[str, Any]:
    return {
        "mapping_layers": a.count("num_layers", 8),
        "mapping_features": a.count("layer_features", None, optional=True),
        "embedding_features": a.count("embed_features", None, optional=True),
        "mapping_lr_multiplier": a.number("lr_multiplier", 0.01),
        "mapping_activation": a.take("activation", "lrelu", ACTIVATIONS),
    }


def _layer_options(a: Arguments, **more: Any) -> LayerOptions:
    taps = a.take("resample_filter", DEFAULT_FILTER)
    taps = np.asarray(1 if taps is None else taps)
    if taps.ndim > 2 or taps.dtype.kind not in "iuf" or not taps.sum():
        raise ValueError(
            f"resample_filter={taps.tolist()} must be a list of numbers, or a list of "
            "such lists, whose sum is not 0"
        )
    if np.array_equal(taps, np.rint(taps)):
        taps = taps.astype(int)  # as in configurations
    rows = np.atleast_1d(taps).tolist()
    return LayerOptions(
        activation=a.take("activation", "lrelu", ACTIVATIONS),
        resample_filter=tuple(tuple(r) if isinstance(r, list) else r for r in rows),
        **more,
    )


def _finish(model: Generator | Discriminator, *arguments: Arguments) -> None:
    for a in arguments:
        a.done()
    check_resolution(model.resolution, "img_resolution")
    if model.channels(model.resolution) < 1:
        raise ValueError(
            f"channel_base={int(model.channels.base * 2)} leaves no channels at "
            f"{model.resolution}x{model.resolution}; use at least {model.resolution}"
        )


def _check_mapping(model: Any, inputs: int, outputs: int, name: str) -> None:
    """Raise ValueError if the input of a mapping without layers does not fit w."""
    if outputs < 1:
        raise ValueError(f"{name}={outputs} must be positive")
    if not model.mapping_layers and inputs != outputs:
        raise ValueError(
            f"num_layers=0 passes {inputs} numbers on, but {name} is {outputs}; make "
            "them equal or use layers"
        )


SOURCE = Source(
    title="StyleGAN2",
    models=(Generator, Discriminator),
    build=build,
    entries=functools.partial(entries, framework="torch"),
    same_network=same_network,
    check_names=(
        "`architecture`, `img_resolution`, `c_dim`, `use_noise` and `num_layers`"
    ),
    check_shapes=(
        "`channel_base`, `channel_max`, `resample_filter` and the sizes of z, w and "
        "labels"
    ),
)
