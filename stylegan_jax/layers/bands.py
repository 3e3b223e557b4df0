"""Amplifies octaves of images' frequencies, each by itself.

Reference: Karras et al. 2020, "Training Generative Adversarial Networks with Limited
Data", appendix B.
"""

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.layers.matmul import precision


def filter_bands(images: jax.Array, gains: jax.Array) -> jax.Array:
    """Amplifies four octaves, the image mirrored at its edges.

    For each image a matrix of rows by rows, and one of columns by columns.

    Args:
      images: [B,H,W,C].
      gains: [B,4], from the lowest frequencies to the highest.

    Returns:
      [B,H,W,C].

    Raises:
      ValueError: if the images are smaller than the filters.
    """
    _, height, width, _ = images.shape
    along = [
        jnp.einsum("bk,kij->bij", gains, _band_matrices(n), precision=precision(images))
        for n in (height, width)
    ]
    images = jnp.einsum("bij,bjwc->biwc", along[0], images, precision=precision(images))
    return jnp.einsum("bij,bhjc->bhic", along[1], images, precision=precision(images))


def band_filters() -> np.ndarray:
    """Four filters [4,43] that add up to the identity, from low frequencies to high.

    Of each octave the upper half is a band, the lower is split further.
    """
    low = np.array([-1, 0, 9, 16, 9, 0, -1]) / 32  # the wavelet sym2 with itself
    high = low * (-1) ** (np.arange(7) + 1)
    bands = np.ones((1, 1))
    for _ in range(3):
        apart = np.zeros((len(bands), 2 * bands.shape[1] - 1))
        apart[:, ::2] = bands
        bands = np.stack([np.convolve(band, low) for band in apart])
        highest = np.pad(high, (bands.shape[1] - 7) // 2)
        bands = np.concatenate([bands, highest[None]])
    return bands


def _band_matrices(size: int) -> np.ndarray:
    """The filters as matrices [4,size,size], with mirrored edges."""
    filters = band_filters()
    reach = filters.shape[1] // 2
    if size <= reach:
        raise ValueError(
            f"images are {size} pixels wide or high; the filters of `imgfilter` take "
            f"at least {reach + 1}"
        )
    mirrored = np.pad(np.eye(size), ((reach, reach), (0, 0)), "reflect")
    windows = np.lib.stride_tricks.sliding_window_view(mirrored, 2 * reach + 1, axis=0)
    return np.einsum("kt,ijt->kij", filters, windows, optimize=True).astype(np.float32)
