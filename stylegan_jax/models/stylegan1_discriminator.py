"""The discriminator of StyleGAN, which grows.

Reference: Karras et al. 2018, "Progressive Growing of GANs", table 2, with the blur of
Karras et al. 2019, "A Style-Based Generator Architecture for GANs", appendix C.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylegan_jax.layers import resample
from stylegan_jax.layers.activations import ACTIVATIONS
from stylegan_jax.layers.linear import Bias, Conv, Dense, EqualizedKernel
from stylegan_jax.layers.minibatch_stddev import minibatch_stddev
from stylegan_jax.layers.remat import convolved, remat
from stylegan_jax.models.interface import (
    Channels,
    LevelOfDetail,
    check_labels,
    check_resolution,
    check_same_resolution,
)


class DiscriminatorBlock(nn.Module):
    """conv -> blur -> conv that halves the size, each with bias and activation."""

    features: int
    features_down: int
    nonlinearity: str
    blur_filter: tuple[int, ...]
    plain_resampling: bool
    winograd: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B,R,R,features] -> [B,R/2,R/2,features_down]."""
        activation = ACTIVATIONS[self.nonlinearity].function
        x = convolved(Conv(self.features, 3, winograd=self.winograd, name="conv")(x))
        x = activation(x)
        x = resample.blur2d(x, self.blur_filter)
        shape = (3, 3, self.features, self.features_down)
        kernel = EqualizedKernel(shape, name="down_kernel")()
        x = resample.conv_downscale2d(x, kernel, self.plain_resampling, self.winograd)
        x = convolved(x)
        return activation(Bias(name="down_bias")(x))


class Discriminator(nn.Module):
    """The growing discriminator; see `interface.Discriminator`.

    Attributes:
      mbstd_group_size: 1 turns minibatch standard deviation off.
      plain_resampling: see `LayerOptions`.
      growing: takes images of every resolution; else only the full one has a FromRGB.
      dtype: of the activations down to 4x4; the head is float32.
      remat: of the blocks, see `layers.remat`.
      winograd: see `Generator`.

    Reference: Karras et al. 2018, "Progressive Growing of GANs", table 2, with the
    blur of Karras et al. 2019.
    """

    resolution: int = 1024
    image_channels: int = 3
    label_size: int = 0
    channels: Channels = Channels()
    nonlinearity: str = "lrelu"
    blur_filter: tuple[int, ...] = (1, 2, 1)
    mbstd_group_size: int = 4
    mbstd_features: int = 1
    plain_resampling: bool = False
    growing: bool = True
    dtype: jnp.dtype = jnp.float32
    remat: str = "none"
    winograd: bool = False

    @property
    def resolutions(self) -> list[int]:
        """All stages, from 4 up."""
        return [4 << i for i in range(self.resolution.bit_length() - 2)]

    def setup(self):
        """Creates the layers of all resolutions."""
        self.from_rgb = [
            Conv(self.channels(r), 1) if self.growing or r == self.resolution else None
            for r in self.resolutions
        ]
        self.blocks = [
            remat(DiscriminatorBlock, self.remat)(
                self.channels(r),
                self.channels(r // 2),
                self.nonlinearity,
                self.blur_filter,
                self.plain_resampling,
                self.winograd,
            )
            for r in self.resolutions[1:]
        ]
        self.conv = Conv(self.channels(4), 3)
        self.dense0 = Dense(self.channels(2))
        self.dense1 = Dense(max(self.label_size, 1), gain=1.0)

    def __call__(
        self,
        images: jax.Array,
        labels: jax.Array | None = None,
        lod: LevelOfDetail | None = None,
    ) -> jax.Array:
        """Judges images.

        Args:
          images: [B,R,R,C], about [-1,1]; R says the stage.
          labels: [B,label_size], for conditional networks.
          lod: the images' resolution and its fade; None is full strength. At 4x4 the
            fade has no effect.

        Returns:
          Logits [B], float32, high for real.
        """
        lod = LevelOfDetail(images.shape[1]) if lod is None else lod
        self._check(images, labels, lod)
        activation = ACTIVATIONS[self.nonlinearity].function
        images = images.astype(self.dtype)
        start = self.resolutions.index(images.shape[1])
        x = activation(self.from_rgb[start](images))
        for i in range(start, 0, -1):
            x = self.blocks[i - 1](x)
            fading = i == start and lod.fades
            if fading or (self.growing and self.is_initializing()):
                images = resample.downscale2d(images)
                below = activation(self.from_rgb[i - 1](images))
                if fading:
                    x = x + (below - x) * jnp.asarray(1 - lod.fade, x.dtype)
        x = x.astype(jnp.float32)
        if self.mbstd_group_size > 1:
            x = minibatch_stddev(x, self.mbstd_group_size, self.mbstd_features)
        x = activation(self.conv(x))
        x = activation(self.dense0(x.reshape(len(x), -1)))
        logits = self.dense1(x)
        if not self.label_size:
            return logits[:, 0]
        return jnp.sum(logits * labels.astype(jnp.float32), axis=1)

    def _check(
        self, images: jax.Array, labels: jax.Array | None, lod: LevelOfDetail
    ) -> None:
        b, h, w, c = images.shape
        if h != w or c != self.image_channels:
            raise ValueError(
                f"images are {images.shape}; this network takes square images "
                f"[B,R,R,{self.image_channels}]"
            )
        check_resolution(h, self.resolution)
        if not (self.growing or (h == self.resolution and not lod.fades)):
            raise ValueError(
                f"images of {h}x{h} with fade {lod.fade} were given to a discriminator "
                f"that does not grow; it takes {self.resolution}x{self.resolution} only"
            )
        check_same_resolution(lod, h)
        check_labels(labels, self.label_size, b)
