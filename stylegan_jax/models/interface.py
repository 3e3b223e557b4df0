"""The interface of every family of networks to training, sampling and interop.

`Generator` and `Discriminator` are the base classes of each family's networks. They
declare what a family must define, and hold the checks and steps that families share.
"""

import dataclasses
import math

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.config import image_size
from stylegan_jax.layers.matmul import Arithmetic
from stylegan_jax.layers.noise import NOISE_MODES
from stylegan_jax.models import mapping

Variables = dict  # collection name -> nested dict of arrays, as in Flax


@dataclasses.dataclass(frozen=True)
class Channels:
    """Number of feature maps at resolution R: base / (R/2)^decay, at most `maximum`."""

    base: int = 8192
    maximum: int = 512
    decay: float = 1.0

    def __call__(self, resolution: int) -> int:
        """Return the number of feature maps at `resolution`."""
        stage = resolution.bit_length() - 2
        return min(int(self.base / 2.0 ** (stage * self.decay)), self.maximum)


@jax.tree_util.register_pytree_node_class
@dataclasses.dataclass(frozen=True)
class LevelOfDetail:
    """A resolution of a growing network, and the degree to which it is faded in.

    This is a pytree: `jax.jit` takes the resolution as static and traces the fade. A
    Python 1.0 stays static, too, so that programs of a resolution at full strength do
    not contain the blending.

    Attributes:
      resolution: R, a power of two from 4; images are R/4 times `base_size` large.
      fade: weight of this resolution against the one below, in [0,1].

    Reference: Karras et al. 2018, "Progressive Growing of GANs", section 2, figure 2.
    """

    resolution: int
    fade: jax.Array | float = 1.0

    @classmethod
    def from_scalar(cls, lod: float, full: int) -> "LevelOfDetail":
        """Convert the official scalar, log2(full / resolution) + 1 - fade."""
        return cls(full >> int(lod), 1 - (lod - int(lod)))

    @property
    def fades(self) -> bool:
        """False if the fade is known to be 1 at trace time."""
        return isinstance(self.fade, jax.core.Tracer) or not np.array_equal(
            self.fade, 1
        )

    def with_traced_fade(self) -> "LevelOfDetail":
        """Return the same level with a fade that `jax.jit` traces even if it is 1."""
        return LevelOfDetail(self.resolution, np.float32(self.fade))

    def tree_flatten(self) -> tuple[tuple, tuple]:
        """Return the traced children and the static data."""
        number = isinstance(self.fade, (int, float))
        if number and self.fade == 1:
            return (), (self.resolution,)
        # All fades as float32, so that numbers and arrays share one program.
        return (np.float32(self.fade) if number else self.fade,), (self.resolution,)

    @classmethod
    def tree_unflatten(cls, static: tuple, children: tuple) -> "LevelOfDetail":
        """Invert `tree_flatten`."""
        return cls(*static, *children)


