"""The figure of a growing network: the same latent at every resolution and fade.

Reference: Karras et al. 2018, "Progressive Growing of GANs for Improved Quality,
Stability, and Variation", figure 2.
"""

from collections.abc import Sequence

import numpy as np

from stylegan_jax.models import LevelOfDetail
from stylegan_jax.runtime.messages import sides
from stylegan_jax.sampling.figures.sampler import Figure, Sampler
from stylegan_jax.sampling.labeled_grid import labeled_grid

FADES = (0.25, 0.5, 0.75, 1.0)


def growth(sampler: Sampler, seeds: Sequence[int]) -> Figure:
    """Draw a row for each seed and resolution, with a column for each fade.

    The first row has only the last column: there is nothing from which 4x4 fades in.

    Raises:
      ValueError: the network does not grow.
    """
    generator = sampler.generator
    if not generator.grows:
        raise ValueError(
            "this network does not grow: it has images of resolution "
            f"{generator.resolution} only; use a network that was trained with "
            "`model.growing`, such as StyleGAN's"
        )
    ws = sampler.styles(seeds)
    levels = [r for r in generator.resolutions if r <= sampler.lod.resolution]
    rows, names = [], []
    drawn = {}
    for r in levels:
        for fade in FADES if r > 4 else FADES[-1:]:
            # A NumPy number, so that all fades of a resolution share one program.
            lod = LevelOfDetail(r, np.float32(fade))
            drawn[r, fade] = sampler.draw(ws, lod=lod)
    for i, seed in enumerate(seeds):
        for r in levels:
            images = [drawn.get((r, fade)) for fade in FADES]
            rows.append([None if image is None else image[i] for image in images])
            size = sides(drawn[r, 1.0].shape[1:3])
            names.append(f"seed {seed}\n{size}" if len(seeds) > 1 else size)
    return Figure(labeled_grid(rows, names, [f"fade {fade:g}" for fade in FADES]))
