"""Inception-v3 of FID: the network in TensorFlow's file of 2015-12-05.

It differs in details from the paper's network and from torchvision's: the last block
uses max pooling, the average pooling of the others ignores the padding, and there are
1,008 classes. Units are named as in the .pth files; see `inception_weights`.

Reference: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision"
    (2015); Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a
    Local Nash Equilibrium" (2017), which introduced FID.
"""

from typing import NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

SIZE = 299  # height and width of images in pixels
CLASSES = 1008
EPSILON = 1e-3  # epsilon of batch normalization


class Outputs(NamedTuple):
    """Outputs of the network, all float32.

    Attributes:
      pool_64: [B,64] mean over the map after the first max pooling.
      pool_192: [B,192] mean over the map after the second max pooling.
      pool_768: [B,768] mean over the last map of 17x17.
      pool: [B,2048] mean over the last map of 8x8; the features of FID.
      logits_unbiased: [B,1008] without the last layer's bias, for the Inception Score.
      logits: [B,1008].
    """

    pool_64: jax.Array
    pool_192: jax.Array
    pool_768: jax.Array
    pool: jax.Array
    logits_unbiased: jax.Array
    logits: jax.Array


class ConvUnit(nn.Module):
    """Convolution without bias, normalization by stored statistics, ReLU."""

    channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: str = "SAME"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return [B,H',W',channels] float32 for x [B,H,W,C]."""
        c = self.channels
        shape = (*self.kernel, x.shape[-1], c)
        kernel = self.param("kernel", nn.initializers.he_normal(), shape)
        gamma = self.param("gamma", nn.initializers.ones, (c,))
        beta = self.param("beta", nn.initializers.zeros, (c,))
        mean = self.param("mean", nn.initializers.zeros, (c,))
        variance = self.param("variance", nn.initializers.ones, (c,))
        # On CPUs, XLA runs unpadded convolutions of stride 1 several times slower, and
        # the network would take twice as long. So pad, and crop the border afterwards.
        cut = self.padding == "VALID" and self.stride == 1
        x = jax.lax.conv_general_dilated(
            x,
            kernel,
            (self.stride, self.stride),
            "SAME" if cut else self.padding,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            precision=jax.lax.Precision.HIGHEST,
        )
        if cut:
            top, left = (size // 2 for size in self.kernel)
            x = x[:, top : x.shape[1] - top, left : x.shape[2] - left]
        x = (x - mean) * (gamma / jnp.sqrt(variance + EPSILON)) + beta
        return nn.relu(x)


def _max_pool(x: jax.Array, stride: int, padding: str) -> jax.Array:
    return nn.max_pool(x, (3, 3), (stride, stride), padding)


def _mean_pool(x: jax.Array) -> jax.Array:
    """Return the mean of 3x3 pixels, counting only those inside the image."""
    return nn.avg_pool(x, (3, 3), (1, 1), "SAME", count_include_pad=False)


class BlockA(nn.Module):
    """Blocks Mixed_5b to 5d, 35x35."""

    pool_channels: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return [B,35,35,224 + pool_channels] for x [B,35,35,C]."""
        one = ConvUnit(64, name="branch1x1")(x)
        five = ConvUnit(48, name="branch5x5_1")(x)
        five = ConvUnit(64, (5, 5), name="branch5x5_2")(five)
        double = ConvUnit(64, name="branch3x3dbl_1")(x)
        double = ConvUnit(96, (3, 3), name="branch3x3dbl_2")(double)
        double = ConvUnit(96, (3, 3), name="branch3x3dbl_3")(double)
        pool = ConvUnit(self.pool_channels, name="branch_pool")(_mean_pool(x))
        return jnp.concatenate([one, five, double, pool], -1)


class BlockB(nn.Module):
    """Block Mixed_6a, 35x35 to 17x17."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return [B,17,17,768] for x [B,35,35,288]."""
        three = ConvUnit(384, (3, 3), 2, "VALID", name="branch3x3")(x)
        double = ConvUnit(64, name="branch3x3dbl_1")(x)
        double = ConvUnit(96, (3, 3), name="branch3x3dbl_2")(double)
        double = ConvUnit(96, (3, 3), 2, "VALID", name="branch3x3dbl_3")(double)
        return jnp.concatenate([three, double, _max_pool(x, 2, "VALID")], -1)


