"""The networks; `build` is the only dispatch on their family."""

import jax.numpy as jnp

from stylegan_jax.config import Data, Model
from stylegan_jax.models import stylegan1, stylegan2
from stylegan_jax.models.interface import (
    Channels,
    Discriminator,
    Generator,
    LevelOfDetail,
    Variables,
)

__all__ = ["Discriminator", "Generator", "LevelOfDetail", "Variables", "build"]


def build(
    model: Model, data: Data, label_size: int, winograd: bool = False
) -> tuple[Generator, Discriminator]:
    """Build the networks of an experiment.

    Args:
      model: the `model` section of the configuration.
      data: the `data` section: resolution and channels of the images.
      label_size: length of a label vector, 0 for unconditional networks.
      winograd: allow the faster convolutions on CPUs, which round otherwise; for
        training. See `layers.conv2d_cpu`.
    """
    match model.family:
        case "stylegan1":
            generator = _stylegan1_generator(model, data, label_size)
            discriminator = _stylegan1_discriminator(model, data, label_size)
        case "stylegan2":
            generator = _stylegan2_generator(model, data, label_size)
            if model.growing:
                discriminator = _stylegan1_discriminator(model, data, label_size)
            else:
                discriminator = _stylegan2_discriminator(model, data, label_size)
        case _:
            raise ValueError(f"unknown `model.family` {model.family!r}")
    return generator.clone(winograd=winograd), discriminator.clone(winograd=winograd)


def _images(data: Data, label_size: int) -> dict:
    return {
        "resolution": data.resolution,
        "image_channels": data.channels,
        "label_size": label_size,
    }


def _stylegan1_generator(
    model: Model, data: Data, label_size: int
) -> stylegan1.Generator:
    return stylegan1.Generator(
        **_images(data, label_size),
        z_dim=model.z_dim,
        w_dim=model.w_dim,
        mapping_layers=model.mapping_layers,
        mapping_features=model.mapping_features,
        mapping_lr_multiplier=model.mapping_lr_multiplier,
        channels=model_channels(model),
        const_input=model.const_input,
        options=stylegan1.LayerOptions(
            styles=model.styles,
            noise=model.noise,
            pixel_norm=model.pixel_norm,
            instance_norm=model.instance_norm,
            nonlinearity=model.nonlinearity,
            blur_filter=model.blur_filter,
        ),
        dtype=jnp.dtype(model.dtype),
        remat=model.remat,
    )


def _stylegan1_discriminator(
    model: Model, data: Data, label_size: int
) -> stylegan1.Discriminator:
    return stylegan1.Discriminator(
        **_images(data, label_size),
        channels=model_channels(model),
        nonlinearity=model.nonlinearity,
        blur_filter=model.blur_filter,
        mbstd_group_size=model.mbstd_group_size,
        mbstd_features=model.mbstd_features,
        dtype=jnp.dtype(model.dtype),
        remat=model.remat,
    )


def _stylegan2_generator(
    model: Model, data: Data, label_size: int
) -> stylegan2.Generator:
    return stylegan2.Generator(
        **_images(data, label_size),
        base_size=data.base_size,
        z_dim=model.z_dim,
        w_dim=model.w_dim,
        mapping_layers=model.mapping_layers,
        mapping_features=model.mapping_features,
        mapping_lr_multiplier=model.mapping_lr_multiplier,
        channels=model_channels(model),
        architecture=model.g_architecture,
        options=_stylegan2_options(model),
        low_precision_resolutions=model.low_precision_resolutions,
        dtype=jnp.dtype(model.dtype),
        remat=model.remat,
    )


def _stylegan2_discriminator(
    model: Model, data: Data, label_size: int
) -> stylegan2.Discriminator:
    return stylegan2.Discriminator(
        **_images(data, label_size),
        base_size=data.base_size,
        channels=model_channels(model),
        architecture=model.d_architecture,
        options=_stylegan2_options(model),
        mapping_layers=model.d_mapping_layers,
        mbstd_group_size=model.mbstd_group_size,
        mbstd_features=model.mbstd_features,
        freeze_layers=model.freeze_layers,
        low_precision_resolutions=model.low_precision_resolutions,
        dtype=jnp.dtype(model.dtype),
        remat=model.remat,
    )


def _stylegan2_options(model: Model) -> stylegan2.LayerOptions:
    return stylegan2.LayerOptions(
        activation=model.nonlinearity,
        resample_filter=model.resample_filter,
        conv_clamp=model.conv_clamp,
        noise=model.noise,
    )


def model_channels(model: Model) -> Channels:
    """Feature maps by resolution, in the official unit of the family."""
    base = model.channel_base / (2 if model.family == "stylegan2" else 1)
    return Channels(base, model.channel_max)
