"""Truncation, interpolations and uncurated images."""

import chex
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.sampling import seeds as seeding
from stylegan_jax.sampling.figures import latents

pytestmark = pytest.mark.usefixtures("quick_compilation")


def close(actual, desired):
    """Compare up to rounding, as batches of other sizes have other programs."""
    assert abs(actual.astype(int) - desired).max() <= 1


def test_truncation(growing, tile):
    seeds, psis = [3, 5, 8], (1.0, 0.0, -1.0)
    figure = latents.truncation(growing, seeds, psis).pixels
    cells = np.stack(
        [[tile(figure, (i, j), (3, 3)) for j in range(3)] for i in range(3)]
    )
    average = growing.draw(growing.styles([0], 0.0))[0]
    for i, seed in enumerate(seeds):
        np.testing.assert_array_equal(cells[i, 1], average)  # whatever the seed is
        close(cells[i, 0], growing.draw(growing.styles([seed], 1.0))[0])
        # psi of -1 is the reflection of w at its average.
        ws, center = growing.styles([seed], 1.0), growing.styles([seed], 0.0)
        close(cells[i, 2], growing.draw(2 * center - ws)[0])
    assert np.std(cells[:, 0].astype(float), axis=0).mean() > 5


def test_interpolations(growing, tile):
    seeds = [2, 4, 6]
    figure, lines = latents.interpolations(growing, seeds)
    shape = (4, latents.COLUMNS)
    z = seeding.latents(seeds, 8)
    ends = growing.draw(growing.map(z))
    for i in range(4):
        close(tile(figure, (i, 0), shape), ends[i // 2])
        close(tile(figure, (i, 7), shape), ends[i // 2 + 1])
    # A third along z: the arc, and the length between those of the ends.
    t, (a, b) = 3 / 7, z[:2].astype(np.float64)
    angle = np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    unit = [v / np.linalg.norm(v) for v in (a, b)]
    arc = (np.sin((1 - t) * angle) * unit[0] + np.sin(t * angle) * unit[1]) / np.sin(
        angle
    )
    arc *= (1 - t) * np.linalg.norm(a) + t * np.linalg.norm(b)
    expected = growing.draw(growing.map(np.float32(arc)[None]))[0]
    close(tile(figure, (0, 3), shape), expected)
    ws = np.asarray(growing.map(z))
    line = jnp.asarray(ws[:1] * (1 - t) + ws[1:2] * t)
    close(tile(figure, (1, 3), shape), growing.draw(line)[0])

    # The length of a path.
    steps = np.diff(
        [tile(figure, (0, i), shape).astype(float) for i in range(8)], axis=0
    )
    rms = np.sqrt(np.square(steps).mean((1, 2, 3)))
    assert lines[0] == (
        f"z, 2 to 4: path of {rms.sum():.0f} gray levels, longest step {rms.max():.0f}"
    )
    assert len(lines) == 4

    with pytest.raises(ValueError, match="at least two seeds, not 1; try 0-1"):
        latents.interpolations(growing, [3])


def test_uncurated(skip, tile):
    figure = latents.uncurated(skip, range(10)).pixels
    chex.assert_shape(figure, (2 * 66, 8 * 66, 3))  # without names
    images = skip.draw(skip.styles(range(10)))
    for i, image in enumerate(images):
        close(tile(figure, (i // 8, i % 8), (2, 8)), image)
    np.testing.assert_array_equal(tile(figure, (1, 2), (2, 8)), 255)
