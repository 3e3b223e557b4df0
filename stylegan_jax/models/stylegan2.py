"""StyleGAN2: modulated synthesis and the discriminators, without growing.

Generators accumulate images over the resolutions ("skip"), features ("resnet"), or
neither ("orig"); "growing" has StyleGAN's ToRGB at every resolution and fades, for the
ablations of the paper's Table 1. Discriminators are likewise "resnet", "skip", "orig".

Reference: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN",
sections 2 and 4, figures 2 and 7; labels as in Karras et al. 2020, "Training
Generative Adversarial Networks with Limited Data".
"""

import dataclasses
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.config import image_size
from stylegan_jax.layers import fir, resample
from stylegan_jax.layers.activations import activate
from stylegan_jax.layers.convolution import conv2d
from stylegan_jax.layers.linear import Bias, Dense, EqualizedKernel
from stylegan_jax.layers.modulation import modulated_conv2d
from stylegan_jax.layers.noise import NOISE_MODES, NoiseInjection
from stylegan_jax.layers.remat import convolved, remat
from stylegan_jax.layers.statistics import minibatch_stddev
from stylegan_jax.models import mapping
from stylegan_jax.models.interface import (
    Channels,
    check_labels,
    check_resolution,
    is_one,
)

G_ARCHITECTURES = ("skip", "resnet", "orig", "growing")
D_ARCHITECTURES = ("resnet", "skip", "orig")
HALF_POWER = math.sqrt(0.5)  # gain of each branch of a residual block


@dataclasses.dataclass(frozen=True)
class LayerOptions:
    """What the layers of one network have in common.

    Attributes:
      activation: of all convolutions but ToRGB, see `layers.activations`.
      resample_filter: taps along one axis (or [h][w]).
      conv_clamp: bound of every convolution's output; None for none.
      noise: inject noise; generator only.
    """

    activation: str = "lrelu"
    resample_filter: tuple = (1, 3, 3, 1)
    conv_clamp: float | None = None
    noise: bool = True

    @property
    def taps(self) -> np.ndarray:
        """The normalised filter."""
        return fir.setup_filter(self.resample_filter)

    def convolve(self, x: jax.Array, kernel: jax.Array, direction: str) -> jax.Array:
        """Convolves; "up" doubles the size, "down" halves it, "same" keeps it."""
        kernel = kernel.astype(x.dtype)
        match direction:
            case "up":
                y = fir.up_conv2d(x, kernel, self.taps)
            case "down":
                y = fir.down_conv2d(x, kernel, self.taps)
            case _:
                y = conv2d(x, kernel)
        return convolved(y)


