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

from stylegan_jax import config, interop, models, workdir
from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.front_door import reporting_errors
from stylegan_jax.interop import network_files
from stylegan_jax.interop.stylegan2_torch import same_network
from stylegan_jax.models import stylegan2

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
    convert(Path(FLAGS.source), Path(FLAGS.out))
    print(
        f"wrote {FLAGS.out}; try: python -m stylegan_jax.generate "
        f"--workdir={FLAGS.out} --out={FLAGS.out}/images"
    )


def convert(source: Path, out: Path) -> None:
    """Writes the networks of an official file as a checkpoint of ours.

    The averaged generator becomes the item "ema"; the trained generator and the
    discriminator are kept as items "generator" and "discriminator", the latter only if
    a configuration can describe it.

    Raises:
      ValueError: the file, or an argument of its networks, is not supported, or the
        directory is taken.
    """
    if (out / "config.json").exists():
        raise ValueError(f"{out} already holds a run; choose another --out")
    networks = network_files.read_networks(source)
    if set(networks) != set(ITEMS):
        raise ValueError(
            f"{source} holds {sorted(networks)}; a StyleGAN file has {sorted(ITEMS)}"
        )
    loaded = {name: _load(name, network) for name, network in networks.items()}
    generator, discriminator = loaded["generator_ema"][0], loaded["discriminator"][0]
    if isinstance(generator, stylegan2.Generator):
        e, keeps_discriminator = _stylegan2_experiment(generator, discriminator)
    else:
        e, keeps_discriminator = _stylegan1_experiment(generator, discriminator), True
    if not keeps_discriminator:
        print(
            "left out the discriminator, for a configuration cannot express its "
            f"options:\n  {discriminator}\nUse `interop.from_official` from Python."
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
    workdir.write(out, e, info)  # last: it marks the directory as complete


def _load(name: str, network: network_files.Network) -> tuple[Any, Any]:
    """The module and its variables."""
    kind = "discriminator" if name == "discriminator" else "generator"
    return interop.from_official(
        network.all_variables(), network.source, kind, **network.kwargs
    )


def _stylegan1_experiment(generator: Any, discriminator: Any) -> config.Experiment:
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
            "channel_base": channels.base,
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
        {"initial_resolution": min(8, generator.resolution)},
    )
    if models.build(e.model, e.data, generator.label_size) != (
        generator,
        discriminator,
    ):
        raise _inexpressible(generator, discriminator)
    return e


def _stylegan2_experiment(
    generator: stylegan2.Generator, discriminator: stylegan2.Discriminator
) -> tuple[config.Experiment, bool]:
    """The experiment whose generator is this one; whether its discriminator is too.

    Raises:
      ValueError: no configuration of ours gives this generator.
    """
    options, group_size = generator.options, discriminator.mbstd_group_size
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
        "mbstd_group_size": group_size,
        "mbstd_features": discriminator.mbstd_features,
        "freeze_layers": discriminator.freeze_layers,
    }
    size = group_size or 1
    training = {"batch_size": size * max(config.Training().batch_size // size, 1)}
    try:
        e = _experiment(generator, model | of_discriminator, training)
        built = models.build(e.model, e.data, generator.label_size)
        if same_network(built[1], discriminator):
            return _checked(e, generator, discriminator), True
    except config.ConfigError:
        pass  # of the generator's options, if they are to blame, we hear again below
    e = _experiment(generator, model | {"d_architecture": "resnet"}, {})
    return _checked(e, generator, discriminator), False


def _checked(
    e: config.Experiment, generator: Any, discriminator: Any
) -> config.Experiment:
    built, _ = models.build(e.model, e.data, generator.label_size)
    if not same_network(built, generator):
        raise _inexpressible(generator, discriminator)
    return e


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


def _inexpressible(generator: Any, discriminator: Any) -> ValueError:
    return ValueError(
        "These networks use options that a configuration cannot express:\n  "
        f"{generator}\n  {discriminator}\nUse `interop.from_official` from Python."
    )


def define_flags() -> None:
    """Declares the command line."""
    flags.DEFINE_string("source", None, "The official network .pkl.")
    flags.DEFINE_string("out", None, "Directory to write; must not hold a run.")
    flags.mark_flags_as_required(["source", "out"])


if __name__ == "__main__":
    define_flags()
    with reporting_errors(ValueError, CheckpointError, OSError):
        app.run(main)
