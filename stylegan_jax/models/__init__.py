"""The networks; `build` is the only dispatch on their family."""

import jax.numpy as jnp

from stylegan_jax.config import Data, Model
from stylegan_jax.models import stylegan1
from stylegan_jax.models.interface import Discriminator, Generator, Variables

__all__ = ["Discriminator", "Generator", "Variables", "build"]


def build(model: Model, data: Data, label_size: int) -> tuple[Generator, Discriminator]:
    """The networks of an experiment.

    Args:
      model: the `model` section of the configuration.
      data: the `data` section: resolution and channels of the images.
      label_size: length of a label vector, 0 for unconditional networks.
    """
    match model.family:
        case "stylegan1":
            return _stylegan1(model, data, label_size)
        case _:
            raise ValueError(f"unknown `model.family` {model.family!r}")


def _stylegan1(
    model: Model, data: Data, label_size: int
) -> tuple[Generator, Discriminator]:
    images = {
        "resolution": data.resolution,
        "image_channels": data.channels,
        "label_size": label_size,
        "channels": stylegan1.Channels(model.channel_base, model.channel_max),
        "dtype": jnp.dtype(model.dtype),
    }
    generator = stylegan1.Generator(
        **images,
        z_dim=model.z_dim,
        w_dim=model.w_dim,
        mapping_layers=model.mapping_layers,
        mapping_features=model.mapping_features,
        mapping_lr_multiplier=model.mapping_lr_multiplier,
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
    discriminator = stylegan1.Discriminator(
        **images,
        nonlinearity=model.nonlinearity,
        blur_filter=model.blur_filter,
        mbstd_group_size=model.mbstd_group_size,
        mbstd_features=model.mbstd_features,
    )
    return generator, discriminator
