"""The figure of generated images next to the nearest images of the data set."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from stylegan_jax.data import pipeline
from stylegan_jax.data.interface import Source
from stylegan_jax.runtime.image_io import rgb_on_white
from stylegan_jax.sampling.figures.sampler import Figure, Sampler, seed_names
from stylegan_jax.sampling.labeled_grid import labeled_grid

SIDE = 32  # maximum side of the images that are compared
Show = Callable[[str, int, int], None]


class Match(NamedTuple):
    """An image of the data set; matches are ordered by their distance.

    Attributes:
      distance: distance to the generated image, in gray levels of 255.
      index: number of the image.
      mirrored: True for its mirror image.
    """

    distance: float
    index: int
    mirrored: bool


Pair = tuple[Match, np.ndarray]  # a match and its pixels


def nearest(
    sampler: Sampler,
    seeds: Sequence[int],
    source: Source,
    *,
    neighbors: int,
    mirror: bool = False,
    show: Show = lambda *_: None,
) -> Figure:
    """Draw a row for each seed: its image, and the nearest images of a data set.

    The distance is the root mean square difference of the pixels, after images are
    downsampled so that no side is longer than `SIDE`.

    Args:
      sampler: the network.
      seeds: the seeds.
      source: the data set, at the full resolution of the network.
      neighbors: number of nearest images, at most those of the data set.
      mirror: compare with the mirrored images of the data set, too.
      show: (activity, images done, images in total), called to report progress.

    Raises:
      ValueError: there are fewer than `neighbors` images.
    """
    if neighbors > source.num_images:
        raise ValueError(
            f"the number of neighbors (={neighbors}) must be at most "
            f"{source.num_images}, the images of {source.name}"
        )
    drawn = rgb_on_white(sampler.draw(sampler.styles(seeds)))
    wanted = small(drawn)
    found: list[list[Pair]] = [[] for _ in seeds]
    start = 0
    for reals, _ in pipeline.in_order(
        source, resolution=source.resolution, start=0, stop=source.num_images
    ):
        reals = average(rgb_on_white(reals), drawn.shape[1:3])
        for flipped in (False, True) if mirror else (False,):
            images = reals[:, :, ::-1] if flipped else reals
            shrunk = small(images)
            for best, target in zip(found, wanted, strict=True):
                distances = np.sqrt(np.square(shrunk - target).mean((1, 2, 3)))
                for i in np.argsort(distances, kind="stable")[:neighbors]:
                    match = Match(float(distances[i]), start + int(i), flipped)
                    best.append((match, images[i]))
                best.sort(key=lambda pair: pair[0])
                best[:] = _first_of_each(best)[:neighbors]
        start += len(reals)
        show("compared", start, source.num_images)
    rows = [
        [image, *(np.rint(pixels).astype(np.uint8) for _, pixels in best)]
        for image, best in zip(drawn, found, strict=True)
    ]
    lines = [
        f"{name}: {match.distance:.1f} of 255 from {source.describe(match.index)}"
        + ", mirrored" * match.mirrored
        for name, best in zip(seed_names(seeds), found, strict=True)
        for match, _ in best
    ]
    names = ["generated", *(f"nearest {k + 1}" for k in range(neighbors))]
    return Figure(labeled_grid(rows, seed_names(seeds), names), tuple(lines))


def _first_of_each(pairs: list[Pair]) -> list[Pair]:
    """Return the first match of each image, which may also match mirrored."""
    firsts: dict[int, Pair] = {}
    for pair in pairs:
        firsts.setdefault(pair[0].index, pair)
    return list(firsts.values())


def small(images: np.ndarray) -> np.ndarray:
    """Downsample images [N,H,W,C] until no side is longer than `SIDE`."""
    height, width = images.shape[1:3]
    while max(height, width) > SIDE and height % 2 == 0 and width % 2 == 0:
        height, width = height // 2, width // 2
    return average(images, (height, width))


def average(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Average equal areas of images [N,H,W,C]; the sizes divide each other.

    Returns:
      [N, *size, C] float32.
    """
    n, height, width, channels = images.shape
    shape = (n, size[0], height // size[0], size[1], width // size[1], channels)
    return images.reshape(shape).mean((2, 4), dtype=np.float32)
