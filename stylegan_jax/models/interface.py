"""What every family of networks offers to training, sampling and interop."""

import dataclasses
from collections.abc import Callable
from typing import Protocol

import jax
import numpy as np

Variables = dict  # collection name -> nested dict of arrays, as Flax has them


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
        resolution: int | None = None,
        fade: jax.Array | float = 1.0,
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
        resolution: int | None = None,
        fade: jax.Array | float = 1.0,
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
        fade: jax.Array | float = 1.0,
    ) -> jax.Array:
        """Images [B,H,W,C], labels [B,label_size] -> logits [B] float32.

        The images' size says the stage: a growing network takes any resolution from 4
        to the full one.
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


def is_one(fade: jax.Array | float) -> bool:
    """Whether the resolution is known at trace time to stand at full strength."""
    return not isinstance(fade, jax.core.Tracer) and np.array_equal(fade, 1)
