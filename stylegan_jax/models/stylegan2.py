"""StyleGAN2: modulated synthesis and the discriminators, without growing.

Generators accumulate images over the resolutions ("skip"), features ("resnet"), or
neither ("orig"); "growing" has StyleGAN's ToRGB at every resolution and fades, for the
ablations of the paper's table 1. Discriminators are likewise "resnet", "skip" or
"orig". The layers of the blocks are in `stylegan2_layers`.

Reference: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN",
sections 2 and 4, figures 2 and 7; for the labels, Karras et al. 2020, "Training
Generative Adversarial Networks with Limited Data".
"""

import dataclasses
import functools
import math

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from stylegan_jax.layers import resample, upfirdn2d
from stylegan_jax.layers.activations import activate
from stylegan_jax.layers.blocks import join
from stylegan_jax.layers.linear import Dense, Image
from stylegan_jax.layers.minibatch_stddev import minibatch_stddev
from stylegan_jax.layers.remat import remat
from stylegan_jax.models import interface, mapping
from stylegan_jax.models.interface import Channels, LevelOfDetail
from stylegan_jax.models.stylegan2_layers import (
    HALF_POWER,
    ConvLayer,
    LayerOptions,
    SynthesisLayer,
    ToRGB,
    branch,
)

__all__ = [
    "D_ARCHITECTURES",
    "G_ARCHITECTURES",
    "Channels",
    "ConvLayer",
    "Discriminator",
    "DiscriminatorBlock",
    "Generator",
    "LayerOptions",
    "SynthesisBlock",
    "SynthesisLayer",
    "ToRGB",
]

G_ARCHITECTURES = ("skip", "resnet", "orig", "growing")
D_ARCHITECTURES = ("resnet", "skip", "orig")


class SynthesisBlock(nn.Module):
    """The layers of one resolution; the input of the first is a learned constant.

    Attributes:
      features: output channels.
      options: shared by all layers.
      residual: add a linear branch from the input.
      const_size: (H, W) of the constant, for the first block only.
      dtype: dtype of the activations.
    """

    features: int
    options: LayerOptions
    residual: bool
    const_size: tuple[int, int] | None
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Image | None, ws: jax.Array, noise: str) -> Image:
        """Map x [B,H,W,I] and ws [B,2,W] to [B,2H,2W,features].

        The first block takes no x and ws [B,1,W].
        """
        layer = lambda direction, name, gain=1.0: SynthesisLayer(  # noqa: E731
            self.features, direction, self.options, gain, name=name
        )
        if self.const_size is not None:
            shape = (*self.const_size, self.features)
            const = self.param("const", nn.initializers.normal(1.0), shape)
            x = jnp.broadcast_to(const.astype(self.dtype), (ws.shape[0], *shape))
            return layer("same", "conv1")(x, ws[:, 0], noise)
        x = x.astype(self.dtype)
        if not self.residual:
            x = layer("up", "conv0")(x, ws[:, 0], noise)
            return layer("same", "conv1")(x, ws[:, 1], noise)
        y = branch(self.features, self.options, "up", name="skip")(x)
        x = layer("up", "conv0")(x, ws[:, 0], noise)
        return y + join(layer("same", "conv1", HALF_POWER)(x, ws[:, 1], noise))


