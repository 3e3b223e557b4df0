"""Figures of latents and styles: truncation, interpolation, uncurated images.

Reference: Karras et al. 2019, "A Style-Based Generator Architecture for GANs",
figures 2 and 8, and section 4.1.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from stylegan_jax.sampling import seeds as seeding
from stylegan_jax.sampling.figures.sampler import Figure, Sampler, seed_names
from stylegan_jax.sampling.interpolation import lerp, slerp
from stylegan_jax.sampling.labeled_grid import labeled_grid

COLUMNS = 8


def uncurated(sampler: Sampler, seeds: Sequence[int]) -> Figure:
    """Draw the images of all seeds, in rows of `COLUMNS`."""
    images = list(sampler.draw(sampler.styles(seeds)))
    rows = [images[i : i + COLUMNS] for i in range(0, len(images), COLUMNS)]
    return Figure(labeled_grid(rows))


def truncation(sampler: Sampler, seeds: Sequence[int], psis: Sequence[float]) -> Figure:
    """Draw a row for each seed, with a column for each truncation psi."""
    columns = [sampler.draw(sampler.styles(seeds, psi)) for psi in psis]
    names = [f"psi {psi:g}" for psi in psis]
    rows = list(zip(*columns, strict=True))
    return Figure(labeled_grid(rows, seed_names(seeds), names))


def interpolations(sampler: Sampler, seeds: Sequence[int]) -> Figure:
    """Draw two rows for each pair of successive seeds: along z, and along w.

    The path in z is an arc of a circle, along which the length of z changes linearly;
    the path in w is a straight line. The lines of the figure report how far the images
    move along each: the sum of the root mean square differences between neighbors.
    Perceptual path lengths are metrics, since they need the weights of LPIPS.

    Raises:
      ValueError: there are fewer than two seeds.
    """
    if len(seeds) < 2:
        raise ValueError(
            f"an interpolation needs at least two seeds, not {len(seeds)}; try 0-1"
        )
    z = seeding.latents(list(seeds), sampler.generator.z_dim)
    ws = sampler.map(z)
    t = np.linspace(0, 1, COLUMNS, dtype=np.float32)
    rows, names, lines = [], [], []
    for i in range(len(seeds) - 1):
        ends = [jnp.broadcast_to(end, (COLUMNS, *end.shape)) for end in z[i : i + 2]]
        lengths = np.interp(t, (0, 1), np.linalg.norm(z[i : i + 2], axis=1))
        along_z = slerp(*ends, t) * np.float32(lengths)[:, None]
        ends = [jnp.broadcast_to(end, (COLUMNS, *end.shape)) for end in ws[i : i + 2]]
        pair = f"{seeds[i]} to {seeds[i + 1]}"
        for space, path in (("z", sampler.map(along_z)), ("w", lerp(*ends, t))):
            rows.append(sampler.draw(path))
            names.append(f"{space}, {pair}")
            steps = np.diff(rows[-1].astype(np.float32), axis=0)
            moved = np.sqrt(np.mean(np.square(steps), axis=(1, 2, 3)))
            lines.append(
                f"{names[-1]}: path of {moved.sum():.0f} gray levels, longest step "
                f"{moved.max():.0f}"
            )
    columns = [f"{share:.0%}" for share in t]
    return Figure(labeled_grid(rows, names, columns), tuple(lines))
