"""The TensorFlow networks of StyleGAN2 and StyleGAN2-ADA: arguments and names.

Every argument has a counterpart in stylegan2-ada-pytorch, so `stylegan2_torch` builds
the modules. An omitted argument has the default of the official converter.
"""

import dataclasses
import functools
import re
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import numpy as np

from stylegan_jax.interop import stylegan2_torch
from stylegan_jax.interop.arguments import Arguments
from stylegan_jax.interop.stylegan2_variables import DEFAULT_FILTER, entries

# Name, default, and the arguments in PyTorch that it sets.
_GENERATOR = (
    ("latent_size", 512, "z_dim"),
    ("label_size", 0, "c_dim"),
    ("dlatent_size", 512, "w_dim"),
    ("resolution", 1024, "img_resolution"),
    ("num_channels", 3, "img_channels"),
    ("mapping_layers", 8, "mapping_kwargs.num_layers"),
    ("label_fmaps", None, "mapping_kwargs.embed_features"),
    ("mapping_fmaps", None, "mapping_kwargs.layer_features"),
    ("mapping_nonlinearity", "lrelu", "mapping_kwargs.activation"),
    ("mapping_lrmul", 0.01, "mapping_kwargs.lr_multiplier"),
    ("w_avg_beta", 0.995, "mapping_kwargs.w_avg_beta"),
    ("fmap_base", 16384, "synthesis_kwargs.channel_base"),
    ("fmap_max", 512, "synthesis_kwargs.channel_max"),
    ("num_fp16_res", 0, "synthesis_kwargs.num_fp16_res"),
    ("conv_clamp", None, "synthesis_kwargs.conv_clamp"),
    ("architecture", "skip", "synthesis_kwargs.architecture"),
    ("resample_kernel", DEFAULT_FILTER, "synthesis_kwargs.resample_filter"),
    ("use_noise", True, "synthesis_kwargs.use_noise"),
    ("nonlinearity", "lrelu", "synthesis_kwargs.activation"),
)
_DISCRIMINATOR = (
    ("label_size", 0, "c_dim"),
    ("resolution", 1024, "img_resolution"),
    ("num_channels", 3, "img_channels"),
    ("architecture", "resnet", "architecture"),
    ("fmap_base", 16384, "channel_base"),
    ("fmap_max", 512, "channel_max"),
    ("num_fp16_res", 0, "num_fp16_res"),
    ("conv_clamp", None, "conv_clamp"),
    (
        "mapping_fmaps",
        None,
        "cmap_dim mapping_kwargs.embed_features mapping_kwargs.layer_features",
    ),
    (
        "nonlinearity",
        "lrelu",
        "block_kwargs.activation mapping_kwargs.activation epilogue_kwargs.activation",
    ),
    ("resample_kernel", DEFAULT_FILTER, "block_kwargs.resample_filter"),
    ("freeze_layers", 0, "block_kwargs.freeze_layers"),
    ("mapping_layers", 0, "mapping_kwargs.num_layers"),
    ("mapping_lrmul", 0.1, "mapping_kwargs.lr_multiplier"),
    ("mbstd_group_size", None, "epilogue_kwargs.mbstd_group_size"),
    ("mbstd_num_features", 1, "epilogue_kwargs.mbstd_num_channels"),
)
_TABLES = {"generator": _GENERATOR, "discriminator": _DISCRIMINATOR}
# Arguments of the official training graph, or defaults of a call.
_IGNORED = {
    "generator": frozenset(
        {
            "truncation_psi",
            "truncation_cutoff",
            "style_mixing_prob",
            "structure",
            "conditioning",
            "fused_modconv",
        }
    ),
    "discriminator": frozenset({"structure", "conditioning"}),
}
_COMPONENT_NAME = re.compile(r"G_((mapping|synthesis)/.*)")
_GROWING_NAME = re.compile(r"(?P<where>.*)(?P<layer>ToRGB|FromRGB)_lod(?P<lod>\d+)/.*")


def build(network: str, kwargs: Mapping[str, Any]) -> nn.Module:
    """Return the module that the official arguments of a network describe."""
    return stylegan2_torch.build(network, torch_arguments(network, kwargs))


def torch_arguments(network: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of the same network in stylegan2-ada-pytorch.

    Raises:
      ValueError: An argument is unknown, or `fmap_base` is not a number.
    """
    a = Arguments(kwargs, f"stylegan2-tf {network}", _IGNORED[network])
    out: dict[str, Any] = {}
    for name, default, targets in _TABLES[network]:
        if name == "fmap_base":
            value = a.number(name, default) * 2
        else:
            value = a.take(name, default)
        if name == "w_avg_beta" and value is None:
            value = 1.0  # the average is never updated
        for target in targets.split():
            section, _, leaf = target.rpartition(".")
            (out.setdefault(section, {}) if section else out)[leaf] = value
    a.done()
    return out


def modernize(
    arrays: Mapping[str, np.ndarray], network: str, kwargs: Mapping[str, Any]
) -> tuple[Mapping[str, np.ndarray], Mapping[str, Any]]:
    """Return arrays and arguments as StyleGAN2-ADA has them.

    Names of components may have TensorFlow's prefix: G_synthesis/... The names of
    growing networks (ToRGB_lod0, FromRGB_lod0, ...) mean the architecture "orig", as in
    the official converter. At the full resolution, where training ends, such networks
    use lod0 only; the others are ignored.
    """
    arrays = {_COMPONENT_NAME.sub(r"\1", k): v for k, v in arrays.items()}
    if any(_GROWING_NAME.match(name) for name in arrays):
        kwargs = {**kwargs, "architecture": "orig"}
        arrays = _without_growing(arrays, build(network, kwargs).resolution)
    return arrays, kwargs


def _without_growing(
    arrays: Mapping[str, np.ndarray], resolution: int
) -> dict[str, np.ndarray]:
    """Return the arrays of a growing network under the names of a fixed one."""
    renamed = {}
    for name, value in arrays.items():
        old = _GROWING_NAME.fullmatch(name)
        if old and int(old["lod"]) == 0:
            old_layer, layer = f"{old['layer']}_lod0", old["layer"]
            name = name.replace(old_layer, f"{resolution}x{resolution}/{layer}")
        elif old or name.split("/")[-1] == "lod":
            continue
        renamed[name] = value
    return renamed


# Biases of styles lose a bit of precision: TensorFlow stores them minus 1, in float32.
SOURCE = dataclasses.replace(
    stylegan2_torch.SOURCE,
    build=build,
    entries=functools.partial(entries, framework="tf"),
    check_names=(
        "`architecture`, `resolution`, `label_size`, `use_noise` and `mapping_layers`"
    ),
    check_shapes="`fmap_base`, `fmap_max` and the sizes of z, w and labels",
    modernize=modernize,
)