class Generator(interface.Generator):
    """The StyleGAN2 generator; see `interface.Generator`.

    4x4 is always float32, as in the official code.

    Attributes:
      base_size: (H, W) at the lowest resolution; images are R/4 times as large.
      mapping_layers: number of dense layers from z to w.
      mapping_features: features of the mapping's inner layers; None is W.
      embedding_features: features of the labels' embedding; None is W.
      mapping_lr_multiplier: learning rate of the mapping, relative to the network's.
      mapping_activation: see `layers.activations`.
      architecture: one of G_ARCHITECTURES.
      options: shared by the layers of the synthesis.
    """

    base_size: tuple[int, int] = (4, 4)
    mapping_layers: int = 8
    mapping_features: int | None = None
    embedding_features: int | None = None
    mapping_lr_multiplier: float = 0.01
    mapping_activation: str = "lrelu"
    channels: Channels = Channels(16384)
    architecture: str = "skip"
    options: LayerOptions = LayerOptions()

    _lowest_low_precision = 8

    @property
    def grows(self) -> bool:
        """True if images of every resolution can be generated."""
        return self.architecture == "growing"

    @property
    def to_rgb_resolutions(self) -> list[int]:
        """The resolutions at which features become images."""
        if self.architecture in ("skip", "growing"):
            return self.resolutions
        return self.resolutions[-1:]

    def noise_strengths(self) -> dict[int, tuple[str, ...]]:
        """Return the paths in "params" of the noise strengths, by style layer.

        The last style layer belongs to a ToRGB only.
        """
        paths = {0: ("blocks_0", "conv1", "noise", "strength")}
        for block in range(1, len(self.resolutions)):
            for i in range(2):
                path = (f"blocks_{block}", f"conv{i}", "noise", "strength")
                paths[2 * block - 1 + i] = path
        return paths

    def style_affines(self) -> dict[int, tuple[tuple[str, ...], ...]]:
        """Return the paths in "params" of the affine maps from w to styles."""
        paths = {i: (path[:2],) for i, path in self.noise_strengths().items()}
        for i, r in enumerate(self.resolutions):
            if r in self.to_rgb_resolutions:
                layer = 2 * i + 1
                paths[layer] = (*paths.get(layer, ()), (f"to_rgb_{r}",))
        return {i: tuple((*p, "affine") for p in found) for i, found in paths.items()}

    def feature_modules(self) -> dict[int, str]:
        """See `interface.Generator`."""
        return {r: f"blocks_{i}" for i, r in enumerate(self.resolutions)}

    def setup(self):
        """Create the layers of all resolutions."""
        self.mapping = mapping.StyleGAN2Mapping(
            self.w_dim,
            self.z_dim,
            self.label_size,
            self.mapping_layers,
            self.mapping_features,
            self.embedding_features,
            self.mapping_lr_multiplier,
            self.mapping_activation,
            self.arithmetic,
        )
        options = dataclasses.replace(self.options, arithmetic=self.arithmetic)
        block = remat(SynthesisBlock, self.remat, static_argnums=(3,))
        self.blocks = [
            block(
                self.channels(r),
                options,
                self.architecture == "resnet",
                self.base_size if r == 4 else None,
                self.dtype_at(r),
            )
            for r in self.resolutions
        ]
        self.to_rgb = {
            str(r): ToRGB(self.image_channels, options) for r in self.to_rgb_resolutions
        }
        self.w_avg = self.variable("stats", "w_avg", jnp.zeros, (self.w_dim,))

    def synthesize(
        self, ws: jax.Array, lod: LevelOfDetail | None = None, noise: str = "const"
    ) -> jax.Array:
        """Generate images from ws [B,L,W]; see `interface.Generator`.

        A ToRGB shares its w with the layer that follows it.
        """
        ws, lod = self._check_synthesis(ws, lod, noise)
        x = image = None
        for i, r in enumerate(self.resolutions):
            if r > lod.resolution:
                break
            x = self.blocks[i](x, ws[:, max(2 * i - 1, 0) : 2 * i + 1], noise)
            if r not in self.to_rgb_resolutions:
                continue
            if self.grows and r < lod.resolution // 2 and not self.is_initializing():
                continue
            below, image = image, self.to_rgb[str(r)](x, ws[:, 2 * i + 1])
            if self.architecture == "skip" and r > 4:
                image = image + upfirdn2d.upsample2d(
                    below, self.options.taps, arithmetic=self.arithmetic
                )
            if self.grows and r == lod.resolution and r > 4 and lod.fades:
                below = resample.upscale2d(below)
                image = image + (below - image) * jnp.float32(1 - lod.fade)
        chex.assert_shape(image, (ws.shape[0], None, None, self.image_channels))
        return image


