"""The layers of StyleGAN2's blocks.

Reference: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN",
sections 2 and 4, figure 2.
"""

import dataclasses
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.layers import blocks, conv2d_resample, upfirdn2d
from stylegan_jax.layers.activations import activate
from stylegan_jax.layers.blocks import Blocks
from stylegan_jax.layers.conv2d import conv2d
from stylegan_jax.layers.linear import Bias, Dense, EqualizedKernel, Image
from stylegan_jax.layers.matmul import EXACT, Arithmetic
from stylegan_jax.layers.modulation import modulated_conv2d
from stylegan_jax.layers.noise import NoiseInjection
from stylegan_jax.layers.remat import convolved

HALF_POWER = math.sqrt(0.5)  # gain of each branch of a residual block


@dataclasses.dataclass(frozen=True)
class LayerOptions:
    """Options that all layers of a network share.

    Attributes:
      activation: activation of all convolutions but ToRGB, see `layers.activations`.
      resample_filter: taps along one axis, or [h][w].
      conv_clamp: bound of every convolution's output; None for none.
      noise: inject noise; generator only.
      arithmetic: precision and forms of the products, set by the network.
    """

    activation: str = "lrelu"
    resample_filter: tuple = (1, 3, 3, 1)
    conv_clamp: float | None = None
    noise: bool = True
    arithmetic: Arithmetic = EXACT

    @property
    def taps(self) -> np.ndarray:
        """The normalized filter."""
        return upfirdn2d.setup_filter(self.resample_filter)

    def arrange(self, x: Image, channels: int) -> Image:
        """Split x into shifted blocks if images with `channels` are kept in blocks."""
        if isinstance(x, Blocks) or not self._narrow(channels):
            return x
        return blocks.split(x, shifted=True)

    def _narrow(self, channels: int) -> bool:
        """Return True if images with this number of channels are kept in blocks."""
        return self._fused and channels < blocks.WIDE

    @property
    def _fused(self) -> bool:
        """True if convolutions are fused with their filter."""
        return self.arithmetic.pixel_blocks and blocks.suits(self.taps)

    def convolve(self, x: Image, kernel: jax.Array, direction: str) -> Image:
        """Convolve; "up" doubles the size, "down" halves it, "same" keeps it."""
        size, _, _, outputs = kernel.shape
        match direction:
            case "same" if isinstance(x, Blocks):
                y = blocks.conv2d(x, kernel, self.arithmetic)
            case "same":
                y = conv2d(x, kernel, self.arithmetic)
            case "up" if self._fused and size > 1:
                y = blocks.up_conv2d(x, kernel, self.taps, self.arithmetic)
                y = y if self._narrow(outputs) else blocks.join(y)
            case "up":
                y = conv2d_resample.up_conv2d(x, kernel, self.taps, self.arithmetic)
            case "down" if self._fused and (size > 1 or isinstance(x, Blocks)):
                x = x if isinstance(x, Blocks) else blocks.split(x)
                in_blocks = self._narrow(outputs) and blocks.halves_divide(x)
                y = blocks.down_conv2d(x, kernel, self.taps, self.arithmetic, in_blocks)
            case "down":
                y = conv2d_resample.down_conv2d(x, kernel, self.taps, self.arithmetic)
        return convolved(y)

    def affine(self, features: int) -> Dense:
        """Return the layer that maps w to the style of `features` channels."""
        return Dense(
            features,
            gain=1.0,
            bias_init=1.0,
            arithmetic=self.arithmetic,
            name="affine",
        )


class SynthesisLayer(nn.Module):
    """Modulated convolution -> noise -> bias -> activation.

    Attributes:
      features: output channels.
      direction: "same", or "up", which doubles the size.
      options: shared by all layers.
      gain: gain of the output, for residual blocks.
    """

    features: int
    direction: str
    options: LayerOptions
    gain: float = 1.0

    @nn.compact
    def __call__(self, x: Image, w: jax.Array, noise: str) -> Image:
        """Map x [B,H,W,I] and w [B,W] to [B,H,W,features] ("up": twice H and W)."""
        o = self.options
        style = o.affine(x.shape[-1])(w)
        shape = (3, 3, x.shape[-1], self.features)
        # No scale at run time: demodulation would cancel it.
        kernel = self.param("weight", nn.initializers.normal(1.0), shape)
        x = modulated_conv2d(
            x,
            kernel,
            style,
            lambda x, k: o.convolve(x, k, self.direction),
            arithmetic=o.arithmetic,
        )
        if o.noise:
            x = NoiseInjection(per_channel=False, name="noise")(x, noise)
        x = Bias(name="bias")(x)
        return activate(x, o.activation, self.gain, o.conv_clamp)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution without demodulation; its result is float32."""

    image_channels: int
    options: LayerOptions

    @nn.compact
    def __call__(self, x: Image, w: jax.Array) -> jax.Array:
        """Map x [B,H,W,I] and w [B,W] to [B,H,W,image_channels] float32."""
        o, inputs = self.options, x.shape[-1]
        style = o.affine(inputs)(w)
        shape = (1, 1, inputs, self.image_channels)
        kernel = self.param("weight", nn.initializers.normal(1.0), shape)
        x = modulated_conv2d(
            x,
            kernel,
            style / math.sqrt(inputs),
            lambda x, k: o.convolve(x, k, "same"),
            demodulate=False,
        )
        x = Bias(name="bias")(blocks.join(x))
        return activate(x, "linear", 1.0, o.conv_clamp).astype(jnp.float32)


class ConvLayer(nn.Module):
    """Convolution with an equalized learning rate -> bias -> activation.

    Attributes:
      features: output channels.
      kernel_size: 1 or 3.
      options: options of the network.
      direction: "same", "up" or "down".
      activation: name of the activation; None for that of the options.
      bias: add a bias.
      clamp: bound the output by the options' `conv_clamp`.
      gain: gain of the output.
      frozen: stop the gradients of the parameters (FreezeD).
    """

    features: int
    kernel_size: int
    options: LayerOptions
    direction: str = "same"
    activation: str | None = None
    bias: bool = True
    clamp: bool = True
    gain: float = 1.0
    frozen: bool = False

    @nn.compact
    def __call__(self, x: Image) -> Image:
        """Map x [B,H,W,I] to [B,H,W,features] ("up", "down": twice or half H and W)."""
        o = self.options
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        kernel = EqualizedKernel(shape, gain=1.0, frozen=self.frozen, name="kernel")()
        x = o.convolve(x, kernel, self.direction)
        if self.bias:
            x = Bias(frozen=self.frozen, name="bias")(x)
        clamp = o.conv_clamp if self.clamp else None
        return activate(x, self.activation or o.activation, self.gain, clamp)


def branch(features: int, options: LayerOptions, direction: str, **kwargs) -> ConvLayer:
    """Return the linear branch of a residual block."""
    return ConvLayer(
        features,
        1,
        options,
        direction,
        activation="linear",
        bias=False,
        clamp=False,
        gain=HALF_POWER,
        **kwargs,
    )
