"""Figures of the noise inputs: their variation, and their effect by resolution.

Reference: Karras et al. 2019, "A Style-Based Generator Architecture for GANs",
section 3.2, figures 4 and 5.
"""

from collections.abc import Sequence

import numpy as np

from stylegan_jax.runtime.image_io import to_uint8
from stylegan_jax.sampling.figures.sampler import Figure, Sampler, seed_names
from stylegan_jax.sampling.labeled_grid import labeled_grid
from stylegan_jax.sampling.noise import noise_layers

CROPS = 4  # number of realizations that are shown
CROP_SHARE = 4  # side of the image / side of a crop


def noise(sampler: Sampler, seeds: Sequence[int]) -> Figure:
    """Draw a row for each seed: noise everywhere, nowhere, at fine or coarse layers.

    Coarse layers are those of the lower half of the resolutions, 4 to 32 of 1024.

    Raises:
      ValueError: the network has no noise.
    """
    layers = noise_layers(sampler.generator, sampler.variables)
    levels = [r for r in sampler.generator.resolutions if r <= sampler.lod.resolution]
    coarse = [i for i, r in layers.items() if r in levels[: len(levels) // 2]]
    fine = [i for i in layers if i not in coarse]
    kept = {"all": None, "none": (), "fine": fine, "coarse": coarse}
    ws = sampler.styles(seeds)
    columns = [sampler.draw(ws, noise_layers=chosen) for chosen in kept.values()]
    rows = list(zip(*columns, strict=True))
    return Figure(labeled_grid(rows, seed_names(seeds), list(kept)))


def stochastic(sampler: Sampler, seeds: Sequence[int], realizations: int) -> Figure:
    """Draw a row for each seed: the image, crops with new noise, and the deviation.

    The crops are taken where the noise changes most. The last column shows the standard
    deviation of each pixel, from black for none to white for the largest.

    Args:
      sampler: the network.
      seeds: the seeds.
      realizations: number of realizations of the noise.

    Raises:
      ValueError: the network has no noise, or there are too few realizations.
    """
    noise_layers(sampler.generator, sampler.variables)
    if realizations < CROPS:
        raise ValueError(
            f"the number of realizations (={realizations}) must be at least {CROPS}, "
            "the number shown"
        )
    rows, lines = [], []
    ws = sampler.styles(seeds)
    for name, w, image in zip(seed_names(seeds), ws, sampler.draw(ws), strict=True):
        first, deviation = noise_deviation(sampler, w, realizations)
        y, x = _liveliest(deviation)
        height, width = (side // CROP_SHARE for side in deviation.shape)
        crops = first[:, y : y + height, x : x + width]
        scale = 2 / max(deviation.max(), 1e-12)
        rows.append([image, *crops, to_uint8(deviation * scale - 1)[..., None]])
        lines.append(
            f"{name}: standard deviation {127.5 * deviation.mean():.2f} on average, "
            f"{127.5 * deviation.max():.2f} at most, of 255"
        )
    names = ["image", *(f"noise {i + 1}" for i in range(CROPS)), "deviation"]
    return Figure(labeled_grid(rows, seed_names(seeds), names), tuple(lines))


def noise_deviation(
    sampler: Sampler, w: np.ndarray, realizations: int, noise: str = "random"
) -> tuple[np.ndarray, np.ndarray]:
    """Return the first images of a style, and the deviation over many of them.

    Args:
      sampler: the network.
      w: styles of one image, [L,W].
      realizations: number of realizations of the noise.
      noise: "random", or another mode, whose images do not vary.

    Returns:
      Images [CROPS,H,W,C] uint8, and the standard deviation of each pixel [H,W], the
      root mean square over the channels; pixels are clipped to [-1,1].
    """
    count, reference, total, squares = 0, None, 0.0, 0.0
    first: list[np.ndarray] = []
    repeated = np.broadcast_to(np.asarray(w), (realizations, *w.shape))
    for images in sampler.batches(repeated, noise=noise):
        images = np.clip(images, -1, 1)  # as in saved images
        first.extend(images[: CROPS - len(first)])
        # Relative to an image, so that equal ones have a deviation of exactly zero.
        reference = images[0].astype(np.float64) if reference is None else reference
        difference = images - reference
        count += len(images)
        total = total + difference.sum(0)
        squares = squares + np.square(difference).sum(0)
    variance = np.maximum(squares / count - np.square(total / count), 0)
    return to_uint8(np.stack(first)), np.sqrt(variance.mean(-1))


def _liveliest(deviation: np.ndarray) -> tuple[int, int]:
    """Return the top left pixel of the crop in which noise has the largest effect."""
    height, width = (side // CROP_SHARE for side in deviation.shape)
    sums = np.pad(np.square(deviation), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    boxes = sums[height:, width:] - sums[height:, :-width]
    boxes = boxes - (sums[:-height, width:] - sums[:-height, :-width])
    return np.unravel_index(np.argmax(boxes), boxes.shape)
