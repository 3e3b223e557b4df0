"""Filter that amplifies each octave of an image's frequencies by its own gain.

Reference: Karras et al. 2020, "Training Generative Adversarial Networks with Limited
Data", appendix B.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.layers.matmul import precision


def filter_bands(images: jax.Array, gains: jax.Array) -> jax.Array:
    """Amplify four octaves of the frequencies of images, mirrored at their edges.

    Each image is multiplied by a matrix over rows and one over columns.

    Args:
      images: [B,H,W,C].
      gains: [B,4], from the lowest frequencies to the highest.

    Returns:
      [B,H,W,C].

    Raises:
      ValueError: the images are smaller than the filters.
    """
    chex.assert_rank(images, 4)
    chex.assert_shape(gains, (len(images), 4))
    _, height, width, _ = images.shape
    along = [
        jnp.einsum("bk,kij->bij", gains, _band_matrices(n), precision=precision(images))
        for n in (height, width)
    ]
    images = jnp.einsum("bij,bjwc->biwc", along[0], images, precision=precision(images))
    return jnp.einsum("bij,bhjc->bhic", along[1], images, precision=precision(images))


def band_filters() -> np.ndarray:
    """Return four filters [4,43] that sum to the identity, low frequencies first.

    The upper half of each octave is a band; the lower half is split further.
    """
    low = np.array([-1, 0, 9, 16, 9, 0, -1]) / 32  # sym2 convolved with itself
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
    """Return the filters as matrices [4,size,size] with mirrored edges."""
    filters = band_filters()
    reach = filters.shape[1] // 2
    if size <= reach:
        raise ValueError(
            f"images are {size} pixels wide or high, but the filters of `imgfilter` "
            f"need at least {reach + 1}; use a policy without `imgfilter`"
        )
    mirrored = np.pad(np.eye(size), ((reach, reach), (0, 0)), "reflect")
    windows = np.lib.stride_tricks.sliding_window_view(mirrored, 2 * reach + 1, axis=0)
    return np.einsum("kt,ijt->kij", filters, windows, optimize=True).astype(np.float32)
