"""The shares of the resolutions that are logged with the grids."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.runtime import parallel
from stylegan_jax.sampling.contributions import contributions
from stylegan_jax.training import setup
from stylegan_jax.training.progress import Progress
from stylegan_jax.training.sample_grid import SampleGrid
from tests import tiny

pytestmark = pytest.mark.usefixtures("quick_compilation")


def grid_of(changes):
    """Return a sample grid, a state of random variables, and the logged rows."""
    training = setup.build(tiny.experiment(changes), parallel.local(), 0)
    random = np.random.RandomState(0)
    ema = jax.tree.map(
        lambda x: jnp.float32(random.randn(*x.shape)), training.abstract_state.ema
    )
    rows = []
    logger = types.SimpleNamespace(scalars=lambda *row: rows.append(row))
    state = types.SimpleNamespace(ema=ema)
    return SampleGrid(training, None, logger), training, state, rows


def test_contributions_of_skip_generators_are_logged():
    grid, training, state, rows = grid_of(tiny.STYLEGAN2)
    grid.log_contributions(state, Progress(8, images_seen=40))
    [(images_seen, scalars)] = rows
    assert images_seen == 40
    assert list(scalars) == ["g_ema/contribution_4", "g_ema/contribution_8"]
    assert sum(scalars.values()) == pytest.approx(1)
    # Of the latents of the grid, two rows of three.
    ws = training.generator.apply(state.ema, grid._z, method="map")
    expected = contributions(training.generator, state.ema, ws)
    assert list(scalars.values()) == pytest.approx(list(expected.values()), 1e-4)
    assert len(grid._z) == 6


def test_contributions_of_other_generators_are_not():
    grid, _, state, rows = grid_of({})
    grid.log_contributions(state, Progress(16))
    assert rows == []