class BlockC(nn.Module):
    """Blocks Mixed_6b to 6e, 17x17; factorizes 7x7 convolutions into 1x7 and 7x1."""

    channels: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return [B,17,17,768] for x [B,17,17,768]."""
        c = self.channels
        one = ConvUnit(192, name="branch1x1")(x)
        seven = ConvUnit(c, name="branch7x7_1")(x)
        seven = ConvUnit(c, (1, 7), name="branch7x7_2")(seven)
        seven = ConvUnit(192, (7, 1), name="branch7x7_3")(seven)
        double = ConvUnit(c, name="branch7x7dbl_1")(x)
        double = ConvUnit(c, (7, 1), name="branch7x7dbl_2")(double)
        double = ConvUnit(c, (1, 7), name="branch7x7dbl_3")(double)
        double = ConvUnit(c, (7, 1), name="branch7x7dbl_4")(double)
        double = ConvUnit(192, (1, 7), name="branch7x7dbl_5")(double)
        pool = ConvUnit(192, name="branch_pool")(_mean_pool(x))
        return jnp.concatenate([one, seven, double, pool], -1)


class BlockD(nn.Module):
    """Block Mixed_7a, 17x17 to 8x8."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return [B,8,8,1280] for x [B,17,17,768]."""
        three = ConvUnit(192, name="branch3x3_1")(x)
        three = ConvUnit(320, (3, 3), 2, "VALID", name="branch3x3_2")(three)
        seven = ConvUnit(192, name="branch7x7x3_1")(x)
        seven = ConvUnit(192, (1, 7), name="branch7x7x3_2")(seven)
        seven = ConvUnit(192, (7, 1), name="branch7x7x3_3")(seven)
        seven = ConvUnit(192, (3, 3), 2, "VALID", name="branch7x7x3_4")(seven)
        return jnp.concatenate([three, seven, _max_pool(x, 2, "VALID")], -1)


class BlockE(nn.Module):
    """Blocks Mixed_7b and 7c, 8x8."""

    max_pool: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return [B,8,8,2048] for x [B,8,8,C]."""
        one = ConvUnit(320, name="branch1x1")(x)
        three = ConvUnit(384, name="branch3x3_1")(x)
        three_a = ConvUnit(384, (1, 3), name="branch3x3_2a")(three)
        three_b = ConvUnit(384, (3, 1), name="branch3x3_2b")(three)
        double = ConvUnit(448, name="branch3x3dbl_1")(x)
        double = ConvUnit(384, (3, 3), name="branch3x3dbl_2")(double)
        double_a = ConvUnit(384, (1, 3), name="branch3x3dbl_3a")(double)
        double_b = ConvUnit(384, (3, 1), name="branch3x3dbl_3b")(double)
        pooled = _max_pool(x, 1, "SAME") if self.max_pool else _mean_pool(x)
        pool = ConvUnit(192, name="branch_pool")(pooled)
        return jnp.concatenate([one, three_a, three_b, double_a, double_b, pool], -1)


class InceptionV3(nn.Module):
    """The complete network."""

    @nn.compact
    def __call__(self, images: jax.Array) -> Outputs:
        """Return the features and logits of images.

        Args:
          images: [B,299,299,3] float32, (resized 0..255 - 128) / 128.
        """
        chex.assert_shape(images, (None, SIZE, SIZE, 3))
        chex.assert_type(images, jnp.float32)
        x = ConvUnit(32, (3, 3), 2, "VALID", name="Conv2d_1a_3x3")(images)
        x = ConvUnit(32, (3, 3), padding="VALID", name="Conv2d_2a_3x3")(x)
        x = ConvUnit(64, (3, 3), name="Conv2d_2b_3x3")(x)
        x = _max_pool(x, 2, "VALID")
        pool_64 = jnp.mean(x, (1, 2))
        x = ConvUnit(80, name="Conv2d_3b_1x1")(x)
        x = ConvUnit(192, (3, 3), padding="VALID", name="Conv2d_4a_3x3")(x)
        x = _max_pool(x, 2, "VALID")
        pool_192 = jnp.mean(x, (1, 2))
        x = BlockA(32, name="Mixed_5b")(x)
        x = BlockA(64, name="Mixed_5c")(x)
        x = BlockA(64, name="Mixed_5d")(x)
        x = BlockB(name="Mixed_6a")(x)
        x = BlockC(128, name="Mixed_6b")(x)
        x = BlockC(160, name="Mixed_6c")(x)
        x = BlockC(160, name="Mixed_6d")(x)
        x = BlockC(192, name="Mixed_6e")(x)
        pool_768 = jnp.mean(x, (1, 2))
        x = BlockD(name="Mixed_7a")(x)
        x = BlockE(max_pool=False, name="Mixed_7b")(x)
        x = BlockE(max_pool=True, name="Mixed_7c")(x)
        pool = jnp.mean(x, (1, 2))
        unbiased, logits = Classifier(CLASSES, name="fc")(pool)
        chex.assert_shape(pool, (len(images), 2048))
        return Outputs(pool_64, pool_192, pool_768, pool, unbiased, logits)


class Classifier(nn.Module):
    """The last layer, which is dense."""

    classes: int

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return logits [B,classes] without and with the bias, for x [B,C]."""
        shape = (x.shape[-1], self.classes)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.classes,))
        unbiased = jnp.dot(x, kernel, precision=jax.lax.Precision.HIGHEST)
        return unbiased, unbiased + bias
