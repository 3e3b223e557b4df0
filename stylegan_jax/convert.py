"""Turns an official StyleGAN network file into a directory that `generate` reads.

    python -m stylegan_jax.convert --source=karras2019stylegan-ffhq-1024x1024.pkl \
        --out=runs/ffhq-official

Reads StyleGAN, StyleGAN2 and StyleGAN2-ADA, of TensorFlow or PyTorch. Nothing in the
file is executed: see `interop.pickles`.
"""

import dataclasses
from pathlib import Path
from typing import Any

from absl import app, flags
from etils import epath

from stylegan_jax import config, interop, models, workdir
from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.interop import network_files
from stylegan_jax.interop.stylegan2_torch import differences
from stylegan_jax.models import stylegan1, stylegan2
from stylegan_jax.runtime import storage
from stylegan_jax.runtime.cli import reporting_errors

FLAGS = flags.FLAGS
# Networks of a file -> items of a checkpoint.
ITEMS = {
    "generator": "generator",
    "discriminator": "discriminator",
    "generator_ema": "ema",
}


def main(argv: list[str]) -> None:
    """Converts `--source` into `--out`."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments {argv[1:]}")
    out = storage.open_path(FLAGS.out)
    convert(storage.local_path(FLAGS.source, "--source"), out)
    print(
        f"wrote {out}; try: python -m stylegan_jax.generate "
        f"--workdir={out} --out={out / 'images'}"
    )


def convert(source: Path, out: epath.PathLike) -> None:
    """Writes the networks of an official file as a checkpoint of ours.

    The averaged generator becomes the item "ema"; the trained generator and the
    discriminator are kept as items "generator" and "discriminator", the latter only if
    a configuration can describe it.

    Raises:
      ValueError: the file, or an argument of its networks, is not supported, or the
        directory is taken.
    """
    out = epath.Path(out)
    for name in ("config.json", "checkpoints"):
        if (out / name).exists():
            raise ValueError(
                f"{out} already holds a run, for there is {name}; choose another --out"
            )
    networks = network_files.read_networks(source)
    if set(networks) != set(ITEMS):
        raise ValueError(
            f"{source} holds {sorted(networks)}; a StyleGAN file has {sorted(ITEMS)}"
        )
    loaded = {name: _load(name, network) for name, network in networks.items()}
    generator, discriminator = loaded["generator_ema"][0], loaded["discriminator"][0]
    try:
        e, obstacle = _experiment_of(generator, discriminator)
    except config.ConfigError as error:
        raise _inexpressible(error) from None
    if obstacle:
        print(
            "left out the discriminator, for a configuration cannot express its "
            f"options:\n  {obstacle}\nUse `interop.from_official` from Python."
        )
        del loaded["discriminator"]
    classes = tuple(str(i) for i in range(generator.label_size))
    info = workdir.DataInfo(source.name, 0, classes, "")
    items = {
        ITEMS[name]: {k: v for k, v in variables.items() if k != "official"}
        for name, (_, variables) in loaded.items()
    }
    checkpoints = workdir.open_checkpoints(out, 1, print)
    meta = {"source": source.name, "resolution": generator.resolution, "fade": 1.0}
    checkpoints.save(0, items, meta)
    checkpoints.close()
    workdir.write_description(out, e, info)  # last: it marks the directory as complete


def _load(name: str, network: network_files.Network) -> tuple[Any, Any]:
    """The module and its variables."""
    kind = "discriminator" if name == "discriminator" else "generator"
    return interop.from_official(
        network.all_variables(), network.source, kind, **network.kwargs
    )


def _experiment_of(
    generator: Any, discriminator: Any
) -> tuple[config.Experiment, str | None]:
    """The experiment of these networks; what keeps it from the discriminator."""
    match generator, discriminator:
        case stylegan2.Generator(), stylegan2.Discriminator():
            return _stylegan2_experiment(generator, discriminator)
        case stylegan1.Generator(), stylegan1.Discriminator():
            return _stylegan1_experiment(generator, discriminator), None
    raise _inexpressible("generator and discriminator are of different families")


def _stylegan1_experiment(
    generator: stylegan1.Generator, discriminator: stylegan1.Discriminator
) -> config.Experiment:
    """The experiment whose networks are these, but for their order of operations.

    Raises:
      ValueError: no configuration of ours gives these networks.
    """
    generator = generator.clone(
        options=dataclasses.replace(generator.options, plain_resampling=False)
    )
    discriminator = discriminator.clone(plain_resampling=False)
    options, channels = generator.options, generator.channels
    e = _experiment(
        generator,
        {
            "mapping_features": generator.mapping_features,
            "channel_base": int(channels.base),
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


def _stylegan2_experiment(
    generator: stylegan2.Generator, discriminator: stylegan2.Discriminator
) -> tuple[config.Experiment, str | None]:
    """The experiment whose generator is this one; what keeps it from the discriminator.

    Raises:
      ValueError: no configuration of ours gives this generator.
    """
    options = generator.options
    model = {
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
    of_discriminator = {
        "d_architecture": discriminator.architecture,
        "d_mapping_layers": discriminator.mapping_layers,
        "mbstd_group_size": discriminator.mbstd_group_size,
        "mbstd_features": discriminator.mbstd_features,
        "freeze_layers": discriminator.freeze_layers,
    }
    training = {"batch_size": _batch_size(discriminator.mbstd_group_size or 1)}
    try:
        e = _experiment(generator, model | of_discriminator, training)
        _, built = models.build(e.model, e.data, generator.label_size)
        obstacle = _listed(differences(discriminator, built))
    except config.ConfigError as error:
        obstacle = str(error)  # of the generator's, if they are to blame, see below
    if obstacle:
        e = _experiment(generator, model | {"d_architecture": "resnet"}, {})
    built, _ = models.build(e.model, e.data, generator.label_size)
    differing = differences(generator, built)
    if differing:
        raise _inexpressible(_listed(differing))
    return e, obstacle or None


def _batch_size(group_size: int) -> int:
    """The default, or what is next to it and splits into groups."""
    return group_size * max(config.Training().batch_size // group_size, 1)


def _listed(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in settings.items())


def _experiment(
    generator: Any, model: dict[str, Any], training: dict[str, Any]
) -> config.Experiment:
    """An experiment with these settings and those that all families share."""
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


def _inexpressible(obstacle: object) -> ValueError:
    return ValueError(
        "These networks use options that a configuration cannot express:\n  "
        f"{obstacle}\nUse `interop.from_official` from Python."
    )


def define_flags() -> None:
    """Declares the command line."""
    flags.DEFINE_string("source", None, "The official network .pkl.")
    flags.DEFINE_string(
        "out", None, "Directory to write, or gs://...; must not hold a run."
    )
    flags.mark_flags_as_required(["source", "out"])


if __name__ == "__main__":
    define_flags()
    with reporting_errors(ValueError, CheckpointError, OSError):
        app.run(main)
