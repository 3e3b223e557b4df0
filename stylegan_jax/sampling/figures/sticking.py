"""Figures of texture sticking: details that stick to pixels while the images move.

Reference: Karras et al. 2021, "Alias-Free Generative Adversarial Networks", figure 1.
"""

from collections.abc import Iterator, Mapping, Sequence

import jax
import numpy as np

from stylegan_jax.models import stylegan3
from stylegan_jax.runtime.image_io import rgb_on_white, to_uint8
from stylegan_jax.sampling import seeds as seeding
from stylegan_jax.sampling import transform
from stylegan_jax.sampling.figures.sampler import Figure, Sampler
from stylegan_jax.sampling.interpolation import lerp
from stylegan_jax.sampling.labeled_grid import labeled_grid
from stylegan_jax.sampling.synthesis import automatic_batch_size, synthesize

MARK = (255, 0, 0)  # color of the column that a slice shows
DISTANCE = 0.25  # distance of the translation in image heights
NEIGHBORHOOD = 0.25  # standard deviation around a latent, whose own is 1
JITTER = 0.0625  # standard deviation of translations, in image widths and heights
TINY = 1e-12  # minimum mean square of details, to divide by
Batches = Iterator[np.ndarray]  # of images [N,H,W,C], about [-1,1]


def sticking(samplers: Mapping[str, Sampler], seeds: Sequence[int]) -> Figure:
    """Draw a column of pixels over time, while the latent or the image moves.

    Each network has a row for each pair of successive seeds, in which w moves along a
    line from one to the other. A StyleGAN3 network has another one for each seed but
    the last, in which the image is translated downwards. A row has the first, the
    middle and the last image, and the slice, whose column n is the middle column of
    frame n. There, details that move are slanted streaks, and details that stick to
    their pixels are horizontal streaks. The lines report the share of the details that
    stay: the mean square of the average over time, relative to the mean square.

    Args:
      samplers: the networks, by name.
      seeds: at least two.

    Raises:
      ValueError: there are fewer than two seeds.
    """
    if len(seeds) < 2:
        raise ValueError(
            f"the figure sticking needs at least two seeds, not {len(seeds)}; try 0-1"
        )
    rows, names, lines = [], [], []
    for name, sampler in samplers.items():
        ws = np.asarray(sampler.styles(seeds))
        for i in range(len(seeds) - 1):
            for motion, images in _motions(sampler, ws[i : i + 2]).items():
                row, stays = _row(images)
                rows.append(row)
                names.append(f"{name}\n{motion.format(*seeds[i : i + 2])}")
                lines.append(
                    f"{' '.join(names[-1].split())}: {stays:.0%} of the details stay "
                    "at their pixels"
                )
    columns = ["first", "middle", "last", "column\nover time"]
    return Figure(labeled_grid(rows, names, columns), tuple(lines))


def average(
    samplers: Mapping[str, Sampler], seeds: Sequence[int], count: int
) -> Figure:
    """Draw images, and averages of many images that are nearly the same.

    The latents of an average are close to that of a seed. For StyleGAN3, a second
    average is over translations of a single image. If all details move, an average is
    equally blurred everywhere; details that stick to their pixels remain sharp. The
    lines report the detail in each average as a share of the detail in the image.

    Args:
      samplers: the networks, by name.
      seeds: seeds; each has a row for each network.
      count: number of images of an average.
    """
    rows, names, lines = [], [], []
    for name, sampler in samplers.items():
        for seed in seeds:
            row, shares = _averages(sampler, seed, count)
            rows.append(row)
            names.append(f"{name}\nseed {seed}")
            told = [f"{share:.0%} ({around})" for around, share in shares.items()]
            lines.append(
                f"{name} seed {seed}: detail of the averages: {', '.join(told)}"
            )
    columns = ["image", "average,\nlatents", "average,\nplaces"]
    return Figure(labeled_grid(rows, names, columns), tuple(lines))


