"""How an image comes to the size that a network takes: the ways that are in use.

A figure depends on it: FID between the same images resized in two of these ways is
not small. Each way is separable, one matrix for the rows and one for the columns:

    resized = R image C^T

The matrices are made once in float64 and are sparse; that they are applied as dense
ones costs less than the first layers of the network.

Reference: Parmar et al., "On Aliased Resizing and Surprising Subtleties in GAN
    Evaluation" (2022), which compares them.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(1.0 - np.abs(x), 0.0)


def _cubic(a: float) -> Callable[[np.ndarray], np.ndarray]:
    """Keys' cubic convolution kernel of slope a (1981, equation 4 with a free)."""

    def kernel(x: np.ndarray) -> np.ndarray:
        x = np.abs(x)
        near = ((a + 2) * x - (a + 3)) * x * x + 1
        far = (((x - 5) * x + 8) * x - 4) * a
        return np.where(x <= 1, near, np.where(x < 2, far, 0.0))

    return kernel


def _nearest_before(x: np.ndarray) -> np.ndarray:
    return np.where((x > -1) & (x <= 0), 1.0, 0.0)


@dataclasses.dataclass(frozen=True)
class Mode:
    """One way to resize.

    Attributes:
      kernel: weight of a pixel at a distance, in pixels.
      support: distance from which on it is zero.
      positions: where pixel i of the result lies in the image, "corner": i * scale,
        as TensorFlow 1 has it, which shifts the image; "center": (i + 1/2) * scale -
        1/2; "aligned": the outermost pixels of both coincide.
      antialias: whether the kernel is widened where the image shrinks.
      clip: whether the result is cut to 0..255, beyond which cubic kernels go.
    """

    kernel: Callable[[np.ndarray], np.ndarray]
    support: int
    positions: str = "center"
    antialias: bool = False
    clip: bool = False


MODES = {
    # TensorFlow 1: the official FID, StyleGAN to StyleGAN3, torch-fidelity.
    "tf1_bilinear": Mode(_triangle, 1, "corner"),
    "tf1_nearest": Mode(_nearest_before, 1, "corner"),
    # pytorch-fid.
    "half_pixel_bilinear": Mode(_triangle, 1),
    # clean-fid.
    "clean": Mode(_cubic(-0.5), 2, antialias=True, clip=True),
    # Other choices of PyTorch's.
    "align_corners_bilinear": Mode(_triangle, 1, "aligned"),
    "half_pixel_bicubic": Mode(_cubic(-0.75), 2),
    "antialias_bilinear": Mode(_triangle, 1, antialias=True),
    "antialias_bicubic": Mode(_cubic(-0.5), 2, antialias=True),
}


def resize(images: jax.Array, height: int, width: int, mode: str) -> jax.Array:
    """Resizes images; those that have the size are left alone.

    Args:
      images: [B,H,W,C] uint8 or float, 0..255.
      height: of the result, in pixels.
      width: of the result, in pixels.
      mode: a name of MODES.

    Returns:
      [B,height,width,C] float32, not rounded; beyond 0..255 in cubic modes that do not
      clip.

    Raises:
      ValueError: there is no such mode.
    """
    if mode not in MODES:
        raise ValueError(f"there is no resize mode {mode!r}; choose of {list(MODES)}")
    way = MODES[mode]
    images = jnp.asarray(images, jnp.float32)
    for axis, size in ((2, width), (1, height)):
        if images.shape[axis] == size:
            continue
        matrix = weights(images.shape[axis], size, mode)
        along = "bhwc,vw->bhvc" if axis == 2 else "bhwc,vh->bvwc"
        images = jnp.einsum(along, images, matrix, precision=jax.lax.Precision.HIGHEST)
    return jnp.clip(images, 0.0, 255.0) if way.clip else images


@functools.lru_cache(maxsize=64)
def weights(size_in: int, size_out: int, mode: str) -> np.ndarray:
    """The matrix [size_out, size_in] float32 that resizes one axis."""
    way = MODES[mode]
    positions, scale = _positions(size_in, size_out, way.positions)
    width = max(scale, 1.0) if way.antialias else 1.0
    pixels = np.arange(size_in)
    if way.antialias:
        # The kernel is cut at the border, what is left of it sums to one.
        table = way.kernel((pixels - positions[:, None]) / width)
        table = table / np.sum(table, axis=1, keepdims=True)
    else:
        # The border's pixels stand for those beyond it.
        table = np.zeros((size_out, size_in))
        low = np.floor(positions).astype(int)
        for offset in range(1 - way.support, 1 + way.support):
            weight = way.kernel(low + offset - positions)
            column = np.clip(low + offset, 0, size_in - 1)
            np.add.at(table, (np.arange(size_out), column), weight)
    return table.astype(np.float32)


def _positions(size_in: int, size_out: int, kind: str) -> tuple[np.ndarray, float]:
    """Where the pixels of the result lie in the image, and the scale; in pixels."""
    i = np.arange(size_out)
    if kind == "corner":
        # TensorFlow has the scale in float32, and it shows; that it has the positions
        # in float32 too moves values by a thousandth at most.
        scale = float(np.float32(size_in) / np.float32(size_out))
        return i * scale, scale
    if kind == "aligned":
        scale = (size_in - 1) / max(size_out - 1, 1)
        return i * scale, scale
    scale = size_in / size_out
    return (i + 0.5) * scale - 0.5, scale
