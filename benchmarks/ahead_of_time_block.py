"""Compile a part of a StyleGAN2 step with its gradients for an absent device.

    make aot  # once: an environment with the compilers, .venv-aot
    .venv-aot/bin/python -m benchmarks.ahead_of_time_block --network=generator \
      --resolution=256 --device=v5e --dtype=bfloat16

A block of the generator includes ToRGB and the upsampling of the lower-resolution
image; a block of the discriminator, at the highest resolution, includes FromRGB.
`augmentation` is that of the discriminator's input images. The program computes the
gradients of a loss with respect to parameters and inputs, or to the images for the
augmentation. The estimates are those of `ahead_of_time`; compiling a part takes a
fraction of the time of a whole phase.
"""

import functools
import json
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from absl import app, flags
from jax.sharding import SingleDeviceSharding

from benchmarks import ahead_of_time
from stylegan_jax.augment import transforms
from stylegan_jax.augment.policies import POLICIES as AUGMENTATIONS
from stylegan_jax.augment.policies import Policy
from stylegan_jax.layers import upfirdn2d
from stylegan_jax.layers.matmul import FLOAT32_PRECISIONS, Arithmetic
from stylegan_jax.layers.remat import POLICIES, remat
from stylegan_jax.models.stylegan2 import (
    DiscriminatorBlock,
    LayerOptions,
    SynthesisBlock,
    ToRGB,
)

W_DIM = 512
NETWORKS = ("generator", "discriminator", "augmentation")
FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Compile a block and print its table."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments {argv[1:]}")
    jax.config.update("jax_platforms", "cpu")  # do not look for a TPU or GPU
    try:
        figures = measure(
            FLAGS.network,
            FLAGS.device,
            FLAGS.resolution,
            FLAGS.batch,
            jnp.dtype(FLAGS.dtype),
            Arithmetic(FLAGS.float32_precision, pixel_blocks=FLAGS.pixel_blocks),
            FLAGS.channel_base,
            FLAGS.from_rgb,
            FLAGS.remat,
            FLAGS.augment,
            FLAGS.hlo,
        )
    except (ValueError, ImportError) as error:
        raise app.UsageError(str(error)) from error
    print(
        f"{FLAGS.network} {FLAGS.resolution}x{FLAGS.resolution}, {FLAGS.dtype}, "
        f"batch {FLAGS.batch}: {1e3 * figures['seconds']:.2f} ms, "
        f"{figures['bytes'] / 1e9:.2f} GB, {figures['memory'] / 2**30:.2f} GiB "
        f"temporary, compiled in {figures['compile_seconds']:.0f} s"
    )
    for kind, sums in figures["kinds"].items():
        print(f"{sums['count']:5d} {1e3 * sums['seconds']:8.3f} ms  {kind}")
    for row in figures["worst"]:
        print(f"{1e3 * row['seconds']:8.3f}  {row['kind']}: {row['result'][:60]}")
    if FLAGS.json:
        Path(FLAGS.json).write_text(json.dumps(figures, indent=2) + "\n")


