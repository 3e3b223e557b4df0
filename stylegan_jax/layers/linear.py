"""Dense and convolution layers with an equalized learning rate.

    y = x * (w * gain / sqrt(fan_in) * lr_multiplier) + b * lr_multiplier

Weights are stored as N(0, 1) / lr_multiplier and scaled by He's constant at run
time, so that Adam moves every layer at the same relative speed.

Reference: Karras et al. 2018, "Progressive Growing of GANs", section 4.1.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylegan_jax.layers.blocks import Blocks
from stylegan_jax.layers.conv2d import conv2d
from stylegan_jax.layers.matmul import EXACT, Arithmetic, matmul

Image = jax.Array | Blocks
GAIN_LRELU = math.sqrt(2.0)  # gain of a layer that is followed by a (leaky) ReLU


def spread(values: jax.Array, x: Image) -> Image:
    """Broadcast float32 values to the shape and dtype of x.

    The cast comes last, so that the gradient of the values, a sum over pixels and
    images, is accumulated in float32: in bfloat16, 256 + 1 is 256.
    """
    if isinstance(x, Blocks):
        return x.spread(values)
    return jnp.broadcast_to(values, x.shape).astype(x.dtype)


class EqualizedKernel(nn.Module):
    """A weight that is stored at unit variance and scaled when it is used.

    Attributes:
      shape: shape of the weight; the last axis is that of the outputs.
      gain: ratio of the standard deviations of the layer's output and input.
      lr_multiplier: scales the learning rate of the weight.
      frozen: stop the gradient of the weight.
      initial: standard deviation at initialization, for a multiplier of 1.
    """

    shape: tuple[int, ...]
    gain: float = GAIN_LRELU
    lr_multiplier: float = 1.0
    frozen: bool = False
    initial: float = 1.0

    @nn.compact
    def __call__(self) -> jax.Array:
        """Return the scaled weight in float32."""
        stored = self.param(
            "weight",
            nn.initializers.normal(self.initial / self.lr_multiplier),
            self.shape,
        )
        if self.frozen:
            stored = jax.lax.stop_gradient(stored)
        scale = self.gain / math.sqrt(math.prod(self.shape[:-1])) * self.lr_multiplier
        return stored * scale


class Bias(nn.Module):
    """A learned value that is added to each channel (the last axis).

    Attributes:
      lr_multiplier: scales the learning rate.
      initial: stored value at initialization, or one for each channel.
      frozen: stop the gradient of the bias.
    """

    lr_multiplier: float = 1.0
    initial: float | tuple[float, ...] = 0.0
    frozen: bool = False

    @nn.compact
    def __call__(self, x: Image) -> Image:
        """Add the bias to x [..., C]."""
        initial = nn.initializers.constant(jnp.asarray(self.initial))
        bias = self.param("bias", initial, x.shape[-1:])
        if self.frozen:
            bias = jax.lax.stop_gradient(bias)
        return x + spread(bias * self.lr_multiplier, x)


class Dense(nn.Module):
    """Fully connected layer with bias.

    Attributes:
      features: O, the number of outputs.
      gain: see EqualizedKernel.
      lr_multiplier: scales the learning rate of weight and bias.
      bias_init: stored value of the bias at initialization, or one for each output.
      kernel_init: see `initial` of EqualizedKernel.
      arithmetic: precision of the product.
    """

    features: int
    gain: float = GAIN_LRELU
    lr_multiplier: float = 1.0
    bias_init: float | tuple[float, ...] = 0.0
    arithmetic: Arithmetic = EXACT
    kernel_init: float = 1.0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map x [..., I] to [..., O]."""
        shape = (x.shape[-1], self.features)
        kernel = EqualizedKernel(
            shape,
            self.gain,
            self.lr_multiplier,
            initial=self.kernel_init,
            name="kernel",
        )
        bias = Bias(self.lr_multiplier, self.bias_init, name="bias")
        return bias(matmul(x, kernel(), self.arithmetic))


class Conv(nn.Module):
    """Convolution of stride one with zero padding and bias.

    Attributes:
      features: O, the number of output channels.
      kernel_size: k, odd.
      gain: see EqualizedKernel.
      arithmetic: precision and forms of the products.
    """

    features: int
    kernel_size: int
    gain: float = GAIN_LRELU
    arithmetic: Arithmetic = EXACT

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map x [B,H,W,I] to [B,H,W,O]."""
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        kernel = EqualizedKernel(shape, self.gain, name="kernel")
        return Bias(name="bias")(conv2d(x, kernel(), self.arithmetic))
