"""StyleGAN (2019): AdaIN synthesis and the growing discriminator.

The generator's options cover configurations B to F of the paper's table 1; B is the
generator of Progressive GAN with bilinear sampling.

Reference: Karras et al. 2019, "A Style-Based Generator Architecture for GANs",
figure 1, section 2 and appendix C; Karras et al. 2018, "Progressive Growing of GANs",
table 2.
"""

import dataclasses
import functools

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from stylegan_jax.config import ALL_RESOLUTIONS
from stylegan_jax.layers import resample
from stylegan_jax.layers.activations import ACTIVATIONS
from stylegan_jax.layers.conv2d import conv2d
from stylegan_jax.layers.linear import GAIN_LRELU, Bias, Conv, Dense, EqualizedKernel
from stylegan_jax.layers.matmul import EXACT, Arithmetic, matmul
from stylegan_jax.layers.minibatch_stddev import minibatch_stddev
from stylegan_jax.layers.noise import NoiseInjection
from stylegan_jax.layers.normalization import StyleModulation, instance_norm, pixel_norm
from stylegan_jax.layers.remat import convolved, remat
from stylegan_jax.models import interface, mapping
from stylegan_jax.models.interface import Channels, LevelOfDetail

__all__ = [
    "Channels",
    "ConstInput",
    "DenseInput",
    "Discriminator",
    "DiscriminatorBlock",
    "Generator",
    "LayerOptions",
    "SynthesisLayer",
]


@dataclasses.dataclass(frozen=True)
class LayerOptions:
    """Options that all synthesis layers of a generator share.

    Attributes:
      styles: modulate each layer by its w.
      noise: inject noise.
      pixel_norm: normalize pixels after the activation.
      instance_norm: normalize channels after the activation.
      nonlinearity: "lrelu" or "relu".
      blur_filter: taps of the low-pass filter after upsampling; () for none.
      plain_resampling: convolve at the higher resolution, in the official order of
        operations, instead of in the faster fused form; they differ by rounding only.
      arithmetic: precision and forms of the products, set by the network.
    """

    styles: bool = True
    noise: bool = True
    pixel_norm: bool = False
    instance_norm: bool = True
    nonlinearity: str = "lrelu"
    blur_filter: tuple[int, ...] = (1, 2, 1)
    plain_resampling: bool = False
    arithmetic: Arithmetic = EXACT


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
        """Map x [B,H,W,I] and w [B,W] to [B,H,W,features] ("up": twice H and W)."""
        o = self.options
        if self.kind != "input":
            shape = (3, 3, x.shape[-1], self.features)
            kernel = EqualizedKernel(shape, name="kernel")()
            if self.flip_kernel:
                kernel = kernel[::-1, ::-1]
            if self.kind == "up":
                x = resample.upscale_conv2d(x, kernel, o.plain_resampling, o.arithmetic)
                x = resample.blur2d(x, o.blur_filter)
            else:
                x = conv2d(x, kernel, o.arithmetic)
            x = convolved(x)
        self.sow("intermediates", "before_noise", x)
        if o.noise:
            x = NoiseInjection(name="noise")(x, noise)
        x = Bias(name="bias")(x)
        x = ACTIVATIONS[o.nonlinearity].function(x)
        if o.pixel_norm:
            x = pixel_norm(x)
        if o.instance_norm:
            x = instance_norm(x)
        self.sow("intermediates", "normalized", x)
        if o.styles:
            x = StyleModulation(o.arithmetic, name="style")(x, w)
        self.sow("intermediates", "styled", x)
        return x


class ConstInput(nn.Module):
    """The learned 4x4 constant that the synthesis starts from."""

    features: int

    @nn.compact
    def __call__(self, w: jax.Array) -> jax.Array:
        """Return [B,4,4,features], the same for every w [B,W]."""
        const = self.param("const", nn.initializers.ones, (4, 4, self.features))
        return jnp.broadcast_to(const, (w.shape[0], 4, 4, self.features))


