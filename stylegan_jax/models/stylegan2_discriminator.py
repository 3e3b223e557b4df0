"""The discriminators of StyleGAN2.

Reference: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN",
section 4, figure 7; labels as in Karras et al. 2020, "Training Generative Adversarial
Networks with Limited Data".
"""

import dataclasses
import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylegan_jax.config import image_size
from stylegan_jax.layers import upfirdn2d
from stylegan_jax.layers.activations import activate
from stylegan_jax.layers.linear import Dense
from stylegan_jax.layers.minibatch_stddev import minibatch_stddev
from stylegan_jax.layers.remat import remat
from stylegan_jax.models import mapping
from stylegan_jax.models.interface import Channels, LevelOfDetail, check_labels
from stylegan_jax.models.stylegan2_layers import (
    HALF_POWER,
    ConvLayer,
    LayerOptions,
    block_dtype,
    branch,
)

D_ARCHITECTURES = ("resnet", "skip", "orig")


class DiscriminatorBlock(nn.Module):
    """The layers of one resolution.

    Attributes:
      features: channels at this resolution.
      features_down: channels at the next.
      options: of the network.
      from_rgb: take in the image.
      residual: add a linear branch from the input.
      freeze: as many of the layers from_rgb, conv0, conv1, skip are not trained.
      dtype: of the activations.
    """

    features: int
    features_down: int
    options: LayerOptions
    from_rgb: bool
    residual: bool
    freeze: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array | None, image: jax.Array) -> jax.Array:
        """X [B,R,R,features] or None, and image [B,R,R,C], -> [B,R/2,R/2,...]."""
        names = ("from_rgb",) * self.from_rgb + ("conv0", "conv1", "skip")
        frozen = names[: self.freeze]

        def layer(name: str, features: int, *args, **kwargs) -> ConvLayer:
            kwargs |= {"frozen": name in frozen, "name": name}
            return ConvLayer(features, *args, **kwargs)

        if x is not None:
            x = x.astype(self.dtype)
        if self.from_rgb:
            y = layer("from_rgb", self.features, 1, self.options)(
                image.astype(self.dtype)
            )
            x = y if x is None else x + y
        gain, y = 1.0, 0.0
        if self.residual:
            gain = HALF_POWER
            how = {"frozen": "skip" in frozen, "name": "skip"}
            y = branch(self.features_down, self.options, "down", **how)(x)
        x = layer("conv0", self.features, 3, self.options)(x)
        x = layer("conv1", self.features_down, 3, self.options, "down", gain=gain)(x)
        return x + y


class Discriminator(nn.Module):
    """The StyleGAN2 discriminator; see `interface.Discriminator`.

    Attributes:
      base_size: (H, W) at the lowest resolution.
      architecture: one of D_ARCHITECTURES.
      embedding: features of the label's projection; None is the channels at 4x4.
      mapping_layers: of the label's mapping network.
      mapping_features: of the mapping's inner layers; None is `embedding`.
      embedding_features: of the mapping's first, linear layer; None is `embedding`.
      mbstd_group_size: None is the whole batch.
      mbstd_features: 0 turns minibatch standard deviation off.
      freeze_layers: as many layers from the highest resolution down are not trained
        (Mo et al. 2020, "Freeze the Discriminator").
      low_precision_resolutions: see `Generator`.
      dtype: of these activations; the head is float32.
      remat: of the blocks, see `layers.remat`.
      winograd: see `Generator`.
    """

    resolution: int = 1024
    base_size: tuple[int, int] = (4, 4)
    image_channels: int = 3
    label_size: int = 0
    channels: Channels = Channels(16384)
    architecture: str = "resnet"
    options: LayerOptions = LayerOptions()
    embedding: int | None = None
    mapping_layers: int = 8
    mapping_features: int | None = None
    embedding_features: int | None = None
    mapping_lr_multiplier: float = 0.01
    mapping_activation: str = "lrelu"
    head_activation: str = "lrelu"
    mbstd_group_size: int | None = 4
    mbstd_features: int = 1
    freeze_layers: int = 0
    low_precision_resolutions: int = 0
    dtype: jnp.dtype = jnp.float32
    remat: str = "none"
    winograd: bool = False

    @property
    def resolutions(self) -> list[int]:
        """All resolutions, from 4 up."""
        return [4 << i for i in range(self.resolution.bit_length() - 2)]

    @property
    def embedding_size(self) -> int:
        """Features of the label's projection; 0 for an unconditional network."""
        if not self.label_size:
            return 0
        return self.channels(4) if self.embedding is None else self.embedding

    @nn.compact
    def __call__(
        self,
        images: jax.Array,
        labels: jax.Array | None = None,
        lod: LevelOfDetail | None = None,
    ) -> jax.Array:
        """Judges images.

        Args:
          images: [B,H,W,C], about [-1,1], of the full resolution.
          labels: [B,label_size], for conditional networks: any numbers.
          lod: the full resolution, without fading; this network does not grow.

        Returns:
          Logits [B], float32, high for real.
        """
        self._check(images, labels, lod)
        images = images.astype(jnp.float32)
        options = dataclasses.replace(self.options, winograd=self.winograd)
        skip, residual = self.architecture == "skip", self.architecture == "resnet"
        x, freeze = None, self.freeze_layers
        for i in range(len(self.resolutions) - 1, 0, -1):
            r = self.resolutions[i]
            block = remat(DiscriminatorBlock, self.remat)(
                self.channels(r),
                self.channels(r // 2),
                options,
                from_rgb=skip or x is None,
                residual=residual,
                freeze=max(freeze, 0),
                dtype=block_dtype(r, self),
                name=f"blocks_{i}",
            )
            freeze -= 2 + block.from_rgb + residual
            x = block(x, images)
            if skip:
                images = upfirdn2d.downsample2d(images, self.options.taps)
        head = dataclasses.replace(options, activation=self.head_activation)
        if x is not None:
            x = x.astype(jnp.float32)
        if x is None or skip:
            y = ConvLayer(self.channels(4), 1, head, clamp=False, name="from_rgb")(
                images
            )
            x = y if x is None else x + y
        if self.mbstd_features:
            x = minibatch_stddev(x, self.mbstd_group_size, self.mbstd_features)
        x = ConvLayer(self.channels(4), 3, head, name="conv")(x)
        x = Dense(self.channels(4), gain=1.0, name="dense0")(x.reshape(len(x), -1))
        x = activate(x, self.head_activation)
        out = Dense(self.embedding_size or 1, gain=1.0, name="dense1")(x)
        if not self.label_size:
            return out[:, 0]
        embedded = mapping.StyleGAN2Mapping(
            self.embedding_size,
            0,
            self.label_size,
            self.mapping_layers,
            self.mapping_features,
            self.embedding_features,
            self.mapping_lr_multiplier,
            self.mapping_activation,
            name="mapping",
        )(None, labels)
        return jnp.sum(out * embedded, axis=1) / math.sqrt(self.embedding_size)

    def _check(
        self, images: jax.Array, labels: jax.Array | None, lod: LevelOfDetail | None
    ) -> None:
        size = image_size(self.base_size, self.resolution)
        if images.ndim != 4 or images.shape[1:] != (*size, self.image_channels):
            raise ValueError(
                f"images are {images.shape}; this network takes "
                f"[B,{size[0]},{size[1]},{self.image_channels}]"
            )
        if lod is not None and (lod.fades or lod.resolution != self.resolution):
            raise ValueError(
                f"resolution {lod.resolution} and fade {lod.fade} were asked of a "
                f"discriminator that does not grow; it takes {self.resolution} only"
            )
        check_labels(labels, self.label_size, len(images))