def measure(
    network: str,
    kind: str,
    resolution: int,
    batch: int,
    dtype: jnp.dtype,
    arithmetic: Arithmetic,
    channel_base: int = 16384,
    from_rgb: bool = True,
    policy: str = "none",
    augment: str = "bgc",
    file: str | None = None,
) -> dict[str, Any]:
    """Compile a block with its gradients, and estimate its cost.

    Args:
      network: one of NETWORKS.
      kind: kind of device, a key of `ahead_of_time.DEVICES`.
      resolution: the higher resolution of the block.
      batch: number of images.
      dtype: data type of the activations.
      arithmetic: arithmetic of the layers.
      channel_base: there are channel_base / R channels at R, at most 512.
      from_rgb: start the discriminator's block with the image.
      policy: rematerialization policy.
      augment: augmentation policy.
      file: file to write the text of the program to; None: nowhere.
    """
    (device,) = ahead_of_time.topology(kind, 1)
    channels = [min(channel_base // r, 512) for r in (resolution, resolution // 2)]
    options = LayerOptions(
        conv_clamp=256.0 if dtype == jnp.bfloat16 else None, arithmetic=arithmetic
    )
    if network == "augmentation":
        loss, arguments = _augmentation(resolution, batch, augment)
    else:
        build = {"generator": _generator, "discriminator": _discriminator}[network]
        loss, arguments = build(
            resolution, batch, dtype, options, channels, from_rgb, policy
        )
    arguments = jax.tree.map(
        lambda s: jax.ShapeDtypeStruct(
            s.shape, s.dtype, sharding=SingleDeviceSharding(device)
        ),
        arguments,
    )
    start = time.monotonic()
    differentiated = 1 if network == "augmentation" else len(arguments)
    gradients = jax.value_and_grad(loss, argnums=tuple(range(differentiated)))
    compiled = jax.jit(gradients).lower(*arguments).compile()
    text = compiled.as_text()
    if file:
        Path(file).write_text(text)
    return {
        "compile_seconds": time.monotonic() - start,
        "memory": compiled.memory_analysis().temp_size_in_bytes,
    } | ahead_of_time.analyze(text, ahead_of_time.DEVICES[kind])


def _generator(resolution, batch, dtype, options, channels, from_rgb, policy):
    block = remat(SynthesisBlock, policy, static_argnums=(3,))(
        channels[0], options, False, None, dtype
    )
    to_rgb, key = ToRGB(3, options), jax.random.key(0)

    def images(apply_block, apply_rgb, x, ws, below):
        x = apply_block(x.astype(dtype), ws[:, :2], "random")
        up = functools.partial(upfirdn2d.upsample2d, arithmetic=options.arithmetic)
        return apply_rgb(x, ws[:, 2]) + up(below, options.taps)

    def create(x, ws, below):
        streams = {"params": key, "noise": key}
        variables = {}

        def initialize(module, name):
            def run(*args):
                y, variables[name] = module.init_with_output(streams, *args)
                return y

            return run

        images(initialize(block, "block"), initialize(to_rgb, "rgb"), x, ws, below)
        return variables

    def loss(variables, x, ws, below, target):
        apply = lambda module, name: functools.partial(  # noqa: E731
            module.apply, variables[name], rngs={"noise": key}
        )
        made = images(apply(block, "block"), apply(to_rgb, "rgb"), x, ws, below)
        return jnp.sum(made * target)

    half = resolution // 2
    x = _activations(batch, half, channels[1], dtype, options)
    ws = jax.ShapeDtypeStruct((batch, 3, W_DIM), jnp.float32)
    below = jax.ShapeDtypeStruct((batch, half, half, 3), jnp.float32)
    target = jax.ShapeDtypeStruct((batch, resolution, resolution, 3), jnp.float32)
    variables = jax.eval_shape(create, x, ws, below)
    return loss, (variables, x, ws, below, target)


def _discriminator(resolution, batch, dtype, options, channels, from_rgb, policy):
    block = remat(DiscriminatorBlock, policy)(
        *channels, options, from_rgb, True, 0, dtype
    )

    def loss(variables, x, image):
        y = block.apply(variables, None if from_rgb else x, image)
        return jnp.sum(jnp.square(jax.tree.leaves(y)[0].astype(jnp.float32)))

    x = _activations(batch, resolution, channels[0], dtype, options)
    image = jax.ShapeDtypeStruct((batch, resolution, resolution, 3), jnp.float32)
    variables = jax.eval_shape(
        lambda x, image: block.init(jax.random.key(0), None if from_rgb else x, image),
        *(x, image),
    )
    return loss, (variables, x, image)


def _augmentation(resolution, batch, name):
    policy = AUGMENTATIONS[name]
    if not isinstance(policy, Policy):
        raise ValueError(f"augment (={name!r}) must be a policy of StyleGAN2-ADA")

    def loss(images, target, key, probability):
        key = jax.random.wrap_key_data(key)
        augmented = transforms.augment(key, images, probability, policy)
        return jnp.sum(augmented * target)

    shape = (batch, resolution, resolution, 3)
    images, probability = (
        jax.ShapeDtypeStruct(shape, jnp.float32) for shape in (shape, ())
    )
    key = jax.eval_shape(lambda: jax.random.key_data(jax.random.key(0)))
    return loss, (images, images, key, probability)


def _activations(batch, resolution, channels, dtype, options):
    """Return the activations between blocks; narrow images are in blocks of pixels."""
    x = jax.ShapeDtypeStruct((batch, resolution, resolution, channels), dtype)
    return jax.eval_shape(lambda x: options.arrange(x, channels), x)


if __name__ == "__main__":
    flags.DEFINE_enum(
        "network", None, NETWORKS, "Network of the block, or the augmentation."
    )
    flags.DEFINE_string(
        "device", None, f"Kind of device: {', '.join(ahead_of_time.DEVICES)}."
    )
    flags.DEFINE_integer("resolution", 256, "Resolution of the block.")
    flags.DEFINE_integer("batch", 8, "Number of images.", lower_bound=1)
    flags.DEFINE_enum("dtype", "bfloat16", ["bfloat16", "float32"], "Of activations.")
    flags.DEFINE_enum(
        "float32_precision",
        "highest",
        [*FLOAT32_PRECISIONS],
        "Precision of float32 products.",
    )
    flags.DEFINE_bool("pixel_blocks", True, "Use the forms for TPUs.")
    flags.DEFINE_integer("channel_base", 16384, "channel_base / R channels at R.")
    flags.DEFINE_bool("from_rgb", True, "Start with the image; discriminator only.")
    flags.DEFINE_enum("remat", "none", POLICIES, "Rematerialization.")
    flags.DEFINE_string("augment", "bgc", "Policy of the augmentation.")
    flags.DEFINE_string("hlo", None, "File to write the program to, as text.")
    flags.DEFINE_string("json", None, "File to write the figures to.")
    flags.mark_flags_as_required(["network", "device"])
    app.run(main)