class DenseInput(nn.Module):
    """The traditional input: a dense layer from the latent to 4x4 pixels."""

    features: int
    arithmetic: Arithmetic = EXACT

    @nn.compact
    def __call__(self, w: jax.Array) -> jax.Array:
        """Map w [B,W] to [B,4,4,features]; the next layer adds the bias."""
        shape = (w.shape[-1], 16 * self.features)
        kernel = EqualizedKernel(shape, GAIN_LRELU / 4, name="kernel")()
        x = matmul(w, kernel, self.arithmetic)
        return x.reshape(-1, 4, 4, self.features)


class Generator(interface.Generator):
    """The style-based generator; see `interface.Generator`.

    Attributes:
      mapping_layers: number of dense layers from z to w.
      mapping_features: features of all of them but the last.
      mapping_lr_multiplier: learning rate of the mapping, relative to the network's.
      mapping_nonlinearity: "lrelu" or "relu".
      normalize_z: apply pixel norm to the input of the mapping.
      const_input: start from a learned constant instead of a dense layer.
      options: shared by the synthesis layers.
      fused_scale: which up-convolutions store their kernels mirrored, as the official
        code does where it fuses them: "auto" (outputs of 128x128 and larger), True
        (all) or False (none). It matters for official weights only.
      growing: generate images at every resolution; else only the full one has a ToRGB.
    """

    low_precision_resolutions: int = ALL_RESOLUTIONS
    mapping_layers: int = 8
    mapping_features: int = 512
    mapping_lr_multiplier: float = 0.01
    mapping_nonlinearity: str = "lrelu"
    normalize_z: bool = True
    const_input: bool = True
    options: LayerOptions = LayerOptions()
    fused_scale: bool | str = "auto"
    growing: bool = True

    @property
    def grows(self) -> bool:
        """True if images of every resolution can be generated."""
        return self.growing

    def style_layers(self, resolution: int) -> range:
        """Return two style inputs for each resolution; without styles, one at 4x4."""
        if self.options.styles:
            return super().style_layers(resolution)
        return range(1) if resolution == 4 else range(1, 1)

    def noise_strengths(self) -> dict[int, tuple[str, ...]]:
        """Return the paths in "params" of the noise strengths, by style layer."""
        return {
            i: (f"layers_{i}", "noise", "strength")
            for i in range(2 * len(self.resolutions))
        }

    def style_affines(self) -> dict[int, tuple[tuple[str, ...], ...]]:
        """Return the paths in "params" of the affine maps from w to scale and shift."""
        if not self.options.styles:
            return {}
        return {i: ((f"layers_{i}", "style", "affine"),) for i in range(self.num_ws)}

    def feature_modules(self) -> dict[int, str]:
        """See `interface.Generator`: the second layer of each resolution."""
        return {r: f"layers_{2 * i + 1}" for i, r in enumerate(self.resolutions)}

    def flips_kernel(self, resolution: int) -> bool:
        """Return True if the up-convolution to `resolution` is stored mirrored."""
        if self.fused_scale == "auto":
            return resolution >= 128
        return bool(self.fused_scale)

    def setup(self):
        """Create the layers of all resolutions."""
        self.mapping = mapping.MappingNetwork(
            self.w_dim,
            self.mapping_layers,
            self.mapping_features,
            self.mapping_lr_multiplier,
            self.label_size,
            self.normalize_z,
            self.mapping_nonlinearity,
            self.arithmetic,
        )
        if self.const_input:
            self.input = ConstInput(self.channels(4))
        else:
            self.input = DenseInput(self.channels(4), self.arithmetic)
        options = dataclasses.replace(self.options, arithmetic=self.arithmetic)
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
            Conv(self.image_channels, 1, gain=1.0, arithmetic=self.arithmetic)
            if self.growing or r == self.resolution
            else None
            for r in self.resolutions
        ]
        self.w_avg = self.variable("stats", "w_avg", jnp.zeros, (self.w_dim,))

    def synthesize(
        self, ws: jax.Array, lod: LevelOfDetail | None = None, noise: str = "const"
    ) -> jax.Array:
        """Generate images from ws [B,L,W]; see `interface.Generator`."""
        ws, lod = self._check_synthesis(ws, lod, noise)
        x = self.input(ws[:, 0])
        image = None
        for i, r in enumerate(self.resolutions):
            if r > lod.resolution:
                break
            x = x.astype(self.dtype_at(r))
            for j in (2 * i, 2 * i + 1):
                x = self.layers[j](x, ws[:, min(j, ws.shape[1] - 1)], noise)
            below, image = image, None
            shown = r >= lod.resolution // 2 or self.is_initializing()
            if shown and self.to_rgb[i] is not None:
                image = self.to_rgb[i](x).astype(jnp.float32)
            if r == lod.resolution and r > 4 and lod.fades:
                below = resample.upscale2d(below)
                image = image + (below - image) * jnp.float32(1 - lod.fade)
        chex.assert_shape(image, (ws.shape[0], None, None, self.image_channels))
        return image