class DiscriminatorBlock(nn.Module):
    """The layers of one resolution.

    Attributes:
      features: channels at this resolution.
      features_down: channels at the next lower resolution.
      options: options of the network.
      from_rgb: add the image, converted by a FromRGB layer, to the input.
      residual: add a linear branch from the input.
      freeze: number of layers that are not trained, in the order from_rgb, conv0,
        conv1, skip.
      dtype: dtype of the activations.
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
        """Map x [B,R,R,features] or None, and image [B,R,R,C], to [B,R/2,R/2,...]."""
        names = ("from_rgb",) * self.from_rgb + ("conv0", "conv1", "skip")
        frozen = names[: self.freeze]

        def layer(name: str, features: int, *args, **kwargs) -> ConvLayer:
            kwargs |= {"frozen": name in frozen, "name": name}
            return ConvLayer(features, *args, **kwargs)

        if x is not None:
            x = self.options.arrange(x.astype(self.dtype), self.features)
        if self.from_rgb:
            image = self.options.arrange(image.astype(self.dtype), self.features)
            y = layer("from_rgb", self.features, 1, self.options)(image)
            x = y if x is None else x + y
        gain, y = 1.0, None
        if self.residual:
            gain = HALF_POWER
            naming = {"frozen": "skip" in frozen, "name": "skip"}
            y = branch(self.features_down, self.options, "down", **naming)(x)
        x = layer("conv0", self.features, 3, self.options)(x)
        x = layer("conv1", self.features_down, 3, self.options, "down", gain=gain)(x)
        return x if y is None else x + y


class Discriminator(interface.Discriminator):
    """The StyleGAN2 discriminator; see `interface.Discriminator`.

    The head at 4x4 is float32.

    Attributes:
      base_size: (H, W) at the lowest resolution.
      architecture: one of D_ARCHITECTURES.
      options: shared by the layers.
      embedding: features of the label's projection; None is the channels at 4x4.
      mapping_layers: number of layers of the label's mapping network.
      mapping_features: features of the mapping's inner layers; None is `embedding`.
      embedding_features: features of the mapping's first, linear layer; None is
        `embedding`.
      mapping_lr_multiplier: learning rate of the mapping, relative to the network's.
      mapping_activation: see `layers.activations`.
      head_activation: see `layers.activations`.
      mbstd_group_size: images in a group of the minibatch standard deviation; None is
        the whole batch.
      mbstd_features: number of channels of these statistics; 0 turns them off.
      freeze_layers: number of layers, from the highest resolution down, that are not
        trained (Mo et al. 2020, "Freeze the Discriminator").
    """

    base_size: tuple[int, int] = (4, 4)
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

    @property
    def grows(self) -> bool:
        """False: only images of the full resolution are accepted."""
        return False

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
        """Score images [B,H,W,C]; see `interface.Discriminator`."""
        self._check_inputs(images, labels, lod)
        images = images.astype(jnp.float32)
        options = dataclasses.replace(self.options, arithmetic=self.arithmetic)
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
                dtype=self.dtype_at(r),
                name=f"blocks_{i}",
            )
            freeze -= 2 + block.from_rgb + residual
            x = block(x, images)
            if skip:
                images = upfirdn2d.downsample2d(
                    images, options.taps, arithmetic=self.arithmetic
                )
        head = dataclasses.replace(options, activation=self.head_activation)
        if x is not None:
            x = join(x).astype(jnp.float32)
        if x is None or skip:
            y = ConvLayer(self.channels(4), 1, head, clamp=False, name="from_rgb")(
                images
            )
            x = y if x is None else x + y
        if self.mbstd_features:
            x = minibatch_stddev(x, self.mbstd_group_size, self.mbstd_features)
        x = ConvLayer(self.channels(4), 3, head, name="conv")(x)
        dense = functools.partial(Dense, gain=1.0, arithmetic=self.arithmetic)
        x = dense(self.channels(4), name="dense0")(x.reshape(len(x), -1))
        x = activate(x, self.head_activation)
        out = dense(self.embedding_size or 1, name="dense1")(x)
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
            self.arithmetic,
            name="mapping",
        )(None, labels)
        return jnp.sum(out * embedded, axis=1) / math.sqrt(self.embedding_size)
