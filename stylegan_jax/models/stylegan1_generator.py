"""The generator of StyleGAN: a mapping network, and synthesis by AdaIN.

Its options also spell the steps B to F of the paper's Table 1, of which B is the
generator of Progressive GAN with bilinear sampling.

Reference: Karras et al. 2019, "A Style-Based Generator Architecture for GANs",
figure 1, section 2 and appendix C.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylegan_jax.layers import conv2d, matmul, resample
from stylegan_jax.layers.activations import ACTIVATIONS
from stylegan_jax.layers.linear import GAIN_LRELU, Bias, Conv, EqualizedKernel
from stylegan_jax.layers.noise import NOISE_MODES, NoiseInjection
from stylegan_jax.layers.normalization import StyleModulation, instance_norm, pixel_norm
from stylegan_jax.layers.remat import convolved, remat
from stylegan_jax.models import mapping
from stylegan_jax.models.interface import (
    Channels,
    LevelOfDetail,
    check_labels,
    check_resolution,
)


@dataclasses.dataclass(frozen=True)
class LayerOptions:
    """What the synthesis layers of one generator have in common.

    `plain_resampling` convolves at the higher resolution, in the official order of
    operations, instead of the faster fused form; they differ by rounding only.
    `winograd` is set by the network.
    """

    styles: bool = True
    noise: bool = True
    pixel_norm: bool = False
    instance_norm: bool = True
    nonlinearity: str = "lrelu"
    blur_filter: tuple[int, ...] = (1, 2, 1)
    plain_resampling: bool = False
    winograd: bool = False


class SynthesisLayer(nn.Module):
    """[conv [up, blur]] -> noise -> bias -> activation -> norm -> style.

    Attributes:
      features: output channels of the convolution.
      kind: "input" has no convolution, "conv" keeps the size, "up" doubles it.
      options: shared by all layers.
      flip_kernel: the stored kernel is mirrored in height and width.
    """

    features: int
    kind: str
    options: LayerOptions
    flip_kernel: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array, noise: str) -> jax.Array:
        """X [B,H,W,I] and w [B,W] -> [B,H,W,features] ("up": twice H and W)."""
        if self.kind != "input":
            shape = (3, 3, x.shape[-1], self.features)
            kernel = EqualizedKernel(shape, name="kernel")()
            if self.flip_kernel:
                kernel = kernel[::-1, ::-1]
            o = self.options
            if self.kind == "up":
                x = resample.upscale_conv2d(x, kernel, o.plain_resampling, o.winograd)
                x = resample.blur2d(x, o.blur_filter)
            else:
                x = conv2d.conv2d(x, kernel, o.winograd)
            x = convolved(x)
        self.sow("intermediates", "before_noise", x)
        if self.options.noise:
            x = NoiseInjection(name="noise")(x, noise)
        x = Bias(name="bias")(x)
        x = ACTIVATIONS[self.options.nonlinearity].function(x)
        if self.options.pixel_norm:
            x = pixel_norm(x)
        if self.options.instance_norm:
            x = instance_norm(x)
        self.sow("intermediates", "normalized", x)
        if self.options.styles:
            x = StyleModulation(name="style")(x, w)
        self.sow("intermediates", "styled", x)
        return x


class ConstInput(nn.Module):
    """The learned 4x4 constant that the synthesis starts from."""

    features: int

    @nn.compact
    def __call__(self, w: jax.Array) -> jax.Array:
        """[B,4,4,features], the same for every w [B,W]."""
        const = self.param("const", nn.initializers.ones, (4, 4, self.features))
        return jnp.broadcast_to(const, (w.shape[0], 4, 4, self.features))


class DenseInput(nn.Module):
    """The traditional input: a dense layer from the latent to 4x4 pixels."""

    features: int

    @nn.compact
    def __call__(self, w: jax.Array) -> jax.Array:
        """W [B,W] -> [B,4,4,features]; the bias follows in the layer after it."""
        shape = (w.shape[-1], 16 * self.features)
        kernel = EqualizedKernel(shape, GAIN_LRELU / 4, name="kernel")()
        return matmul.matmul(w, kernel).reshape(-1, 4, 4, self.features)


class Generator(nn.Module):
    """The style-based generator; see `interface.Generator`.

    Attributes:
      fused_scale: which up-convolutions hold their kernels mirrored, as the official
        code does where it fuses them: "auto" (output of 128 and more), True, False.
        It matters for official weights only.
      growing: images at every resolution; else only the full one has a ToRGB.
      dtype: of the activations of the synthesis.
      remat: of the synthesis layers, see `layers.remat`.
      winograd: allow the faster convolutions on CPUs that round otherwise, see
        `layers.conv2d_cpu`.
    """

    resolution: int = 1024
    image_channels: int = 3
    z_dim: int = 512
    w_dim: int = 512
    label_size: int = 0
    mapping_layers: int = 8
    mapping_features: int = 512
    mapping_lr_multiplier: float = 0.01
    mapping_nonlinearity: str = "lrelu"
    normalize_z: bool = True
    channels: Channels = Channels()
    const_input: bool = True
    options: LayerOptions = LayerOptions()
    fused_scale: bool | str = "auto"
    growing: bool = True
    dtype: jnp.dtype = jnp.float32
    remat: str = "none"
    winograd: bool = False

    @property
    def base_size(self) -> tuple[int, int]:
        """Height and width at resolution 4: growing networks make squares."""
        return (4, 4)

    @property
    def resolutions(self) -> list[int]:
        """All stages, from 4 up."""
        return [4 << i for i in range(self.resolution.bit_length() - 2)]

    @property
    def num_ws(self) -> int:
        """Style inputs: two a resolution; one for a generator without styles."""
        return 2 * len(self.resolutions) if self.options.styles else 1

    def setup(self):
        """Creates the layers of all resolutions."""
        self.mapping = mapping.MappingNetwork(
            self.w_dim,
            self.mapping_layers,
            self.mapping_features,
            self.mapping_lr_multiplier,
            self.label_size,
            self.normalize_z,
            self.mapping_nonlinearity,
        )
        input_type = ConstInput if self.const_input else DenseInput
        self.input = input_type(self.channels(4))
        options = dataclasses.replace(self.options, winograd=self.winograd)
        layer = remat(SynthesisLayer, self.remat, static_argnums=(3,))
        self.layers = [
            layer(
                self.channels(r),
                kind,
                options,
                kind == "up" and self.flips_kernel(r),
            )
            for r in self.resolutions
            for kind in (("input" if r == 4 else "up"), "conv")
        ]
        self.to_rgb = [
            Conv(self.image_channels, kernel_size=1, gain=1.0)
            if self.growing or r == self.resolution
            else None
            for r in self.resolutions
        ]
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
          labels: [B,label_size], for conditional networks.
          lod: the resolution and its fade; None is the full resolution. At 4x4 the
            fade has no effect.
          truncation_psi: see `truncate`.
          truncation_cutoff: see `truncate`.
          noise: "const", "none", or "random", which takes the call's
            `rngs={"noise": key}`.

        Returns:
          Images [B,R,R,C], float32, about [-1,1], not clipped.
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

        For a lower resolution ws may have as few layers as it needs.
        """
        lod = LevelOfDetail(self.resolution) if lod is None else lod
        resolution = lod.resolution
        check_resolution(resolution, self.resolution)
        if not (self.growing or (resolution == self.resolution and not lod.fades)):
            raise ValueError(
                f"resolution {resolution} and fade {lod.fade} were requested from a "
                f"generator that does not grow; it has {self.resolution} only"
            )
        if noise not in NOISE_MODES:
            raise ValueError(f"noise (={noise!r}) must be one of {NOISE_MODES}")
        needed = 2 * (resolution.bit_length() - 2) if self.options.styles else 1
        if ws.ndim != 3 or not needed <= ws.shape[1] <= self.num_ws:
            raise ValueError(
                f"ws is {ws.shape}; {resolution}x{resolution} takes "
                f"[B, L, {self.w_dim}] with L from {needed} to {self.num_ws}"
            )
        ws = ws.astype(jnp.float32)
        x = self.input(ws[:, 0]).astype(self.dtype)
        image = None
        for i, r in enumerate(self.resolutions):
            if r > resolution:
                break
            for j in (2 * i, 2 * i + 1):
                x = self.layers[j](x, ws[:, min(j, ws.shape[1] - 1)], noise)
            below, image = image, None
            shown = r >= resolution // 2 or self.is_initializing()
            if shown and self.to_rgb[i] is not None:
                image = self.to_rgb[i](x).astype(jnp.float32)
            if r == resolution and r > 4 and lod.fades:
                below = resample.upscale2d(below)
                image = image + (below - image) * jnp.float32(1 - lod.fade)
        return image

    def flips_kernel(self, resolution: int) -> bool:
        """Whether the up-convolution to `resolution` holds its kernel mirrored."""
        if self.fused_scale == "auto":
            return resolution >= 128
        return bool(self.fused_scale)
