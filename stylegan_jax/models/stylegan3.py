"""StyleGAN3: an alias-free generator, equivariant to translation and rotation.

Fourier features -> layers of a modulated convolution and a filtered leaky ReLU ->
ToRGB. Every feature map represents a continuous signal, and the geometry of the layers
(`stylegan3_geometry`) removes the frequencies that its grid cannot represent. Config T
is equivariant to translation; config R, with 1x1 kernels and radial filters, also to
rotation. There are no noise inputs. The discriminator is StyleGAN2's.

Reference: Karras et al. 2021, "Alias-Free Generative Adversarial Networks", section 3
and figure 4.
"""

import math

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from stylegan_jax.layers.conv2d import conv2d_padded
from stylegan_jax.layers.filtered_lrelu import filtered_lrelu
from stylegan_jax.layers.linear import GAIN_LRELU, Dense, spread
from stylegan_jax.layers.matmul import EXACT, Arithmetic, matmul
from stylegan_jax.layers.modulation import EPSILON
from stylegan_jax.layers.remat import convolved, remat
from stylegan_jax.models import interface, mapping
from stylegan_jax.models.interface import Channels, LevelOfDetail
from stylegan_jax.models.stylegan3_geometry import (
    LayerGeometry,
    Options,
    Signal,
    Table,
    table,
)


class FourierInput(nn.Module):
    """Fourier features, rotated and translated by w and by the user's transform.

    The variables of the collection "constants" are not trained: the frequencies, the
    phases, and `transform`, the user's inverse transform of image coordinates, [3,3],
    or [B,3,3] with one for each image.

    Attributes:
      signal: the geometry of the features.
      arithmetic: precision of the products.

    Reference: Karras et al. 2021, section 3.1 ("Fourier features") and appendix F.
    """

    signal: Signal
    arithmetic: Arithmetic = EXACT

    @nn.compact
    def __call__(self, w: jax.Array) -> jax.Array:
        """Map w [B,W] to features [B,S,S,C], float32."""
        s, c = self.signal, self.signal.channels
        frequencies, phases = self._constants()
        user = self.variable("constants", "transform", jnp.eye, 3).value
        exact = {"precision": jax.lax.Precision.HIGHEST}

        # Each image's learned transform, applied after the user's transform.
        t = Dense(
            4,
            gain=1.0,
            kernel_init=0.0,
            bias_init=(1.0, 0.0, 0.0, 0.0),
            arithmetic=self.arithmetic,
            name="affine",
        )(w)
        t = t / jnp.linalg.norm(t[:, :2], axis=1, keepdims=True)
        cos, sin, x, y = (t[:, i] for i in range(4))
        zero, one = jnp.zeros_like(cos), jnp.ones_like(cos)
        rotate = _matrices([[cos, -sin, zero], [sin, cos, zero], [zero, zero, one]])
        translate = _matrices([[one, zero, -x], [zero, one, -y], [zero, zero, one]])
        transform = jnp.matmul(jnp.matmul(rotate, translate, **exact), user, **exact)
        phases = phases + jnp.einsum(
            "cj,bj->bc", frequencies, transform[:, :2, 2], **exact
        )
        frequencies = jnp.einsum(
            "cj,bjk->bck", frequencies, transform[:, :2, :2], **exact
        )

        # Fade out the frequencies that the grid cannot represent.
        norms = jnp.linalg.norm(frequencies, axis=2)
        above = (norms - s.cutoff) / (s.rate / 2 - s.cutoff)
        amplitudes = jnp.clip(1 - above, 0, 1)

        axis = (jnp.arange(s.size) + 0.5 - s.size / 2) / s.rate
        along_x, along_y = (
            frequencies[:, None, :, i] * axis[:, None] for i in range(2)
        )  # each [B,S,C]
        angles = along_x[:, None] + along_y[:, :, None] + phases[:, None, None]
        features = jnp.sin(2 * jnp.pi * angles) * amplitudes[:, None, None]
        weight = self.param("weight", nn.initializers.normal(1.0), (c, c))
        # A convolution: for a GPU, XLA (jaxlib 0.10.2) finds no tiles for the product
        # of matrices in a whole program, and fails to compile it.
        kernel = weight[None, None] / math.sqrt(c)
        return conv2d_padded(features, kernel, 0, self.arithmetic)

    def _constants(self) -> tuple[jax.Array, jax.Array]:
        """Return random frequencies [C,2] within the cutoff, and phases [C]."""
        c, cutoff = self.signal.channels, self.signal.cutoff

        def frequencies() -> jax.Array:
            f = jax.random.normal(self.make_rng("params"), (c, 2))
            norm = jnp.linalg.norm(f, axis=1, keepdims=True)
            return f / (norm * jnp.exp(jnp.square(norm)) ** 0.25) * cutoff

        def phases() -> jax.Array:
            return jax.random.uniform(self.make_rng("params"), (c,)) - 0.5

        return (
            self.variable("constants", "frequencies", frequencies).value,
            self.variable("constants", "phases", phases).value,
        )


