"""Figures of directions, with a column for each strength."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from stylegan_jax.sampling.directions.direction import Direction
from stylegan_jax.sampling.figures.sampler import Sampler
from stylegan_jax.sampling.labeled_grid import labeled_grid


def rows_of_strengths(
    rows: Sequence[np.ndarray], names: Sequence[str], strengths: Sequence[float]
) -> np.ndarray:
    """Arrange images in rows, with a column for each strength.

    Args:
      rows: images [S,H,W,C] uint8 of each row, as from `edited`.
      names: names of the rows.
      strengths: strengths of the columns.

    Returns:
      The figure [H,W,3] uint8.
    """
    columns = [f"{strength:+g}" if strength else "0" for strength in strengths]
    return labeled_grid([list(row) for row in rows], names, columns)


def edited(
    sampler: Sampler, direction: Direction, ws: np.ndarray, strengths: Sequence[float]
) -> np.ndarray:
    """Draw images at every strength of a direction.

    Args:
      sampler: the network, for which `Direction.check` has passed.
      direction: the direction.
      ws: [N,L,W], truncated styles.
      strengths: S strengths.

    Returns:
      Images [N,S,H,W,C] uint8.
    """
    count = len(strengths)
    if direction.space == "style":
        images = []
        for strength in strengths:
            variables = direction.shift_styles(
                sampler.generator, sampler.variables, strength
            )
            images.append(dataclasses.replace(sampler, variables=variables).draw(ws))
        return np.stack(images, axis=1)
    repeated = np.repeat(ws, count, axis=0)
    moved = direction.edit(sampler.generator, repeated, np.tile(strengths, len(ws)))
    images = sampler.draw(moved)
    return images.reshape(len(ws), count, *images.shape[1:])
