"""The frames of an interpolation video: a grid of cells, each on its own path."""

import re
from collections.abc import Callable, Iterator

import chex
import numpy as np

from stylegan_jax.models import Generator, LevelOfDetail, Variables
from stylegan_jax.runtime.image_io import image_grid, to_uint8
from stylegan_jax.sampling import noise as noises
from stylegan_jax.sampling.synthesis import synthesize

NOISE_MODES = ("const", "none", "random", "animated")


def parse_grid(text: str) -> tuple[int, int]:
    """Return (columns, rows) from the value of --grid, WIDTHxHEIGHT.

    Raises:
      ValueError: the text has another form.
    """
    match = re.fullmatch(r"\s*(\d{1,4})\s*[xX\u00d7]\s*(\d{1,4})\s*", text)
    if not match or not int(match[1]) or not int(match[2]):
        raise ValueError(
            f"`--grid` (={text!r}) must be WIDTHxHEIGHT in cells, such as 4x2"
        )
    return int(match[1]), int(match[2])


def deal(values: np.ndarray, cells: int) -> np.ndarray:
    """Deal values out to the cells: the first ones to the first cell, and so on.

    Args:
      values: [N, ...], one for each keyframe.
      cells: number of cells, row by row.

    Returns:
      [N / cells, cells, ...], keyframes first.

    Raises:
      ValueError: N is not divisible by `cells`.

    Reference: Karras et al. 2021, official code of StyleGAN3, gen_video.py.
    """
    if len(values) % cells:
        below = len(values) // cells * cells
        options = " or ".join(str(n) for n in (below, below + cells) if n)
        raise ValueError(
            f"the number of seeds or latents (={len(values)}) must be divisible by the "
            f"{cells} cells of the grid; use {options}"
        )
    return values.reshape(cells, -1, *values.shape[1:]).swapaxes(0, 1)


def render(
    generator: Generator,
    variables: Variables,
    styles: Callable[[np.ndarray], np.ndarray],
    positions: np.ndarray,
    *,
    grid: tuple[int, int] = (1, 1),
    period: int,
    lod: LevelOfDetail | None = None,
    noise: str = "const",
    noise_seed: int = 0,
    batch_size: int = 16,
    scale: int = 1,
    variables_at: Callable[[float], Variables] | None = None,
) -> Iterator[np.ndarray]:
    """Generate the frames of a video, a few at a time.

    Args:
      generator: the network.
      variables: its variables.
      styles: function from positions [F] to ws [F,cells,L,W]; it is called with the
        same F every time.
      positions: positions of all frames; see `interpolation.positions`.
      grid: columns and rows of cells.
      period: number of keyframes, after which animated noise repeats.
      lod: see `synthesize_batches`.
      noise: "const" or "none"; "random" draws new maps for every frame; "animated"
        moves from one set of random maps to the next, with the keyframes. All cells of
        a frame have the same maps. They do not depend on `batch_size`.
      noise_seed: seed of random and animated noise.
      batch_size: number of images that are generated at a time.
      scale: each pixel becomes a square of this side.
      variables_at: function from a position to the variables, in place of `variables`;
        frames are then generated one at a time.

    Yields:
      Frames [F,H,W,C] uint8; the last ones may be fewer.
    """
    chex.assert_rank(positions, 1)
    columns, rows = grid
    cells = columns * rows
    together = min(max(batch_size // cells, 1), len(positions))
    together = together if variables_at is None else 1
    for start in range(0, len(positions), together):
        # The last ones are repeated, so that all batches have the same shape.
        chosen = np.minimum(np.arange(start, start + together), len(positions) - 1)
        if variables_at is not None:
            variables = variables_at(positions[start])
        ws = styles(positions[chosen])
        chex.assert_shape(ws, (together, cells, generator.num_ws, generator.w_dim))
        ws = np.asarray(ws).reshape(-1, *ws.shape[2:])
        numbers, images = np.repeat(chosen, cells), []
        for first in range(0, len(ws), batch_size):
            some = np.arange(first, first + min(batch_size, len(ws)))
            some = np.minimum(some, len(ws) - 1)
            at = numbers[some]
            images.append(
                synthesize(
                    generator,
                    _with_noise(
                        variables, noise, noise_seed, at, positions[at], period
                    ),
                    ws[some],
                    lod=lod,
                    noise="none" if noise == "none" else "const",
                    batch_size=len(some),
                )
            )
        images = to_uint8(np.concatenate(images)[: len(ws)])
        images = images.reshape(together, cells, *images.shape[1:])
        images = images.repeat(scale, axis=2).repeat(scale, axis=3)
        left = len(positions) - start
        yield np.stack([image_grid(frame, columns) for frame in images[:left]])


def _with_noise(
    variables: Variables,
    mode: str,
    seed: int,
    frames: np.ndarray,
    positions: np.ndarray,
    period: int,
) -> Variables:
    """Return the variables with the noise of frames of these numbers and positions."""
    if mode == "random":
        return noises.maps_between(
            variables, seed, frames, frames, np.zeros(len(frames))
        )
    if mode == "animated":
        before = np.floor(positions).astype(int)
        after = (before + 1) % period
        return noises.maps_between(variables, seed, before, after, positions - before)
    return variables
