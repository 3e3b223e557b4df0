"""LPIPS diversity: the mean perceptual distance of two generated images.

Reference: Zhu et al., "Toward Multimodal Image-to-Image Translation" (2017), section
    5.1; Zhang et al., LPIPS (2018), for the distance.
"""

import numpy as np

from stylegan_jax.metrics.path_length import PerceptualDistance


def pair_distances(images: np.ndarray, distance: PerceptualDistance) -> np.ndarray:
    """Distances of image 0 to 1, 2 to 3, ...

    Args:
      images: [N,H,W,3] uint8, of independent latents, N even.
      distance: e.g. LPIPS.

    Returns:
      [N / 2] float; their mean is the diversity, 0 if all images are the same.
    """
    scaled = images.astype(np.float32) / 127.5 - 1
    return distance(scaled[::2], scaled[1::2])