class Network(nn.Module):
    """Common base of generators and discriminators.

    Attributes:
      resolution: R of the full network, a power of two from 4.
      image_channels: C, channels of the images.
      label_size: length of a label vector, 0 for unconditional networks.
      channels: number of feature maps by resolution.
      dtype: dtype of the activations, float32 or bfloat16; see `dtype_at`.
      low_precision_resolutions: number of the highest resolutions whose activations
        have `dtype`.
      float32_precision: precision of products of float32, see `layers.matmul`.
      remat: policy for the activations, see `layers.remat`.
      winograd: allow the faster convolutions on CPUs, which round differently; see
        `layers.conv2d_cpu`.
      pixel_blocks: use the convolutions for TPUs, which round differently; see
        `layers.blocks`.
      fused_columns: use the form of StyleGAN3's activation for GPUs, which rounds
        differently; see `layers.filtered_lrelu_gpu`.
    """

    resolution: int = 1024
    image_channels: int = 3
    label_size: int = 0
    channels: Channels = Channels()
    dtype: jnp.dtype = jnp.float32
    low_precision_resolutions: int = 0
    float32_precision: str = "highest"
    remat: str = "none"
    winograd: bool = False
    pixel_blocks: bool = False
    fused_columns: bool = False

    _lowest_low_precision = 4  # resolution; not a field

    @property
    def arithmetic(self) -> Arithmetic:
        """Arithmetic of all convolutions and matrix products of the network."""
        return Arithmetic(
            self.float32_precision,
            self.winograd,
            self.pixel_blocks,
            self.fused_columns,
        )

    def dtype_at(self, resolution: int) -> jnp.dtype:
        """Return the dtype of the activations at a resolution.

        It is `dtype` at the `low_precision_resolutions` highest resolutions of the full
        network, if the family allows it there, and float32 at all others.
        """
        n = self.low_precision_resolutions
        lowest = max(2 * self.resolution >> n, self._lowest_low_precision)
        return self.dtype if n > 0 and resolution >= lowest else jnp.float32

    @property
    def base_size(self) -> tuple[int, int]:
        """(H, W) of images at resolution 4."""
        return (4, 4)

    @property
    def resolutions(self) -> list[int]:
        """All resolutions of the network, from 4 up."""
        return [4 << i for i in range(self.resolution.bit_length() - 2)]

    @property
    def grows(self) -> bool:
        """True if the network works, and can fade in, at each of its resolutions.

        False if it works at its full resolution only.
        """
        raise NotImplementedError

    def _check_level(self, lod: LevelOfDetail) -> None:
        """Raise ValueError unless the network has this level of detail."""
        if lod.resolution not in self.resolutions:
            raise ValueError(
                f"resolution {lod.resolution} was requested, but this network has only "
                f"the resolutions {self.resolutions}"
            )
        if not self.grows and (lod.fades or lod.resolution != self.resolution):
            raise ValueError(
                f"resolution {lod.resolution} with fade {lod.fade} was requested, but "
                f"this network does not grow; it has resolution {self.resolution} only"
            )

    def _check_labels(self, labels: jax.Array | None, batch: int) -> None:
        """Raise ValueError unless `labels` fit the network and the batch."""
        got = None if labels is None else tuple(labels.shape)
        if self.label_size == 0 and got not in (None, (batch, 0)):
            raise ValueError(
                f"labels of shape {got} were given to a network without labels; leave "
                "them out"
            )
        if self.label_size and got != (batch, self.label_size):
            raise ValueError(
                f"labels are {got}; this network is conditional and takes one row of "
                f"{self.label_size} numbers per image: ({batch}, {self.label_size})"
            )


