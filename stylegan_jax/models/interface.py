"""What every family of networks offers to training, sampling and interop."""

import dataclasses
from collections.abc import Callable
from typing import Protocol

import jax
import numpy as np

Variables = dict  # collection name -> nested dict of arrays, as Flax has them


@jax.tree_util.register_pytree_node_class
@dataclasses.dataclass(frozen=True)
class LevelOfDetail:
    """A resolution of a growing network, and how far it is faded in.

    A pytree: `jax.jit` takes the resolution as static and traces the fade, except a
    Python 1.0, which stays static too, so that programs of a resolution at full
    strength do not contain the blending.

    Attributes:
      resolution: R, the height and width of the images in units of `base_size / 4`.
      fade: in [0,1], the weight of this resolution against the one below.

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


class Generator(Protocol):
    """Latents to images. A Flax module; the methods go through `apply`.

    Its variables are the collections "params", "noise" (constant noise maps) and
    "stats" (`w_avg`, the moving average of w that truncation pulls to).
    """

    resolution: int  # R of the full network
    base_size: tuple[int, int]  # (H, W) at resolution 4; images are R/4 times as large
    image_channels: int
    z_dim: int
    w_dim: int
    label_size: int  # 0 when unconditional
    num_ws: int  # L, style inputs of the full network
    resolutions: list[int]  # of all stages, rising
    channels: Callable[[int], int]  # feature maps at a resolution

    def __call__(
        self,
        z: jax.Array,
        labels: jax.Array | None = None,
        lod: LevelOfDetail | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        noise: str = "const",
    ) -> jax.Array:
        """Z [B,Z], labels [B,label_size] -> images [B,H,W,C] float32, about [-1,1]."""

    def map(self, z: jax.Array, labels: jax.Array | None = None) -> jax.Array:
        """Z [B,Z], labels [B,label_size] -> ws [B,L,W], not truncated."""

    def truncate(
        self, ws: jax.Array, psi: float = 1.0, cutoff: int | None = None
    ) -> jax.Array:
        """Pulls ws [B,L,W] towards w_avg; layers from `cutoff` on are left alone."""

    def synthesize(
        self,
        ws: jax.Array,
        lod: LevelOfDetail | None = None,
        noise: str = "const",
    ) -> jax.Array:
        """Ws [B,L,W] -> images [B,H,W,C]."""


class Discriminator(Protocol):
    """Images to logits. A Flax module with the one collection "params"."""

    resolution: int
    image_channels: int
    label_size: int

    def __call__(
        self,
        images: jax.Array,
        labels: jax.Array | None = None,
        lod: LevelOfDetail | None = None,
    ) -> jax.Array:
        """Images [B,H,W,C], labels [B,label_size] -> logits [B] float32.

        A growing network takes images of any resolution from 4 to the full one; `lod`
        must have the same resolution, and None is that resolution at full strength.
        """


@dataclasses.dataclass(frozen=True)
class Channels:
    """Number of feature maps by resolution R: 2 * base / R, at most `maximum`."""

    base: int = 8192
    maximum: int = 512
    decay: float = 1.0

    def __call__(self, resolution: int) -> int:
        """The feature maps at `resolution`."""
        stage = resolution.bit_length() - 2
        return min(int(self.base / 2.0 ** (stage * self.decay)), self.maximum)


def check_labels(labels: jax.Array | None, label_size: int, batch: int) -> None:
    """Raises ValueError unless `labels` are what a network of `label_size` takes."""
    got = None if labels is None else tuple(labels.shape)
    if label_size == 0 and got not in (None, (batch, 0)):
        raise ValueError(
            f"labels of shape {got} were given to a network without labels; leave "
            "them out"
        )
    if label_size and got != (batch, label_size):
        raise ValueError(
            f"labels are {got}; this network is conditional and takes one row of "
            f"{label_size} numbers per image: ({batch}, {label_size})"
        )


def check_resolution(resolution: int, full: int) -> None:
    """Raises ValueError unless a network of size `full` has a stage `resolution`."""
    allowed = [4 << i for i in range(full.bit_length() - 2)]
    if resolution not in allowed:
        raise ValueError(
            f"resolution {resolution} is not a stage of this {full}x{full} network; "
            f"it has {allowed}"
        )


def check_same_resolution(lod: LevelOfDetail, images: int) -> None:
    """Raise ValueError unless the images have the resolution of `lod`."""
    if lod.resolution != images:
        raise ValueError(
            f"lod has resolution {lod.resolution}, but the images are {images}x{images}"
        )
