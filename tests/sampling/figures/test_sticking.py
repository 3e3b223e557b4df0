"""Columns of pixels over time, and averages of many images."""

import chex
import jax
import numpy as np
import pytest

from stylegan_jax.sampling import seeds as seeding
from stylegan_jax.sampling import synthesis, transform
from stylegan_jax.sampling.figures import sticking
from stylegan_jax.sampling.interpolation import lerp

pytestmark = pytest.mark.usefixtures("quick_compilation")


def close(actual, desired):
    """Compare up to rounding, as batches of other sizes have other programs."""
    assert abs(actual.astype(int) - desired).max() <= 1


def test_columns_over_time(skip, alias_free, tile):
    samplers = {"a": skip, "b": alias_free}
    figure = sticking.sticking(samplers, [3, 5])
    shape = (3, 4)
    for row, sampler in ((0, skip), (1, alias_free)):
        ends = np.asarray(sampler.styles([3, 5]))
        t = np.linspace(0, 1, 16, dtype=np.float32)
        path = lerp(*(np.broadcast_to(w, (16, *w.shape)) for w in ends), t)
        frames = sampler.draw(path)
        columns = tile(figure.pixels, (row, 3), shape)
        for n, frame in enumerate(frames):
            close(columns[:, n], frame[:, 8])
        for j, frame in enumerate(frames[[0, 7, 15]]):
            shown = tile(figure.pixels, (row, j), shape)
            close(np.delete(shown, 8, axis=1), np.delete(frame, 8, axis=1))
            np.testing.assert_array_equal(shown[:, 8], [sticking.MARK] * 16)
    assert frames.std() > 5
    # The same seed, translated by a quarter.
    shown = tile(figure.pixels, (2, 2), shape)
    matrix = transform.inverse_matrix((0, 0.25))[None].repeat(16, axis=0)
    there = transform.moved(alias_free.generator, alias_free.variables, matrix)
    ws = np.asarray(alias_free.styles([3] * 16))
    wanted = sticking.to_uint8(
        sticking.synthesize(alias_free.generator, there, ws, batch_size=16)
    )[0]
    close(np.delete(shown, 8, axis=1), np.delete(wanted, 8, axis=1))
    assert [line.split(":")[0] for line in figure.lines] == [
        *("a seed 3 to 5", "b seed 3 to 5", "b seed 3 moves")
    ]
    with pytest.raises(ValueError, match="at least two seeds, not 1; try 0-1"):
        sticking.sticking(samplers, [3])


def test_share_of_details_that_stay():
    texture = np.random.RandomState(0).uniform(-1, 1, (32, 32, 3)).astype("f")
    still = iter([np.stack([texture] * 16)] * 2)
    row, stays = sticking._row(still)
    assert stays == pytest.approx(1) and row[3].shape == (32, 32, 3)
    falling = iter([np.stack([np.roll(texture, i, axis=0)]) for i in range(32)])
    assert sticking._row(falling)[1] < 0.05


def test_batches_that_do_not_divide(alias_free, monkeypatch):
    ws = np.asarray(alias_free.styles([3, 4, 5]))
    places = np.array([[0, 0], [0.25, 0], [0, 0.5]])
    whole = next(sticking._batches(alias_free, ws, places))
    monkeypatch.setattr(sticking, "automatic_batch_size", lambda *arguments: 2)
    parts = [*sticking._batches(alias_free, ws, places)]
    assert [len(part) for part in parts] == [2, 1]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-4)


def test_averages(skip, alias_free, tile, monkeypatch):
    # One program of each network.
    traced = chex.assert_max_traces(synthesis._synthesize.__wrapped__, n=2)
    program = jax.jit(traced, static_argnums=(0, 4))
    with monkeypatch.context() as patched:
        patched.setattr(synthesis, "_synthesize", program)
        figure = sticking.average({"a": skip, "b": alias_free}, [4], 16)
    random = np.random.RandomState(4)
    z = seeding.latents([4], 8)
    around = z + 0.25 * random.randn(16, 8).astype(np.float32)
    for row, sampler in ((0, skip), (1, alias_free)):
        close(tile(figure.pixels, (row, 0), (2, 3)), sampler.draw(sampler.map(z))[0])
        mean = sampler.draw(sampler.map(around)).mean(axis=0)
        close(tile(figure.pixels, (row, 1), (2, 3)), mean)
    np.testing.assert_array_equal(tile(figure.pixels, (0, 2), (2, 3)), 255)
    places = 0.0625 * random.randn(16, 2)
    matrices = np.stack([transform.inverse_matrix(xy) for xy in places])
    there = transform.moved(alias_free.generator, alias_free.variables, matrices)
    ws = np.repeat(alias_free.map(z), 16, axis=0)
    images = sticking.synthesize(alias_free.generator, there, ws, batch_size=16)
    mean = sticking.to_uint8(images).mean(axis=0)
    close(tile(figure.pixels, (1, 2), (2, 3)), mean)
    assert "detail of the averages: " in figure.lines[1]
    assert "(latents), " in figure.lines[1] and "(places)" in figure.lines[1]