class Generator(Network):
    """Base of the generators: latents z -> styles ws -> images.

    Its variables are the collections "params", "stats" (moving averages, among them
    `w_avg`, that of w, which truncation pulls towards), and "noise" (constant noise
    maps, if any) and "constants", which training does not update.

    A family defines

    - `setup`, which creates `mapping`, a module (z, labels) -> w [B,W], and `w_avg`,
      the variable of "stats";
    - `synthesize`, which begins with `_check_synthesis`;
    - `grows`;
    - `style_layers`, unless every resolution has two style inputs. The ranges of
      successive resolutions must be contiguous; `num_ws` and style mixing follow from
      them;
    - `noise_strengths`, `style_affines` and `feature_modules`;
    - a field `base_size`, if images need not be square.

    Attributes:
      z_dim: Z, length of a latent.
      w_dim: W, length of a style.
    """

    z_dim: int = 512
    w_dim: int = 512

    @property
    def num_ws(self) -> int:
        """L, the number of style inputs of the full network."""
        return self.num_ws_at(self.resolution)

    def num_ws_at(self, resolution: int) -> int:
        """Return the number of style inputs that images of a resolution depend on."""
        return self.style_layers(resolution).stop

    def style_layers(self, resolution: int) -> range:
        """Return the style inputs that belong to a resolution: two at each."""
        first = 2 * self.resolutions.index(resolution)
        return range(first, first + 2)

    def largest_activation(self, resolution: int) -> int:
        """Return the number of elements of the largest activation of one image.

        Args:
          resolution: resolution of the image.
        """
        return max(
            math.prod(image_size(self.base_size, r)) * self.channels(r)
            for r in self.resolutions
            if r <= resolution
        )

    def noise_strengths(self) -> dict[int, tuple[str, ...]]:
        """Return the paths in "params" of the noise strengths, by style layer."""
        raise NotImplementedError

    def style_affines(self) -> dict[int, tuple[tuple[str, ...], ...]]:
        """Return the paths in "params" of the affine maps from w to styles.

        Returns:
          Style layer -> paths of `Dense` layers with a gain of 1: the path for the
          convolution, then the path for a ToRGB that shares its w. Empty for a
          generator without styles.
        """
        raise NotImplementedError

    def feature_modules(self) -> dict[int, str]:
        """Return the names of the modules whose outputs are features, by resolution.

        Features are [B,H,W,C]. Those of resolution R show the image in the central R/4
        times `base_size` positions; the rest is margin.
        """
        raise NotImplementedError

    def __call__(
        self,
        z: jax.Array,
        labels: jax.Array | None = None,
        lod: LevelOfDetail | None = None,
        truncation_psi: jax.Array | float | None = 1.0,
        truncation_cutoff: int | None = None,
        noise: str = "const",
    ) -> jax.Array:
        """Generate images.

        Args:
          z: [B,Z], standard normal.
          labels: [B,label_size], any numbers, for conditional networks.
          lod: the resolution and its fade; None is the full resolution, the only one
            of networks that do not grow. At 4x4 the fade has no effect.
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
        """Map z [B,Z] and labels [B,label_size] to ws [B,L,W], not truncated."""
        if z.ndim != 2 or z.shape[1] != self.z_dim:
            raise ValueError(f"z is {z.shape}; this network takes [B, {self.z_dim}]")
        self._check_labels(labels, z.shape[0])
        w = self.mapping(z, labels)
        chex.assert_rank(w, 2)
        return jnp.broadcast_to(w[:, None], (w.shape[0], self.num_ws, w.shape[-1]))

    def truncate(
        self,
        ws: jax.Array,
        psi: jax.Array | float | None = 1.0,
        cutoff: int | None = None,
    ) -> jax.Array:
        """Pull the layers of ws [B,L,W] below `cutoff` (None: all) towards `w_avg`."""
        return mapping.truncate(ws, self.w_avg.value, psi, cutoff)

    def synthesize(
        self, ws: jax.Array, lod: LevelOfDetail | None = None, noise: str = "const"
    ) -> jax.Array:
        """Generate images from ws [B,L,W].

        Arguments and result are those of `__call__`. For a lower resolution, ws may
        have as few layers as the resolution needs.
        """
        raise NotImplementedError

    def check_ws(self, ws: np.ndarray | jax.Array, *batch: int | str) -> None:
        """Raise ValueError unless the shape of ws is [*batch,L,W].

        Args:
          ws: styles.
          *batch: sizes of the first axes; "N" stands for any size but 0.
        """
        shape = (*batch, self.num_ws, self.w_dim)
        fits = len(ws.shape) == len(shape) and all(
            size > 0 if wanted == "N" else size == wanted
            for size, wanted in zip(ws.shape, shape, strict=True)
        )
        if not fits:
            raise ValueError(
                f"ws have shape {list(ws.shape)}; this network takes "
                f"[{', '.join(map(str, shape))}]{' with N > 0' * ('N' in batch)}"
            )

    def _check_synthesis(
        self, ws: jax.Array, lod: LevelOfDetail | None, noise: str
    ) -> tuple[jax.Array, LevelOfDetail]:
        """Return the float32 ws and the level of detail, or raise ValueError."""
        lod = LevelOfDetail(self.resolution) if lod is None else lod
        self._check_level(lod)
        if noise not in NOISE_MODES:
            raise ValueError(f"noise (={noise!r}) must be one of {NOISE_MODES}")
        needed = self.num_ws_at(lod.resolution)
        if ws.ndim != 3 or not needed <= ws.shape[1] <= self.num_ws:
            raise ValueError(
                f"ws is {ws.shape}; {lod.resolution}x{lod.resolution} takes "
                f"[B, L, {self.w_dim}] with L from {needed} to {self.num_ws}"
            )
        return ws.astype(jnp.float32), lod


class Discriminator(Network):
    """Base of the discriminators: images -> logits.

    Its only collection of variables is "params". A family defines `grows` and
    `__call__`, which begins with `_check_inputs`.
    """

    def __call__(
        self,
        images: jax.Array,
        labels: jax.Array | None = None,
        lod: LevelOfDetail | None = None,
    ) -> jax.Array:
        """Score images.

        Args:
          images: [B,H,W,C], about [-1,1]; a growing network takes any of its
            resolutions.
          labels: [B,label_size], any numbers, for conditional networks.
          lod: the resolution of the images and its fade; None is that resolution at
            full strength. At 4x4 the fade has no effect.

        Returns:
          Logits [B], float32, high for real images.
        """
        raise NotImplementedError

    def _check_inputs(
        self, images: jax.Array, labels: jax.Array | None, lod: LevelOfDetail | None
    ) -> LevelOfDetail:
        """Return the level of detail of the images, or raise ValueError."""
        sizes = {image_size(self.base_size, r): r for r in self.resolutions}
        resolution = sizes.get(tuple(images.shape[1:3]))
        if images.ndim != 4 or images.shape[3] != self.image_channels or not resolution:
            known = ", ".join(f"{h}x{w}" for h, w in sizes)
            raise ValueError(
                f"images are {images.shape}; this network takes "
                f"[B,H,W,{self.image_channels}] with HxW one of {known}"
            )
        lod = LevelOfDetail(resolution) if lod is None else lod
        if lod.resolution != resolution:
            raise ValueError(
                f"images of resolution {resolution} were given with `lod` of "
                f"resolution {lod.resolution}; they must agree"
            )
        self._check_level(lod)
        self._check_labels(labels, len(images))
        return lod
