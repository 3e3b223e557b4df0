"""The mean and the standard deviation of w, computed as in the official projector."""

from typing import NamedTuple

import numpy as np

from stylegan_jax.networks.network import Label, Network
from stylegan_jax.sampling.truncation import MAP_BATCH

SAMPLES, SEED = 10_000, 123


class WStatistics(NamedTuple):
    """Statistics of w.

    Attributes:
      mean: [W] float32.
      std: root mean square distance of w to the mean, over all components together.
    """

    mean: np.ndarray
    std: float


def w_statistics(network: Network, label: Label = None) -> WStatistics:
    """Return the statistics of w over SAMPLES random latents.

    Args:
      network: the network.
      label: label of all latents; see `Network.label`.
    """
    z = np.random.RandomState(SEED).randn(SAMPLES, network.generator.z_dim)
    w = map_latents(network, z.astype(np.float32), label)
    mean = np.mean(w, axis=0)
    std = float(np.sqrt(np.sum(np.square(w - mean)) / len(w)))
    return WStatistics(mean.astype(np.float32), std)


def random_w(network: Network, label: Label, count: int, seed: int) -> np.ndarray:
    """Return w [count,W] float32 of random latents."""
    z = np.random.RandomState(seed).randn(count, network.generator.z_dim)
    return map_latents(network, z.astype(np.float32), label).astype(np.float32)


def map_latents(network: Network, z: np.ndarray, label: Label) -> np.ndarray:
    """Return w [N,W] float64 of latents z [N,Z]."""
    parts = [z[i : i + MAP_BATCH] for i in range(0, len(z), MAP_BATCH)]
    rows = [np.asarray(network.map(part, label)[:, 0], np.float64) for part in parts]
    return np.concatenate(rows)