def _matrices(rows: list[list[jax.Array]]) -> jax.Array:
    """Stack entries [B] into matrices [B,3,3]."""
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)


class SynthesisLayer(nn.Module):
    """Modulated convolution -> bias -> filtered leaky ReLU; ToRGB without demodulation.

    The input is divided by the square root of a moving average of its mean square, the
    variable `magnitude` of "stats".

    Attributes:
      geometry: sizes, rates and filters.
      clamp: bound of the activations; None for none.
      dtype: type of the activations.
      arithmetic: precision and forms of the products.

    Reference: Karras et al. 2021, figure 4b and appendix D.
    """

    geometry: LayerGeometry
    clamp: float | None
    dtype: jnp.dtype
    arithmetic: Arithmetic

    @nn.compact
    def __call__(
        self, x: jax.Array, w: jax.Array, magnitude_beta: float | None = None
    ) -> jax.Array:
        """Map x [B,S,S,I] and w [B,W] to [B,S',S',O]; see `Generator.synthesize`."""
        g, inputs = self.geometry, self.geometry.before.channels
        magnitude = self._magnitude(x, magnitude_beta)
        affine = Dense(
            inputs, gain=1.0, bias_init=1.0, arithmetic=self.arithmetic, name="affine"
        )
        shape = (g.kernel, g.kernel, inputs, g.after.channels)
        kernel = self.param("weight", nn.initializers.normal(1.0), shape)
        bias = self.param("bias", nn.initializers.zeros, (g.after.channels,))
        x, style = x.astype(self.dtype), affine(w)
        gain = jax.lax.rsqrt(magnitude)
        if g.is_to_rgb:
            scale = jnp.full((1, g.after.channels), 1 / math.sqrt(inputs))
        else:
            scale = demodulation(kernel, style, self.arithmetic)
        return filtered_lrelu(
            self._convolve(x, kernel, style, scale * gain),
            bias,
            g.up_filter,
            g.down_filter,
            g.up,
            g.down,
            g.padding,
            gain=1.0 if g.is_to_rgb else GAIN_LRELU,
            slope=1.0 if g.is_to_rgb else 0.2,
            clamp=self.clamp,
            arithmetic=self.arithmetic,
        )

    def _magnitude(self, x: jax.Array, beta: float | None) -> jax.Array:
        """Update the average mean square of x if there is a decay, and return it."""
        average = self.variable("stats", "magnitude", jnp.ones, ())
        if beta is not None:
            now = jnp.mean(jnp.square(jax.lax.stop_gradient(x).astype(jnp.float32)))
            average.value = now + (average.value - now) * beta
        return average.value

    def _convolve(
        self, x: jax.Array, kernel: jax.Array, style: jax.Array, scale: jax.Array
    ) -> jax.Array:
        """Convolve with full padding: at all positions where the kernel overlaps x.

        The inputs are scaled by style [B,I], the outputs by scale, [B,O] or [1,O]. A
        1x1 kernel with fewer numbers than half of an image is scaled instead, one
        kernel for each image, which saves passes over the images.
        """
        k, outputs = len(kernel), kernel.shape[-1]
        if k == 1 and 2 * outputs < x.shape[1] * x.shape[2]:
            kernels = kernel[0, 0] * style[:, :, None] * scale[:, None]
            return convolved(matmul(x, kernels, self.arithmetic))
        x = x * spread(style[:, None, None], x)
        x = convolved(conv2d_padded(x, kernel, k - 1, self.arithmetic))
        return x * spread(scale[:, None, None], x)


def demodulation(
    kernel: jax.Array, style: jax.Array, arithmetic: Arithmetic = EXACT
) -> jax.Array:
    """Return 1 / norm of the modulated kernel for every output channel: [B,O].

    The official code first scales the kernel to unit mean square for every output
    channel, and the styles to unit mean square over the batch. Demodulation cancels
    both, except for the scale of epsilon. Here, that scale uses the styles of each
    image alone, so no image depends on the others in its batch.

    Args:
      kernel: [k,k,I,O].
      style: [B,I].
      arithmetic: precision of the product.
    """
    energy = jnp.square(kernel)
    norm = matmul(jnp.square(style), jnp.sum(energy, axis=(0, 1)), arithmetic)
    mean_square = jnp.mean(jnp.square(style), axis=1, keepdims=True)
    scale = mean_square * jnp.mean(energy, axis=(0, 1, 2))
    return jax.lax.rsqrt(norm + EPSILON * scale)


