"""VGG16: feature maps for LPIPS, and the penultimate layer for precision and recall.

The weights are torchvision's.

Reference: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale
    Image Recognition" (2014), configuration D.
"""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

SIZE = 224  # height and width of images for the dense layers, in pixels
CHANNELS = (64, 128, 256, 512, 512)  # number in each stage
CONVOLUTIONS = (2, 2, 3, 3, 3)  # number in each stage
WIDTH = 4096  # number of features of fc6 and fc7
# Statistics of ImageNet, RGB in 0..1.
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)


class Convolutions(nn.Module):
    """The five stages of 3x3 convolutions, each followed by max pooling."""

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[list[jax.Array], jax.Array]:
        """Return the feature maps of normalized images.

        Args:
          x: [B,H,W,3] float32, normalized; H and W at least 16.

        Returns:
          The last map of each stage before its pooling, [B,H,W,64] to
          [B,H/16,W/16,512], and the last of them after its pooling.
        """
        chex.assert_shape(x, (None, None, None, 3))
        chex.assert_type(x, jnp.float32)
        maps = []
        for stage, (channels, count) in enumerate(
            zip(CHANNELS, CONVOLUTIONS, strict=True), 1
        ):
            for i in range(1, count + 1):
                x = _Affine((3, 3, x.shape[-1], channels), name=f"conv{stage}_{i}")(x)
                x = nn.relu(x)
            maps.append(x)
            x = nn.max_pool(x, (2, 2), (2, 2))
        return maps, x


class VGG16(nn.Module):
    """The network up to its penultimate layer, fc7 (`fc2` in some code)."""

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        """Return fc7 before its ReLU.

        Args:
          images: [B,224,224,3] float32 in 0..255, RGB.

        Returns:
          [B,4096] float32.
        """
        chex.assert_shape(images, (None, SIZE, SIZE, 3))
        x = (images / 255.0 - MEAN) / STD
        _, x = Convolutions(name="features")(x)
        x = x.reshape(len(x), -1)
        x = nn.relu(_Affine((x.shape[-1], WIDTH), name="fc6")(x))
        return _Affine((WIDTH, WIDTH), name="fc7")(x)


class _Affine(nn.Module):
    """A convolution (shape HWIO) or dense layer (shape IO) with a bias."""

    shape: tuple[int, ...]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", nn.initializers.he_normal(), self.shape)
        bias = self.param("bias", nn.initializers.zeros, self.shape[-1:])
        precision = jax.lax.Precision.HIGHEST
        if len(self.shape) == 2:
            return jnp.dot(x, kernel, precision=precision) + bias
        convolved = jax.lax.conv_general_dilated(
            x,
            kernel,
            (1, 1),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            precision=precision,
        )
        return convolved + bias