class SynthesisLayer(nn.Module):
    """Modulated convolution -> noise -> bias -> activation.

    Attributes:
      features: output channels.
      direction: "same", or "up", which doubles the size.
      options: shared by all layers.
      gain: of the output, for residual blocks.
    """

    features: int
    direction: str
    options: LayerOptions
    gain: float = 1.0

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array, noise: str) -> jax.Array:
        """X [B,H,W,I] and w [B,W] -> [B,H,W,features] ("up": twice H and W)."""
        o = self.options
        style = Dense(x.shape[-1], gain=1.0, bias_init=1.0, name="affine")(w)
        shape = (3, 3, x.shape[-1], self.features)
        # No run-time scale: demodulation would cancel it.
        kernel = self.param("weight", nn.initializers.normal(1.0), shape)
        x = modulated_conv2d(
            x, kernel, style, lambda x, k: o.convolve(x, k, self.direction)
        )
        if o.noise:
            x = NoiseInjection(per_channel=False, name="noise")(x, noise)
        x = Bias(name="bias")(x)
        return activate(x, o.activation, self.gain, o.conv_clamp)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution without demodulation, in float32 from there on."""

    image_channels: int
    options: LayerOptions

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array) -> jax.Array:
        """X [B,H,W,I] and w [B,W] -> [B,H,W,image_channels] float32."""
        inputs = x.shape[-1]
        style = Dense(inputs, gain=1.0, bias_init=1.0, name="affine")(w)
        shape = (1, 1, inputs, self.image_channels)
        kernel = self.param("weight", nn.initializers.normal(1.0), shape)
        x = modulated_conv2d(
            x, kernel, style / math.sqrt(inputs), conv2d, demodulate=False
        )
        x = Bias(name="bias")(x)
        return activate(x, "linear", 1.0, self.options.conv_clamp).astype(jnp.float32)


class ConvLayer(nn.Module):
    """Convolution with an equalized learning rate -> bias -> activation.

    Attributes:
      features: output channels.
      kernel_size: 1 or 3.
      options: of the network.
      direction: "same", "up" or "down".
      activation: None takes the options'.
      bias: add one.
      clamp: bound the output as the options say.
      gain: of the output.
      frozen: keep the parameters from being trained (FreezeD).
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
    def __call__(self, x: jax.Array) -> jax.Array:
        """X [B,H,W,I] -> [B,H,W,features], twice or half H and W."""
        o = self.options
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        kernel = EqualizedKernel(shape, gain=1.0, frozen=self.frozen, name="kernel")()
        x = o.convolve(x, kernel, self.direction)
        if self.bias:
            x = Bias(frozen=self.frozen, name="bias")(x)
        clamp = o.conv_clamp if self.clamp else None
        return activate(x, self.activation or o.activation, self.gain, clamp)


def _branch(
    features: int, options: LayerOptions, direction: str, **kwargs
) -> ConvLayer:
    """The linear branch of a residual block."""
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


class SynthesisBlock(nn.Module):
    """The layers of one resolution; the first has a learned constant for input.

    Attributes:
      features: output channels.
      options: shared by all layers.
      residual: add a linear branch from the input.
      const_size: (H, W) of the constant, for the first block only.
      dtype: of the activations.
    """

    features: int
    options: LayerOptions
    residual: bool
    const_size: tuple[int, int] | None
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array | None, ws: jax.Array, noise: str) -> jax.Array:
        """X [B,H,W,I] and ws [B,2,W] -> [B,2H,2W,features].

        The first block takes no x and ws [B,1,W].
        """
        layer = lambda direction, name, gain=1.0: SynthesisLayer(  # noqa: E731
            self.features, direction, self.options, gain, name=name
        )
        if self.const_size is not None:
            shape = (*self.const_size, self.features)
            const = self.param("const", nn.initializers.normal(1.0), shape)
            x = jnp.broadcast_to(const.astype(self.dtype), (len(ws), *shape))
            return layer("same", "conv1")(x, ws[:, 0], noise)
        x = x.astype(self.dtype)
        if not self.residual:
            x = layer("up", "conv0")(x, ws[:, 0], noise)
            return layer("same", "conv1")(x, ws[:, 1], noise)
        y = _branch(self.features, self.options, "up", name="skip")(x)
        x = layer("up", "conv0")(x, ws[:, 0], noise)
        return y + layer("same", "conv1", HALF_POWER)(x, ws[:, 1], noise)