class Generator(interface.Generator):
    """The StyleGAN3 generator; see `interface.Generator`.

    `channels` gives the number of channels as a function of twice a layer's cutoff.

    Attributes:
      mapping_layers: number of dense layers from z to w.
      mapping_features: features of the mapping's inner layers; None is W.
      mapping_lr_multiplier: learning rate of the mapping, relative to the network's.
      design: the design of the layers.
      conv_clamp: bound of the activations; None for none.
      output_scale: factor of the images.
    """

    mapping_layers: int = 2
    mapping_features: int | None = None
    mapping_lr_multiplier: float = 0.01
    channels: Channels = Channels(16384)
    design: Options = Options()
    conv_clamp: float | None = 256.0
    output_scale: float = 0.25

    @property
    def grows(self) -> bool:
        """False: only images of the full resolution can be generated."""
        return False

    @property
    def table(self) -> Table:
        """The geometry of the layers."""
        return table(self.design, self.resolution, self.channels, self.image_channels)

    def style_layers(self, resolution: int) -> range:
        """Return the layers whose cutoff is in the octave below half a resolution.

        Style 0 is the style of the Fourier features; those of the layers follow. ToRGB
        belongs to the full resolution.
        """
        cutoffs = [layer.after.cutoff for layer in self.table.layers]
        octaves = [max(math.ceil(math.log2(2 * c) - 1e-6), 2) for c in cutoffs]
        octaves = [octaves[0], *octaves]
        octave = resolution.bit_length() - 1
        return range(
            sum(o < octave for o in octaves), sum(o <= octave for o in octaves)
        )

    def largest_activation(self, resolution: int) -> int:
        """See `interface.Generator`; it is on the finer grid of a nonlinearity."""
        return max(
            (layer.after.size * layer.down) ** 2 * layer.after.channels
            for layer in self.table.layers
        )

    def noise_strengths(self) -> dict[int, tuple[str, ...]]:
        """Return an empty dict, because there are no noise inputs."""
        return {}

    def style_affines(self) -> dict[int, tuple[tuple[str, ...], ...]]:
        """Return the paths in "params" of the affine maps from w to styles.

        The styles of the Fourier features are the parameters of their transform.
        """
        layers = ["input", *(f"layers_{i}" for i in range(self.design.num_layers + 1))]
        return {i: ((name, "affine"),) for i, name in enumerate(layers)}

    def feature_modules(self) -> dict[int, str]:
        """See `interface.Generator`; they are the last layers at each sampling rate."""
        layers = enumerate(self.table.layers)
        return {g.after.rate: f"layers_{i}" for i, g in layers if not g.is_to_rgb}

    def setup(self):
        """Create the layers."""
        self.mapping = mapping.StyleGAN2Mapping(
            self.w_dim,
            self.z_dim,
            self.label_size,
            self.mapping_layers,
            self.mapping_features,
            lr_multiplier=self.mapping_lr_multiplier,
            arithmetic=self.arithmetic,
        )
        self.input = FourierInput(self.table.first, self.arithmetic)
        layer = remat(SynthesisLayer, self.remat, static_argnums=(3,))
        self.layers = [
            layer(g, self.conv_clamp, self.dtype_at(g.after.rate), self.arithmetic)
            for g in self.table.layers
        ]
        self.w_avg = self.variable("stats", "w_avg", jnp.zeros, (self.w_dim,))

    def synthesize(
        self,
        ws: jax.Array,
        lod: LevelOfDetail | None = None,
        noise: str = "const",
        magnitude_beta: float | None = None,
    ) -> jax.Array:
        """Generate images from ws [B,L,W]; see `interface.Generator`.

        Args:
          ws: [B,L,W].
          lod: the full resolution, or None.
          noise: has no effect.
          magnitude_beta: decay with which this call updates the moving averages of the
            magnitudes, which are mutable variables of "stats"; None leaves them
            unchanged.
        """
        ws, _ = self._check_synthesis(ws, lod, noise)
        x = self.input(ws[:, 0])
        for i, layer in enumerate(self.layers):
            x = layer(x, ws[:, i + 1], magnitude_beta)
        x = x.astype(jnp.float32) * self.output_scale
        chex.assert_shape(
            x, (ws.shape[0], self.resolution, self.resolution, self.image_channels)
        )
        return x