class DiscriminatorBlock(nn.Module):
    """conv -> blur -> conv that halves the size, each with bias and activation.

    Attributes:
      features: channels at this resolution.
      features_down: channels at the next lower resolution.
      nonlinearity: "lrelu" or "relu".
      blur_filter: taps of the low-pass filter before downsampling; () for none.
      plain_resampling: see `LayerOptions`.
      arithmetic: precision and forms of the products.
    """

    features: int
    features_down: int
    nonlinearity: str
    blur_filter: tuple[int, ...]
    plain_resampling: bool
    arithmetic: Arithmetic

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map [B,R,R,features] to [B,R/2,R/2,features_down]."""
        activation = ACTIVATIONS[self.nonlinearity].function
        conv = Conv(self.features, 3, arithmetic=self.arithmetic, name="conv")
        x = activation(convolved(conv(x)))
        x = resample.blur2d(x, self.blur_filter)
        shape = (3, 3, self.features, self.features_down)
        kernel = EqualizedKernel(shape, name="down_kernel")()
        x = resample.conv_downscale2d(x, kernel, self.plain_resampling, self.arithmetic)
        return activation(Bias(name="down_bias")(convolved(x)))


class Discriminator(interface.Discriminator):
    """The growing discriminator; see `interface.Discriminator`.

    The head at 4x4 is float32.

    Attributes:
      nonlinearity: "lrelu" or "relu".
      blur_filter: see `DiscriminatorBlock`.
      mbstd_group_size: images in a group of the minibatch standard deviation; 1 turns
        it off.
      mbstd_features: number of channels of these statistics.
      plain_resampling: see `LayerOptions`.
      growing: accept images of every resolution; else only the full one has a
        FromRGB.
    """

    low_precision_resolutions: int = ALL_RESOLUTIONS
    nonlinearity: str = "lrelu"
    blur_filter: tuple[int, ...] = (1, 2, 1)
    mbstd_group_size: int = 4
    mbstd_features: int = 1
    plain_resampling: bool = False
    growing: bool = True

    @property
    def grows(self) -> bool:
        """True if images of every resolution are accepted."""
        return self.growing

    def setup(self):
        """Create the layers of all resolutions."""
        conv = functools.partial(Conv, arithmetic=self.arithmetic)
        dense = functools.partial(Dense, arithmetic=self.arithmetic)
        self.from_rgb = [
            conv(self.channels(r), 1) if self.growing or r == self.resolution else None
            for r in self.resolutions
        ]
        self.blocks = [
            remat(DiscriminatorBlock, self.remat)(
                self.channels(r),
                self.channels(r // 2),
                self.nonlinearity,
                self.blur_filter,
                self.plain_resampling,
                self.arithmetic,
            )
            for r in self.resolutions[1:]
        ]
        self.conv = conv(self.channels(4), 3)
        self.dense0 = dense(self.channels(2))
        self.dense1 = dense(max(self.label_size, 1), gain=1.0)

    def __call__(
        self,
        images: jax.Array,
        labels: jax.Array | None = None,
        lod: LevelOfDetail | None = None,
    ) -> jax.Array:
        """Score images [B,R,R,C]; see `interface.Discriminator`."""
        lod = self._check_inputs(images, labels, lod)
        activation = ACTIVATIONS[self.nonlinearity].function
        start = self.resolutions.index(lod.resolution)
        images = images.astype(self.dtype_at(lod.resolution))
        x = activation(self.from_rgb[start](images))
        for i in range(start, 0, -1):
            x = self.blocks[i - 1](x.astype(self.dtype_at(self.resolutions[i])))
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
