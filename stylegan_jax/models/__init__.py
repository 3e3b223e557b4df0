"""The networks of each family; `build` builds those of an experiment."""

from typing import Any

import jax.numpy as jnp

from stylegan_jax.config import Data, Model
from stylegan_jax.models import stylegan1, stylegan2, stylegan3
from stylegan_jax.models.interface import (
    Channels,
    Discriminator,
    Generator,
    LevelOfDetail,
    Variables,
)

__all__ = [
    "FAMILIES",
    "Discriminator",
    "Generator",
    "LevelOfDetail",
    "Variables",
    "build",
    "family_of",
]

# Family, as in `model.family` and the name of its module -> name of the network.
FAMILIES = {
    "stylegan1": "StyleGAN",
    "stylegan2": "StyleGAN2",
    "stylegan3": "StyleGAN3",
}


def family_of(generator: Generator) -> str:
    """Return the family of a generator, one of FAMILIES."""
    return type(generator).__module__.rpartition(".")[2]


def build(
    model: Model,
    data: Data,
    label_size: int,
    **forms: bool,
) -> tuple[Generator, Discriminator]:
    """Build the networks of an experiment.

    Args:
      model: the `model` section of the configuration.
      data: the `data` section: resolution and channels of the images.
      label_size: length of a label vector, 0 for unconditional networks.
      **forms: forms of operations that are fast on a platform, see
        `layers.matmul.fastest_forms`; by default, the plain ones.
    """
    common = {
        "resolution": data.resolution,
        "image_channels": data.channels,
        "label_size": label_size,
        "dtype": jnp.dtype(model.dtype),
        "low_precision_resolutions": model.low_precision_resolutions,
        "float32_precision": model.float32_precision,
        "remat": model.remat,
        **forms,
    }
    match model.family:
        case "stylegan1":
            common["channels"] = Channels(model.channel_base, model.channel_max)
            return (
                _stylegan1_generator(model, common),
                _stylegan1_discriminator(model, common),
            )
        case "stylegan2":
            # StyleGAN2 has base / R channels; `Channels` computes 2 * base / R.
            common["channels"] = Channels(model.channel_base / 2, model.channel_max)
            generator = _stylegan2_generator(model, data, common)
            if model.growing:
                return generator, _stylegan1_discriminator(model, common)
            return generator, _stylegan2_discriminator(model, data, common)
        case "stylegan3":
            common["channels"] = Channels(model.channel_base / 2, model.channel_max)
            return (
                _stylegan3_generator(model, common),
                _stylegan2_discriminator(model, data, common),
            )
        case _:
            raise ValueError(
                f"`model.family` (={model.family!r}) must be stylegan1, stylegan2 or "
                "stylegan3"
            )


def _mapping(model: Model) -> dict[str, Any]:
    """Return the settings of the mapping network, which all generators have."""
    return {
        "z_dim": model.z_dim,
        "w_dim": model.w_dim,
        "mapping_layers": model.mapping_layers,
        "mapping_features": model.mapping_features,
        "mapping_lr_multiplier": model.mapping_lr_multiplier,
    }


def _stylegan1_generator(model: Model, common: dict) -> stylegan1.Generator:
    return stylegan1.Generator(
        **common,
        **_mapping(model),
        const_input=model.const_input,
        options=stylegan1.LayerOptions(
            styles=model.styles,
            noise=model.noise,
            pixel_norm=model.pixel_norm,
            instance_norm=model.instance_norm,
            nonlinearity=model.nonlinearity,
            blur_filter=model.blur_filter,
        ),
    )


def _stylegan1_discriminator(model: Model, common: dict) -> stylegan1.Discriminator:
    return stylegan1.Discriminator(
        **common,
        nonlinearity=model.nonlinearity,
        blur_filter=model.blur_filter,
        mbstd_group_size=model.mbstd_group_size,
        mbstd_features=model.mbstd_features,
    )


def _stylegan2_generator(model: Model, data: Data, common: dict) -> stylegan2.Generator:
    return stylegan2.Generator(
        **common,
        base_size=data.base_size,
        **_mapping(model),
        architecture=model.g_architecture,
        options=_stylegan2_options(model),
    )


def _stylegan2_discriminator(
    model: Model, data: Data, common: dict
) -> stylegan2.Discriminator:
    channels = Channels(
        (model.d_channel_base or model.channel_base) / 2,
        model.d_channel_max or model.channel_max,
    )
    return stylegan2.Discriminator(
        **common | {"channels": channels},
        base_size=data.base_size,
        architecture=model.d_architecture,
        options=_stylegan2_options(model),
        mapping_layers=model.d_mapping_layers,
        mbstd_group_size=model.mbstd_group_size,
        mbstd_features=model.mbstd_features,
        freeze_layers=model.freeze_layers,
    )


def _stylegan2_options(model: Model) -> stylegan2.LayerOptions:
    return stylegan2.LayerOptions(
        activation=model.nonlinearity,
        resample_filter=model.resample_filter,
        conv_clamp=model.conv_clamp,
        noise=model.noise,
    )


def _stylegan3_generator(model: Model, common: dict) -> stylegan3.Generator:
    return stylegan3.Generator(
        **common,
        **_mapping(model),
        conv_clamp=model.conv_clamp,
        output_scale=model.output_scale,
        design=stylegan3.Options(
            num_layers=model.num_layers,
            num_critical=model.num_critical,
            first_cutoff=model.first_cutoff,
            first_stopband=model.first_stopband,
            last_stopband_rel=model.last_stopband_rel,
            margin_size=model.margin_size,
            filter_size=model.filter_size,
            lrelu_upsampling=model.lrelu_upsampling,
            conv_kernel=model.conv_kernel,
            use_radial_filters=model.use_radial_filters,
        ),
    )