class Generator(nn.Module):
    """The StyleGAN2 generator; see `interface.Generator`.

    Attributes:
      base_size: (H, W) at the lowest resolution; images are R/4 times as large.
      mapping_features: of the mapping's inner layers; None is W.
      embedding_features: of the labels' embedding; None is W.
      architecture: one of G_ARCHITECTURES.
      options: shared by the layers of the synthesis.
      low_precision_resolutions: N, as many of the highest resolutions (but never
        4x4) have activations of `dtype`; all others are float32.
      dtype: float32 or bfloat16 (or float16, which `conv_clamp` is meant for).
      remat: of the blocks, see `layers.remat`.
    """

    resolution: int = 1024
    base_size: tuple[int, int] = (4, 4)
    image_channels: int = 3
    z_dim: int = 512
    w_dim: int = 512
    label_size: int = 0
    mapping_layers: int = 8
    mapping_features: int | None = None
    embedding_features: int | None = None
    mapping_lr_multiplier: float = 0.01
    mapping_activation: str = "lrelu"
    channels: Channels = Channels(16384)
    architecture: str = "skip"
    options: LayerOptions = LayerOptions()
    low_precision_resolutions: int = 0
    dtype: jnp.dtype = jnp.float32
    remat: str = "none"

    @property
    def resolutions(self) -> list[int]:
        """All resolutions, from 4 up."""
        return [4 << i for i in range(self.resolution.bit_length() - 2)]

    @property
    def num_ws(self) -> int:
        """Style inputs: a layer at 4x4, two at each further resolution, one ToRGB."""
        return 2 * len(self.resolutions)

    @property
    def to_rgb_resolutions(self) -> list[int]:
        """Where features become images."""
        if self.architecture in ("skip", "growing"):
            return self.resolutions
        return self.resolutions[-1:]

    def setup(self):
        """Creates the layers of all resolutions."""
        self.mapping = mapping.StyleGAN2Mapping(
            self.w_dim,
            self.z_dim,
            self.label_size,
            self.mapping_layers,
            self.mapping_features,
            self.embedding_features,
            self.mapping_lr_multiplier,
            self.mapping_activation,
        )
        block = remat(SynthesisBlock, self.remat, static_argnums=(3,))
        self.blocks = [
            block(
                self.channels(r),
                self.options,
                self.architecture == "resnet",
                self.base_size if r == 4 else None,
                block_dtype(r, self),
            )
            for r in self.resolutions
        ]
        self.to_rgb = {
            str(r): ToRGB(self.image_channels, self.options)
            for r in self.to_rgb_resolutions
        }
        self.w_avg = self.variable("stats", "w_avg", jnp.zeros, (self.w_dim,))

    def __call__(
        self,
        z: jax.Array,
        labels: jax.Array | None = None,
        resolution: int | None = None,
        fade: jax.Array | float = 1.0,
        truncation_psi: jax.Array | float | None = 1.0,
        truncation_cutoff: int | None = None,
        noise: str = "const",
    ) -> jax.Array:
        """Generates images.

        Args:
          z: [B,Z], standard normal.
          labels: [B,label_size], for conditional networks: any numbers.
          resolution: R; only "growing" has others than the full one (None).
          fade: in [0,1], the share of this resolution against the one below; only
            "growing" has others than 1.
          truncation_psi: see `truncate`.
          truncation_cutoff: see `truncate`.
          noise: "const", "none", or "random", which takes the call's
            `rngs={"noise": key}`.

        Returns:
          Images [B,H,W,C], float32, about [-1,1], not clipped.
        """
        ws = self.truncate(self.map(z, labels), truncation_psi, truncation_cutoff)
        return self.synthesize(ws, resolution=resolution, fade=fade, noise=noise)

    def map(self, z: jax.Array, labels: jax.Array | None = None) -> jax.Array:
        """Z [B,Z], labels [B,label_size] -> ws [B,L,W], not truncated."""
        if z.ndim != 2 or z.shape[1] != self.z_dim:
            raise ValueError(f"z is {z.shape}; this network takes [B, {self.z_dim}]")
        check_labels(labels, self.label_size, len(z))
        w = self.mapping(z, labels)
        return jnp.broadcast_to(w[:, None], (len(w), self.num_ws, w.shape[-1]))

    def truncate(
        self,
        ws: jax.Array,
        psi: jax.Array | float | None = 1.0,
        cutoff: int | None = None,
    ) -> jax.Array:
        """Pulls the layers of ws [B,L,W] below `cutoff` (None: all) to w_avg."""
        return mapping.truncate(ws, self.w_avg.value, psi, cutoff)

    def synthesize(
        self,
        ws: jax.Array,
        resolution: int | None = None,
        fade: jax.Array | float = 1.0,
        noise: str = "const",
    ) -> jax.Array:
        """Images from ws [B,L,W]; arguments and result as for the whole network.

        For a lower resolution ws may have as few layers as it needs. A ToRGB shares
        its w with the layer that follows it.
        """
        resolution = self.resolution if resolution is None else int(resolution)
        check_resolution(resolution, self.resolution)
        growing = self.architecture == "growing"
        if not growing and not (resolution == self.resolution and is_one(fade)):
            raise ValueError(
                f"resolution {resolution} and fade {fade} were asked of a generator "
                f'"{self.architecture}", which has {self.resolution} only; a "growing" '
                "one has all"
            )
        if noise not in NOISE_MODES:
            raise ValueError(f"noise (={noise!r}) must be one of {NOISE_MODES}")
        needed = 2 * (resolution.bit_length() - 2)
        if ws.ndim != 3 or not needed <= ws.shape[1] <= self.num_ws:
            raise ValueError(
                f"ws is {ws.shape}; {resolution}x{resolution} takes "
                f"[B, L, {self.w_dim}] with L from {needed} to {self.num_ws}"
            )
        ws = ws.astype(jnp.float32)
        x = image = None
        for i, r in enumerate(self.resolutions):
            if r > resolution:
                break
            x = self.blocks[i](x, ws[:, max(2 * i - 1, 0) : 2 * i + 1], noise)
            if r not in self.to_rgb_resolutions:
                continue
            if growing and r < resolution // 2 and not self.is_initializing():
                continue
            below, image = image, self.to_rgb[str(r)](x, ws[:, 2 * i + 1])
            if self.architecture == "skip" and r > 4:
                image = image + fir.upsample2d(below, self.options.taps)
            if growing and r == resolution and r > 4 and not is_one(fade):
                below = resample.upscale2d(below)
                image = image + (below - image) * jnp.float32(1 - fade)
        return image


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
            branch = {"frozen": "skip" in frozen, "name": "skip"}
            y = _branch(self.features_down, self.options, "down", **branch)(x)
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
        fade: jax.Array | float = 1.0,
    ) -> jax.Array:
        """Judges images.

        Args:
          images: [B,H,W,C], about [-1,1], of the full resolution.
          labels: [B,label_size], for conditional networks: any numbers.
          fade: 1; this network does not grow.

        Returns:
          Logits [B], float32, high for real.
        """
        self._check(images, labels, fade)
        images = images.astype(jnp.float32)
        skip, residual = self.architecture == "skip", self.architecture == "resnet"
        x, freeze = None, self.freeze_layers
        for i in range(len(self.resolutions) - 1, 0, -1):
            r = self.resolutions[i]
            block = remat(DiscriminatorBlock, self.remat)(
                self.channels(r),
                self.channels(r // 2),
                self.options,
                from_rgb=skip or x is None,
                residual=residual,
                freeze=max(freeze, 0),
                dtype=block_dtype(r, self),
                name=f"blocks_{i}",
            )
            freeze -= 2 + block.from_rgb + residual
            x = block(x, images)
            if skip:
                images = fir.downsample2d(images, self.options.taps)
        head = dataclasses.replace(self.options, activation=self.head_activation)
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
        self, images: jax.Array, labels: jax.Array | None, fade: jax.Array | float
    ) -> None:
        size = image_size(self.base_size, self.resolution)
        if images.ndim != 4 or images.shape[1:] != (*size, self.image_channels):
            raise ValueError(
                f"images are {images.shape}; this network takes "
                f"[B,{size[0]},{size[1]},{self.image_channels}]"
            )
        if not is_one(fade):
            raise ValueError(f"fade is {fade}; this network does not grow")
        check_labels(labels, self.label_size, len(images))


def block_dtype(resolution: int, network: Generator | Discriminator) -> jnp.dtype:
    """Of the activations at a resolution: low precision at the N highest, from 8 up."""
    n = network.low_precision_resolutions
    low = n > 0 and resolution >= max(2 * network.resolution >> n, 8)
    return network.dtype if low else jnp.float32
