"""Equivariance: how exactly an image follows translations and rotations of the input.

A generator draws an image, and the same image with its input translated or rotated. The
first one, moved like the input, is compared with the second one by the peak
signal-to-noise ratio, over the pixels that both show:

    EQ-T       translation by whole pixels
    EQ-T_frac  translation by any distance, with Lanczos' filter
    EQ-R       rotation; the second image is filtered without rotating, so that both
               have lost the same frequencies

Images are [B,H,W,C] of float32, and coordinates (x, y) point to the right and down.

Reference: Karras et al. 2021, "Alias-Free Generative Adversarial Networks", section
2.2, equation 3 and appendix E.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

LANCZOS = 3  # lobes of the filters on each side of the center
REACH = 64  # pixels on each side for which the filters of rotations are computed
UP = 4  # factor by which images are enlarged before they are rotated
PEAK = 2.0  # difference between black and white
_EXACT = jax.lax.Precision.HIGHEST


def translate_whole(
    images: jax.Array, x: float, y: float
) -> tuple[jax.Array, np.ndarray]:
    """Translate images by whole pixels.

    Args:
      images: [B,H,W,C].
      x: distance in image widths, which is rounded to pixels.
      y: distance in image heights.

    Returns:
      The images, and the mask [H,W] of the pixels that they show, 0 or 1.
    """
    height, width = images.shape[1:3]
    along = [round(x * width), round(y * height)]
    matrices = [
        np.eye(n, k=-shift, dtype=np.float32)
        for n, shift in ((height, along[1]), (width, along[0]))
    ]
    mask = np.outer(*(matrix.any(axis=1) for matrix in matrices))
    return _along_axes(images, *matrices), mask.astype(np.float32)


def translate(images: jax.Array, x: float, y: float) -> tuple[jax.Array, np.ndarray]:
    """Translate images by any distance; see `translate_whole`."""
    height, width = images.shape[1:3]
    rows, seen_rows = _lanczos_matrix(height, y * height)
    columns, seen_columns = _lanczos_matrix(width, x * width)
    return _along_axes(images, rows, columns), np.outer(seen_rows, seen_columns)


def rotate(images: jax.Array, angle: float) -> tuple[jax.Array, np.ndarray]:
    """Rotate square images counterclockwise around their center; see `translate_whole`.

    Args:
      images: [B,S,S,C].
      angle: angle in radians.
    """
    size = images.shape[1]
    taps = rotation_filter(angle, UP)
    reach = len(taps) // 2
    # Positions of the result's pixels in the enlarged image.
    centered = np.arange(size) + 0.5 - size / 2
    x, y = np.meshgrid(centered, centered)
    cos, sin = math.cos(angle), math.sin(angle)
    length = size * UP + 2 * reach
    source = np.stack([cos * x - sin * y, sin * x + cos * y]) * UP + length / 2
    rotated = _bilinear(_enlarge(images, jnp.asarray(taps)), *source.astype(np.float32))
    border, nearest = 2 * reach + 1, np.rint(source)
    inside = (nearest >= border) & (nearest < length - border)
    return rotated, inside.all(axis=0).astype(np.float32)


def pseudo_rotate(images: jax.Array, angle: float) -> tuple[jax.Array, np.ndarray]:
    """Filter images as `rotate` by -angle does, without rotating them."""
    taps = rotation_filter(-angle, 1)
    reach = len(taps) // 2
    filtered = _convolve(images, jnp.asarray(taps)[..., None], reach)[..., 0]
    mask = np.zeros(images.shape[1:3], np.float32)
    mask[reach:-reach, reach:-reach] = 1
    return filtered, mask


def squared_error(
    expected: jax.Array, actual: jax.Array, mask: np.ndarray
) -> tuple[jax.Array, float]:
    """Return the sum over images of squared differences, and the count of values."""
    shape = expected.shape
    differences = jnp.square(expected - actual) * mask[..., None]
    return jnp.sum(differences, axis=(1, 2, 3)), float(mask.sum()) * shape[3]


def psnr(mean_squared_error: float) -> float:
    """Return the peak signal-to-noise ratio in decibels."""
    with np.errstate(divide="ignore"):
        return float(20 * np.log10(PEAK) - 10 * np.log10(mean_squared_error))


@functools.lru_cache(maxsize=4)
def rotation_filter(angle: float, up: int) -> np.ndarray:
    """Return the low-pass filter for images that are enlarged and then rotated.

    It keeps the frequencies that both the grid of the image and the rotated grid can
    represent: the convolution of a sinc filter for each, with a window built this way.

    Args:
      angle: angle in radians.
      up: upsampling factor.

    Returns:
      float32 [4 * LANCZOS * up - 1] along each axis, whose sum is 1.
    """
    side = np.arange(1 - REACH * up, REACH * up) / up
    x, y = np.meshgrid(side, side)
    cos, sin = math.cos(angle), math.sin(angle)
    rotated = cos * x + sin * y, cos * y - sin * x

    def both(window) -> np.ndarray:
        spectra = [
            np.fft.fftn(np.fft.ifftshift(window(a) * window(b)))
            for a, b in ((x, y), rotated)
        ]
        return np.fft.fftshift(np.fft.ifftn(np.prod(spectra, axis=0)).real)

    def lanczos_window(x: np.ndarray) -> np.ndarray:
        return np.where(np.abs(x) < LANCZOS, np.sinc(x / LANCZOS), 0)

    keep = 2 * LANCZOS * up - 1  # taps on each side of the center
    middle = slice(len(side) // 2 - keep, len(side) // 2 + keep + 1)
    f = (both(np.sinc) * both(lanczos_window))[middle, middle]
    # Scale the taps of each of the `up` x `up` phases to the same sum.
    grid = np.pad(f, ((0, 1), (0, 1))).reshape(-1, up, len(f) // up + 1, up)
    grid = grid / grid.sum(axis=(0, 2), keepdims=True) / up**2
    return grid.reshape(len(f) + 1, -1)[:-1, :-1].astype(np.float32)


def _lanczos_matrix(size: int, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a translation along an axis as a matrix, and a mask of valid pixels."""
    whole = math.floor(shift)
    taps = np.arange(2 * LANCZOS) - (LANCZOS - 1)
    distance = taps - (shift - whole)
    weights = np.sinc(distance) * np.sinc(distance / LANCZOS)
    weights /= weights.sum()
    matrix = sum(
        weight * np.eye(size, k=-(whole + tap))
        for tap, weight in zip(taps, weights, strict=True)
    )
    shown = np.arange(size)
    first, last = max(whole + LANCZOS, 0), min(whole - LANCZOS + 1, 0) + size
    inside = (shown >= first) & (shown < last)
    return matrix.astype(np.float32), inside.astype(np.float32)


