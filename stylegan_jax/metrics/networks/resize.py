"""Methods of resizing images to a network's input size.

Results depend on the method: the FID between two differently resized copies of the same
images is not small. Each method is separable, one matrix for rows and one for columns:

    resized = R image C^T

The matrices are computed once, in float64. They are sparse, but applying them as dense
ones costs less than the first layers of the network.

Reference: Parmar et al., "On Aliased Resizing and Surprising Subtleties in GAN
    Evaluation" (2022), which compares the methods.
"""

import dataclasses
import functools
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
import numpy as np


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(1.0 - np.abs(x), 0.0)


def _cubic(a: float) -> Callable[[np.ndarray], np.ndarray]:
    """Return Keys' cubic convolution kernel with slope a (1981, equation 4)."""

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
    """A method of resizing.

    Attributes:
      kernel: Weight of a pixel as a function of its distance, in pixels.
      support: Distance in pixels beyond which the kernel is zero.
      positions: Position of pixel i of the result in the image. "corner": i * scale, as
        in TensorFlow 1, which shifts the image; "center": (i + 1/2) * scale - 1/2;
        "aligned": the outermost pixels of both coincide.
      antialias: True if the kernel is widened where the image shrinks.
      clip: True if the result is clipped to 0..255, which cubic kernels overshoot.
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
    # Further modes of PyTorch.
    "align_corners_bilinear": Mode(_triangle, 1, "aligned"),
    "half_pixel_bicubic": Mode(_cubic(-0.75), 2),
    "antialias_bilinear": Mode(_triangle, 1, antialias=True),
    "antialias_bicubic": Mode(_cubic(-0.5), 2, antialias=True),
}


def resize(images: jax.Array, height: int, width: int, mode: str) -> jax.Array:
    """Resize images; images of the right size remain unchanged.

    Args:
      images: [B,H,W,C] uint8 or float, 0..255.
      height: Height of the result in pixels.
      width: Width of the result in pixels.
      mode: One of MODES.

    Returns:
      [B,height,width,C] float32, not rounded; beyond 0..255 in cubic modes that do not
      clip.

    Raises:
      ValueError: There is no such mode.
    """
    if mode not in MODES:
        raise ValueError(
            f"there is no resize mode {mode!r}; choose one of {list(MODES)}"
        )
    chex.assert_rank(images, 4)
    images = jnp.asarray(images, jnp.float32)
    for axis, size in ((2, width), (1, height)):
        if images.shape[axis] == size:
            continue
        matrix = _matrix(images.shape[axis], size, mode)
        along = "bhwc,vw->bhvc" if axis == 2 else "bhwc,vh->bvwc"
        images = jnp.einsum(along, images, matrix, precision=jax.lax.Precision.HIGHEST)
    return jnp.clip(images, 0.0, 255.0) if MODES[mode].clip else images


@functools.lru_cache(maxsize=64)
def _matrix(size_in: int, size_out: int, mode: str) -> np.ndarray:
    """Return the matrix [size_out, size_in] float32 that resizes one axis."""
    m = MODES[mode]
    positions, scale = _positions(size_in, size_out, m.positions)
    if m.antialias:
        # The kernel is truncated at the border, and the rest normalized to sum to one.
        distances = (np.arange(size_in) - positions[:, None]) / max(scale, 1.0)
        matrix = m.kernel(distances)
        matrix = matrix / np.sum(matrix, axis=1, keepdims=True)
    else:
        # Pixels at the border are repeated beyond it.
        matrix = np.zeros((size_out, size_in))
        low = np.floor(positions).astype(int)
        for offset in range(1 - m.support, 1 + m.support):
            weight = m.kernel(low + offset - positions)
            column = np.clip(low + offset, 0, size_in - 1)
            np.add.at(matrix, (np.arange(size_out), column), weight)
    return matrix.astype(np.float32)


def _positions(size_in: int, size_out: int, kind: str) -> tuple[np.ndarray, float]:
    """Return the positions of the result's pixels in the image, and the scale."""
    i = np.arange(size_out)
    if kind == "corner":
        # TensorFlow computes the scale in float32, which affects the result. Its
        # float32 positions, which change values by at most a thousandth, are ignored.
        scale = float(np.float32(size_in) / np.float32(size_out))
        return i * scale, scale
    if kind == "aligned":
        scale = (size_in - 1) / max(size_out - 1, 1)
        return i * scale, scale
    scale = size_in / size_out
    return (i + 0.5) * scale - 0.5, scale
