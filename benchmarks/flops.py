"""Useful floating-point operations of the networks, counted by layer.

Each multiply-add of a convolution or dense layer counts as two operations, in the form
that needs the fewest: a StyleGAN2 convolution that changes the resolution has 9 taps
per pixel of the lower resolution, and one of StyleGAN (box filter and 3x3 kernel
combined) 16. Activations, noise, filters and statistics do not count, so only the
convolutions of StyleGAN3's layers do; `filters_per_image` counts their filters.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylegan_jax.config import Experiment
from stylegan_jax.layers import linear
from stylegan_jax.layers.matmul import PLAIN_FORMS
from stylegan_jax.models import (
    Discriminator,
    Generator,
    LevelOfDetail,
    stylegan1,
    stylegan2,
    stylegan3,
)
from stylegan_jax.training import losses
from stylegan_jax.training.schedule import Stage


def _multiply_adds(module: nn.Module, x: jax.Array, y: jax.Array) -> int:
    """Count the multiply-adds of one layer without its submodules."""
    pixels = min(math.prod(x.shape[:-1]), math.prod(y.shape[:-1]))
    products = pixels * x.shape[-1] * y.shape[-1]
    match module:
        case linear.Dense():
            return products
        case linear.Conv() | stylegan2.ConvLayer():
            return products * module.kernel_size**2
        case stylegan2.SynthesisLayer():
            return products * 9
        case stylegan2.ToRGB():
            return products
        case stylegan1.SynthesisLayer():
            return products * {"input": 0, "conv": 9, "up": 16}[module.kind]
        case stylegan1.DiscriminatorBlock():  # its first convolution is a separate Conv
            return products * 16
        case stylegan3.FourierInput():
            return math.prod(y.shape) * y.shape[-1]
        case stylegan3.SynthesisLayer():  # every pixel meets every tap once
            return math.prod(x.shape) * y.shape[-1] * module.geometry.kernel**2
        case stylegan1.DenseInput():
            return math.prod(x.shape) * math.prod(y.shape[1:])
    return 0


def count(module: nn.Module, variables: Any, *args: Any, **kwargs: Any) -> int:
    """Count the operations of `module.apply(variables, *args, **kwargs)`."""
    total = 0

    def listen(call, args, kwargs, context):
        nonlocal total
        result = call(*args, **kwargs)
        if context.method_name == "__call__" and isinstance(result, jax.Array):
            arrays = [a for a in args if isinstance(a, jax.Array)]
            if arrays:
                total += 2 * _multiply_adds(context.module, arrays[0], result)
        return result

    def forward(variables, *args):
        with nn.intercept_methods(listen):
            return module.apply(variables, *args, **kwargs)

    jax.eval_shape(forward, variables, *args)
    return total


def filters_per_image(generator: stylegan3.Generator) -> int:
    """Count the operations of the filters of all layers for one image.

    Each filter runs along one axis after the other, unless it is radial; no product
    with an inserted zero counts.
    """
    total = 0
    for layer in generator.table.layers:
        coarse, after = layer.before.size + layer.kernel - 1, layer.after.size
        fine = (after - 1) * layer.down + layer.down_taps
        products = 0
        if layer.up_taps > 1:
            products += layer.up_taps // layer.up * fine * (coarse + fine)
        if layer.radial:
            products += layer.down_taps**2 * after**2
        elif layer.down_taps > 1:
            products += layer.down_taps * after * (fine + after)
        total += products * layer.after.channels
    return 2 * total


def per_image(
    generator: Generator, discriminator: Discriminator, resolution: int
) -> tuple[float, float]:
    """Count the operations of one forward pass of G and of D for one image.

    They are those of the plain forms, whichever forms the networks use.
    """
    generator, discriminator = (
        network.clone(**PLAIN_FORMS) for network in (generator, discriminator)
    )
    z = jnp.zeros((1, generator.z_dim))
    labels = jnp.zeros((1, generator.label_size)) if generator.label_size else None
    key = jax.random.key(0)
    full = [n * generator.resolution // 4 for n in generator.base_size]
    images = jnp.zeros((1, *full, generator.image_channels))
    g = jax.eval_shape(generator.init, key, z, labels)
    d = jax.eval_shape(discriminator.init, key, images, labels)
    size = [n * resolution // 4 for n in generator.base_size]
    images = jax.ShapeDtypeStruct((1, *size, generator.image_channels), jnp.float32)
    return (
        count(generator, g, z, labels, LevelOfDetail(resolution), noise="none"),
        count(discriminator, d, images, labels),
    )


def per_phase(e: Experiment, stage: Stage, g: float, d: float) -> dict[str, float]:
    """Count the useful operations of one execution of each phase.

    A gradient with respect to parameters and input costs two forward passes, and one
    with respect to the input only (frozen discriminator) one; a second-order gradient
    costs twice as much.

    Args:
      e: the experiment.
      stage: a stage of its schedule.
      g: operations of one forward pass of the generator; see `per_image`.
      d: operations of one forward pass of the discriminator.
    """
    t, batch = e.training, stage.batch_size
    if losses.adversarial_loss(t.loss).penalizes_interpolates:
        penalty_cost = 6 * (t.gp_weight > 0)
    elif t.d_reg_interval:
        penalty_cost = 0
    else:  # they share the forward passes of the scores
        penalty_cost = 3 * ((t.r1_gamma > 0) + (t.r2_gamma > 0))
    return {
        "g_main": batch * (3 * g + 2 * d),
        "g_path": batch / t.path_length_batch_shrink * 6 * g,
        "d_main": batch * (g + (6 + penalty_cost) * d),
        "d_r1": batch * 6 * d,
    }