def _along_axes(images: jax.Array, rows: np.ndarray, columns: np.ndarray) -> jax.Array:
    images = jnp.einsum("nh,bhwc->bnwc", rows, images, precision=_EXACT)
    return jnp.einsum("nw,bhwc->bhnc", columns, images, precision=_EXACT)


def _convolve(images: jax.Array, kernels: jax.Array, padding: int) -> jax.Array:
    """Convolve every channel with kernels [k,k,N]: [B,H',W',C,N]."""
    batch, height, width, channels = images.shape
    planes = images.transpose(0, 3, 1, 2).reshape(-1, height, width, 1)
    y = jax.lax.conv_general_dilated(
        planes,
        kernels[::-1, ::-1, None],
        (1, 1),
        ((padding, padding),) * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=_EXACT,
    )
    y = y.reshape(batch, channels, *y.shape[1:])
    return y.transpose(0, 2, 3, 1, 4)


@jax.jit
def _enlarge(images: jax.Array, taps: jax.Array) -> jax.Array:
    """Upsample images by UP with a filter, including its reach beyond each edge.

    Output UP * q + r takes pixel q - d by tap UP * d + r - 2; all r are computed as
    outputs of one convolution.
    """
    count = len(taps) // UP + 2  # taps of each r
    padded = jnp.pad(taps, ((2, UP * count - len(taps) - 2),) * 2)
    kernels = padded.reshape(count, UP, count, UP).transpose(0, 2, 1, 3)
    y = _convolve(images, kernels.reshape(count, count, -1), count - 1)
    batch, rows, columns, channels, _ = y.shape
    y = y.reshape(batch, rows, columns, channels, UP, UP)
    y = y.transpose(0, 1, 4, 2, 5, 3).reshape(batch, rows * UP, columns * UP, channels)
    height, width = (n * UP + len(taps) - 1 for n in images.shape[1:3])
    return y[:, :height, :width] * UP**2


@jax.jit
def _bilinear(images: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    """Interpolate images at positions [H,W] in pixels; outside of them is zero."""
    left, top = jnp.floor(x), jnp.floor(y)
    total = 0.0
    for dx in (0, 1):
        for dy in (0, 1):
            column, row = left + dx, top + dy
            weight = (1 - jnp.abs(x - column)) * (1 - jnp.abs(y - row))
            inside = (column >= 0) & (column < images.shape[2])
            inside &= (row >= 0) & (row < images.shape[1])
            rows, columns = row.astype(int), column.astype(int)
            values = images.at[:, rows, columns].get(mode="clip")
            total = total + values * jnp.where(inside, weight, 0)[..., None]
    return total
