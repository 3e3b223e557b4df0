"""The generator of StyleGAN2: modulated synthesis.

Reference: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN",
sections 2 and 4, figures 2 and 7.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylegan_jax.layers import resample, upfirdn2d
from stylegan_jax.layers.noise import NOISE_MODES
from stylegan_jax.layers.remat import remat
from stylegan_jax.models import mapping
from stylegan_jax.models.interface import (
    Channels,
    LevelOfDetail,
    check_labels,
    check_resolution,
)
from stylegan_jax.models.stylegan2_layers import (
    HALF_POWER,
    LayerOptions,
    SynthesisLayer,
    ToRGB,
    block_dtype,
    branch,
)

G_ARCHITECTURES = ("skip", "resnet", "orig", "growing")


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
        y = branch(self.features, self.options, "up", name="skip")(x)
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
      winograd: allow the faster convolutions on CPUs that round otherwise, see
        `layers.conv2d_cpu`.
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
    winograd: bool = False

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
        options = dataclasses.replace(self.options, winograd=self.winograd)
        block = remat(SynthesisBlock, self.remat, static_argnums=(3,))
        self.blocks = [
            block(
                self.channels(r),
                options,
                self.architecture == "resnet",
                self.base_size if r == 4 else None,
                block_dtype(r, self),
            )
            for r in self.resolutions
        ]
        self.to_rgb = {
            str(r): ToRGB(self.image_channels, options) for r in self.to_rgb_resolutions
        }
        self.w_avg = self.variable("stats", "w_avg", jnp.zeros, (self.w_dim,))

    def __call__(
        self,
        z: jax.Array,
        labels: jax.Array | None = None,
        lod: LevelOfDetail | None = None,
        truncation_psi: jax.Array | float | None = 1.0,
        truncation_cutoff: int | None = None,
        noise: str = "const",
    ) -> jax.Array:
        """Generates images.

        Args:
          z: [B,Z], standard normal.
          labels: [B,label_size], for conditional networks: any numbers.
          lod: the resolution and its fade; None is the full resolution, the only one
            that architectures other than "growing" have.
          truncation_psi: see `truncate`.
          truncation_cutoff: see `truncate`.
          noise: "const", "none", or "random", which takes the call's
            `rngs={"noise": key}`.

        Returns:
          Images [B,H,W,C], float32, about [-1,1], not clipped.
        """
        ws = self.truncate(self.map(z, labels), truncation_psi, truncation_cutoff)
        return self.synthesize(ws, lod, noise)

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
        lod: LevelOfDetail | None = None,
        noise: str = "const",
    ) -> jax.Array:
        """Images from ws [B,L,W]; arguments and result as for the whole network.

        For a lower resolution ws may have as few layers as it needs. A ToRGB shares
        its w with the layer that follows it.
        """
        lod = LevelOfDetail(self.resolution) if lod is None else lod
        resolution = lod.resolution
        check_resolution(resolution, self.resolution)
        growing = self.architecture == "growing"
        if not growing and not (resolution == self.resolution and not lod.fades):
            raise ValueError(
                f"resolution {resolution} and fade {lod.fade} were requested from a "
                f'generator "{self.architecture}", which has {self.resolution} only; a '
                '"growing" one has all'
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
                image = image + upfirdn2d.upsample2d(below, self.options.taps)
            if growing and r == resolution and r > 4 and lod.fades:
                below = resample.upscale2d(below)
                image = image + (below - image) * jnp.float32(1 - lod.fade)
        return image