def _motions(sampler: Sampler, ends: np.ndarray) -> dict[str, Batches]:
    """Return the frames of each motion, one for each pixel in a row of an image."""
    frames = sampler.lod.resolution * sampler.generator.base_size[1] // 4
    t = np.linspace(0, 1, frames, dtype=np.float32)
    path = lerp(*(np.broadcast_to(w, (frames, *w.shape)) for w in ends), t)
    motions = {"seed {} to {}": _batches(sampler, path)}
    if isinstance(sampler.generator, stylegan3.Generator):
        places = np.stack([np.zeros(frames), DISTANCE * t], axis=1)
        still = np.repeat(ends[:1], frames, axis=0)
        motions["seed {} moves"] = _batches(sampler, still, places)
    return motions


def _row(batches: Batches) -> tuple[list[np.ndarray], float]:
    """Return the images of a row of `sticking`, and the share of detail that stays."""
    first, columns = None, []
    for batch in map(_rgb, batches):
        first = batch[0] if first is None else first
        for image in batch:
            columns.append(image[:, image.shape[1] // 2].copy())
            if len(columns) <= image.shape[1] // 2:
                middle = image.copy()
            last = image
    over_time = np.stack(columns, axis=1)
    shown = [image.copy() for image in (first, middle, last)]
    for image in shown:
        image[:, image.shape[1] // 2] = MARK
    detail = _detail(over_time, axes=(0,))
    stays = np.square(detail.mean(axis=1)).mean() / max(np.square(detail).mean(), TINY)
    return [*shown, over_time], float(stays)


def _averages(
    sampler: Sampler, seed: int, count: int
) -> tuple[list[np.ndarray | None], dict[str, float]]:
    """Return a row of `average`, and the detail of its averages."""
    random = np.random.RandomState(seed)
    z = seeding.latents([seed], sampler.generator.z_dim)
    noise = random.randn(count, z.shape[1]).astype(np.float32)
    around = {"latents": _batches(sampler, sampler.map(z + NEIGHBORHOOD * noise))}
    # Repeated as often as an average has images, to share the program of its batches.
    ws = np.repeat(sampler.map(z), count, axis=0)
    image = _rgb(next(_batches(sampler, ws)))[0]
    if isinstance(sampler.generator, stylegan3.Generator):
        places = JITTER * random.randn(count, 2)
        around["places"] = _batches(sampler, ws, places)
    row, shares = [image], {}
    full = np.square(_detail(image)).mean()
    for name, batches in around.items():
        mean = sum(_rgb(batch).sum(axis=0, dtype=np.float64) for batch in batches)
        mean /= count
        row.append(np.rint(mean).astype(np.uint8))
        shares[name] = float(np.sqrt(np.square(_detail(mean)).mean() / max(full, TINY)))
    return row + [None] * (3 - len(row)), shares


def _batches(
    sampler: Sampler, ws: np.ndarray | jax.Array, places: np.ndarray | None = None
) -> Batches:
    """Generate images of ws [N,L,W], and translate those of StyleGAN3 to places [N,2].

    Without places, they are not translated, by the same program.
    """
    generator = sampler.generator
    if not isinstance(generator, stylegan3.Generator):
        yield from sampler.batches(ws)
        return
    if places is None:
        places = np.zeros((len(ws), 2))
    size = min(automatic_batch_size(generator, sampler.lod.resolution), len(ws))
    for start in range(0, len(ws), size):
        # The last ones are repeated, so that all batches share a program.
        some = np.minimum(np.arange(start, start + size), len(ws) - 1)
        matrices = np.stack([transform.inverse_matrix(xy) for xy in places[some]])
        variables = transform.moved(generator, sampler.variables, matrices)
        images = synthesize(
            generator, variables, ws[some], lod=sampler.lod, batch_size=size
        )
        yield images[: len(ws) - start]


def _rgb(images: np.ndarray) -> np.ndarray:
    """Return images of the network as [N,H,W,3] uint8."""
    return rgb_on_white(to_uint8(images))


def _detail(image: np.ndarray, axes: Sequence[int] = (0, 1)) -> np.ndarray:
    """Return the details that a blur with (1,4,6,4,1) along axes removes."""
    blurred = image.astype(np.float64)
    for axis in axes:
        length = blurred.shape[axis]
        widths = [(2 * (i == axis),) * 2 for i in range(blurred.ndim)]
        padded = np.pad(blurred, widths, mode="edge")
        blurred = sum(
            weight * np.take(padded, np.arange(i, i + length), axis)
            for i, weight in enumerate(np.array([1, 4, 6, 4, 1]) / 16)
        )
    return image - blurred
