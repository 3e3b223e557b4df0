"""LPIPS diversity: the mean perceptual distance between two generated images.

Reference: Zhu et al., "Toward Multimodal Image-to-Image Translation" (2017), section
    5.1; Zhang et al., LPIPS (2018), for the distance.
"""

import numpy as np

from stylegan_jax.metrics.results import MetricValue
from stylegan_jax.metrics.statistics import ImageBatch, Statistic, Statistics


def pair_distances(batch: ImageBatch) -> np.ndarray:
    """Return the distances [b / 2] of image 0 to 1, 2 to 3, and so on."""
    scaled = batch.images.astype(np.float32) / 127.5 - 1
    return batch.networks.lpips(scaled[::2], scaled[1::2])


PAIR_DISTANCES = Statistic(
    "distances", pair_distances, images_per_row=2, network="lpips", cached=False
)


def measure_lpips_diversity(
    reals: Statistics | None, generated: Statistics
) -> list[MetricValue]:
    """Return the mean distance between independent pairs; 0 for identical images."""
    del reals
    return [MetricValue.mean(generated[PAIR_DISTANCES])]
