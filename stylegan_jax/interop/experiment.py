"""The experiment that builds given networks, if a configuration can express them."""

import dataclasses
from collections.abc import Callable
from typing import Any

from stylegan_jax import config, models
from stylegan_jax.interop import stylegan3 as official_stylegan3
from stylegan_jax.interop.stylegan2_torch import differences
from stylegan_jax.models import stylegan1, stylegan2, stylegan3


def experiment_of(
    generator: Any, discriminator: Any
) -> tuple[config.Experiment, str | None]:
    """Return the experiment that builds two networks.

    Returns:
      The experiment, and the options of the discriminator that a configuration cannot
      express, as text; None if the experiment describes the discriminator too.

    Raises:
      ValueError: No configuration can express this generator.
    """
    try:
        match generator, discriminator:
            case stylegan2.Generator(), stylegan2.Discriminator():
                return _stylegan2(generator, discriminator)
            case stylegan3.Generator(), stylegan2.Discriminator():
                return _stylegan3(generator, discriminator)
            case stylegan1.Generator(), stylegan1.Discriminator():
                return _stylegan1(generator, discriminator), None
    except config.ConfigError as error:
        raise _inexpressible(error) from None
    raise _inexpressible("generator and discriminator are of different families")


def _stylegan1(
    generator: stylegan1.Generator, discriminator: stylegan1.Discriminator
) -> config.Experiment:
    """Return the experiment of these networks, except their order of operations."""
    n = config.Model().low_precision_resolutions  # without effect: all is float32
    generator = generator.clone(
        options=dataclasses.replace(generator.options, plain_resampling=False),
        low_precision_resolutions=n,
    )
    discriminator = discriminator.clone(
        plain_resampling=False, low_precision_resolutions=n
    )
    options = generator.options
    e = _experiment(
        generator,
        {
            "mapping_features": generator.mapping_features,
            "channel_base": int(generator.channels.base),
            "const_input": generator.const_input,
            "mbstd_group_size": discriminator.mbstd_group_size,
            "mbstd_features": discriminator.mbstd_features,
            "styles": options.styles,
            "noise": options.noise,
            "instance_norm": options.instance_norm,
            "pixel_norm": options.pixel_norm,
            "nonlinearity": options.nonlinearity,
            "blur_filter": options.blur_filter,
        },
        {
            "initial_resolution": min(8, generator.resolution),
            "batch_size": _batch_size(discriminator.mbstd_group_size),
        },
    )
    built = models.build(e.model, e.data, generator.label_size)
    differing = {
        field.name: getattr(official, field.name)
        for ours, official in zip(built, (generator, discriminator), strict=True)
        for field in dataclasses.fields(official)
        if getattr(official, field.name) != getattr(ours, field.name)
    }
    if differing:
        raise _inexpressible(_listed(differing))
    return e


def _stylegan2(
    generator: stylegan2.Generator, discriminator: stylegan2.Discriminator
) -> tuple[config.Experiment, str | None]:
    """Return the experiment of the generator, and of the discriminator if it can be."""
    options = generator.options
    of_generator = {
        "family": "stylegan2",
        "mapping_features": generator.mapping_features or generator.w_dim,
        "channel_base": int(2 * generator.channels.base),
        "g_architecture": generator.architecture,
        "resample_filter": options.resample_filter,
        "conv_clamp": options.conv_clamp,
        "low_precision_resolutions": generator.low_precision_resolutions,
        "noise": options.noise,
        "nonlinearity": options.activation,
    }
    return _with_discriminator(generator, of_generator, {}, discriminator, differences)


def _stylegan3(
    generator: stylegan3.Generator, discriminator: stylegan2.Discriminator
) -> tuple[config.Experiment, str | None]:
    """Return the experiment of the generator, and of the discriminator if it can be."""
    of_generator = {
        "family": "stylegan3",
        "mapping_features": generator.mapping_features or generator.w_dim,
        "channel_base": int(2 * generator.channels.base),
        "conv_clamp": generator.conv_clamp,
        "low_precision_resolutions": generator.low_precision_resolutions,
        "output_scale": generator.output_scale,
        **dataclasses.asdict(generator.design),
    }
    of_discriminator = {
        "d_channel_base": int(2 * discriminator.channels.base),
        "d_channel_max": discriminator.channels.maximum,
        "resample_filter": discriminator.options.resample_filter,
    }
    return _with_discriminator(
        generator,
        of_generator,
        of_discriminator,
        discriminator,
        official_stylegan3.differences,
        {"style_mixing_probability": 0.0},
    )


def _with_discriminator(
    generator: stylegan2.Generator | stylegan3.Generator,
    of_generator: dict[str, Any],
    of_discriminator: dict[str, Any],
    discriminator: stylegan2.Discriminator,
    generator_differences: Callable[[Any, Any], dict[str, Any]],
    training: dict[str, Any] | None = None,
) -> tuple[config.Experiment, str | None]:
    """Return the experiment with StyleGAN2's discriminator, if it can be expressed."""
    of_discriminator = of_discriminator | {
        "d_architecture": discriminator.architecture,
        "d_mapping_layers": discriminator.mapping_layers,
        "mbstd_group_size": discriminator.mbstd_group_size,
        "mbstd_features": discriminator.mbstd_features,
        "freeze_layers": discriminator.freeze_layers,
    }
    training = training or {}
    batch_size = {"batch_size": _batch_size(discriminator.mbstd_group_size or 1)}
    try:
        settings = of_generator | of_discriminator
        e = _experiment(generator, settings, training | batch_size)
        _, built = models.build(e.model, e.data, generator.label_size)
        obstacle = _listed(differences(discriminator, built))
    except config.ConfigError as error:
        # If the generator is the cause, the next experiment raises the error again.
        obstacle = str(error)
    if obstacle:
        settings = of_generator | {"d_architecture": "resnet"}
        e = _experiment(generator, settings, training)
    built, _ = models.build(e.model, e.data, generator.label_size)
    differing = generator_differences(generator, built)
    if differing:
        raise _inexpressible(_listed(differing))
    return e, obstacle or None


def _batch_size(group_size: int) -> int:
    """Return the largest batch size up to the default that splits into groups."""
    return group_size * max(config.Training().batch_size // group_size, 1)


def _experiment(
    generator: Any, model: dict[str, Any], training: dict[str, Any]
) -> config.Experiment:
    """Return an experiment with these settings and those that all families share.

    Raises:
      ConfigError: A setting is not allowed.
    """
    base = config.Experiment()
    e = dataclasses.replace(
        base,
        data=dataclasses.replace(
            base.data,
            resolution=generator.resolution,
            channels=generator.image_channels,
            conditional=generator.label_size > 0,
        ),
        model=dataclasses.replace(
            base.model,
            z_dim=generator.z_dim,
            w_dim=generator.w_dim,
            mapping_layers=generator.mapping_layers,
            mapping_lr_multiplier=generator.mapping_lr_multiplier,
            channel_max=generator.channels.maximum,
            **model,
        ),
        training=dataclasses.replace(base.training, **training),
    )
    return config.parse(config.to_dict(e))


def _listed(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in settings.items())


def _inexpressible(obstacle: object) -> ValueError:
    return ValueError(
        "these networks use options that a configuration cannot express:\n  "
        f"{obstacle}\nuse `interop.from_official` from Python"
    )
