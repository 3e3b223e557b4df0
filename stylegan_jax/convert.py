"""Turns an official StyleGAN network file into a directory that `generate` reads.

    python -m stylegan_jax.convert --source=karras2019stylegan-ffhq-1024x1024.pkl \
        --out=runs/ffhq-official

Nothing in the file is executed: see `interop.pickles`.
"""

import dataclasses
from pathlib import Path
from typing import Any

from absl import app, flags

from stylegan_jax import config, interop, models, workdir
from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.front_door import reporting_errors
from stylegan_jax.interop import pickles

FLAGS = flags.FLAGS


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
    discriminator are kept as items "generator" and "discriminator".

    Raises:
      ValueError: the file, or an argument of its networks, is not supported, or the
        directory is taken.
    """
    if (out / "config.json").exists():
        raise ValueError(f"{out} already holds a run; choose another --out")
    networks = pickles.read_networks(source)
    needed = {"generator", "discriminator", "generator_ema"}
    if set(networks) != needed:
        raise ValueError(
            f"{source} holds {sorted(networks)}; a StyleGAN file has {sorted(needed)}"
        )

    def load(name: str) -> tuple[Any, Any]:
        network = networks[name]
        kind = "discriminator" if name == "discriminator" else "generator"
        return interop.from_official(
            network.all_variables(),
            source="stylegan1",
            network=kind,
            **network.static_kwargs,
        )

    loaded = {name: load(name) for name in sorted(needed)}
    generator, discriminator = loaded["generator_ema"][0], loaded["discriminator"][0]
    generator = generator.clone(
        options=dataclasses.replace(generator.options, plain_resampling=False)
    )
    discriminator = discriminator.clone(plain_resampling=False)
    e = experiment_of(generator, discriminator)
    classes = tuple(str(i) for i in range(generator.label_size))
    info = workdir.DataInfo(source.name, 0, classes, "")
    names = {"ema": "generator_ema"} | {n: n for n in ("generator", "discriminator")}
    items = {
        item: {k: v for k, v in loaded[name][1].items() if k != "official"}
        for item, name in names.items()
    }
    checkpoints = workdir.open_checkpoints(out, 1, print)
    meta = {"source": source.name, "resolution": generator.resolution, "fade": 1.0}
    checkpoints.save(0, items, meta)
    checkpoints.close()
    workdir.write(out, e, info)  # last: it marks the directory as complete


def experiment_of(generator: Any, discriminator: Any) -> config.Experiment:
    """The experiment whose networks are these.

    Raises:
      ValueError: no configuration of ours gives these networks.
    """
    base = config.Experiment()
    options, channels = generator.options, generator.channels
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
            mapping_features=generator.mapping_features,
            mapping_lr_multiplier=generator.mapping_lr_multiplier,
            channel_base=channels.base,
            channel_max=channels.maximum,
            const_input=generator.const_input,
            mbstd_group_size=discriminator.mbstd_group_size,
            mbstd_features=discriminator.mbstd_features,
            styles=options.styles,
            noise=options.noise,
            instance_norm=options.instance_norm,
            pixel_norm=options.pixel_norm,
            nonlinearity=options.nonlinearity,
            blur_filter=options.blur_filter,
        ),
        training=dataclasses.replace(
            base.training, initial_resolution=min(8, generator.resolution)
        ),
    )
    e = config.parse(config.to_dict(e))
    built = models.build(e.model, e.data, generator.label_size)
    if built != (generator, discriminator):
        raise ValueError(
            "These networks use options that a configuration cannot express:\n  "
            f"{generator}\n  {discriminator}\nUse `interop.from_official` from Python."
        )
    return e


def define_flags() -> None:
    """Declares the command line."""
    flags.DEFINE_string("source", None, "The official network .pkl.")
    flags.DEFINE_string("out", None, "Directory to write; must not hold a run.")
    flags.mark_flags_as_required(["source", "out"])


if __name__ == "__main__":
    define_flags()
    with reporting_errors(ValueError, CheckpointError, OSError):
        app.run(main)
