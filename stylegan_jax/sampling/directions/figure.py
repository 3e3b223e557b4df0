"""Figures of directions, with a column for each strength."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from stylegan_jax.sampling.directions.direction import Direction
from stylegan_jax.sampling.figures.sampler import Sampler
from stylegan_jax.sampling.labeled_grid import labeled_grid


def rows_of_images(
    sampler: Sampler,
    direction: Direction,
    ws: np.ndarray,
    names: Sequence[str],
    strengths: Sequence[float],
) -> np.ndarray:
    """Draw a row for each image, with a column for each strength of a direction.

    Args:
      sampler: the network, for which `Direction.check` has passed.
      direction: the direction.
      ws: [N,L,W], truncated styles.
      names: names of the images.
      strengths: strengths of the columns.

    Returns:
      The figure [H,W,3] uint8.
    """
    rows = edited(sampler, direction, ws, strengths)
    return labeled_grid([list(row) for row in rows], names, _columns(strengths))


def rows_of_directions(
    sampler: Sampler,
    directions: Sequence[Direction],
    ws: np.ndarray,
    strengths: Sequence[float],
) -> np.ndarray:
    """Draw a row for each direction, all of one image ws [1,L,W].

    Returns:
      The figure [H,W,3] uint8.
    """
    rows = [list(edited(sampler, d, ws, strengths)[0]) for d in directions]
    names = [d.name.replace("_", "\n", 1) for d in directions]
    return labeled_grid(rows, names, _columns(strengths))


def edited(
    sampler: Sampler, direction: Direction, ws: np.ndarray, strengths: Sequence[float]
) -> np.ndarray:
    """Return the images [N,S,H,W,C] uint8 of ws [N,L,W] at every strength."""
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


def _columns(strengths: Sequence[float]) -> list[str]:
    return [f"{strength:+g}" if strength else "0" for strength in strengths]
