"""Nonfinite updates are skipped while the clock advances."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.runtime import parallel
from stylegan_jax.training import setup
from stylegan_jax.training.compilation import ProgramCache
from tests import tiny

pytestmark = pytest.mark.usefixtures("quick_compilation")


class Step:
    """The compiled updates of a 4x4 run, and a batch for them."""

    def __init__(self):
        self.e = e = tiny.experiment(tiny.SMALLEST)
        self.devices = devices = parallel.data_parallel()
        training = setup.build(e, devices)
        (self.stage,) = training.stages
        self.phases, self.create = training.phases, training.create_state
        cache = ProgramCache(training)
        self.programs = cache.get(self.stage)
        cache.close()
        pixels = np.random.RandomState(0).randint(0, 256, (8, 4, 4, 3), np.uint8)
        self.batch = devices.put_batch((pixels, np.zeros((8, 0), np.float32)))

    def __call__(self, phase, state, rate=0.002):
        """Return the state after a phase, and its scalars; `state` is not donated."""
        scalars = self.devices.replicate((np.float32(1), np.float32(rate)))
        copy = jax.tree.map(jnp.copy, state)
        return self.programs[phase](copy, *self.batch, *scalars)


@pytest.fixture(scope="module")
def step():
    return Step()


def with_nan(state, network):
    """Set one parameter of a network to NaN."""
    leaves, structure = jax.tree.flatten(state.params[network])
    leaves[0] = leaves[0].at[(0,) * leaves[0].ndim].set(jnp.nan)
    return state.replace(
        params=state.params | {network: jax.tree.unflatten(structure, leaves)}
    )


def differ(a, b):
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return any((np.asarray(x) != np.asarray(y)).any() for x, y in pairs)


def test_nonfinite_generator_update_is_skipped(step):
    before = step("d_main", step.create())[0]
    bad = with_nan(before, "discriminator")
    after, scalars = step("g_main", bad)
    assert np.isnan(scalars["g_main/loss"])
    for field in ("params", "optimizer", "w_avg", "ema"):
        chex.assert_trees_all_equal(getattr(after, field), getattr(bad, field))
    assert (int(after.skipped["g_main"]), int(after.skipped_total["g_main"])) == (1, 1)
    assert (int(after.skipped["d_main"]), int(after.step)) == (0, 1)
    again, _ = step("g_main", after)
    assert int(again.skipped["g_main"]) == int(again.skipped_total["g_main"]) == 2
    assert int(again.images_seen) == 16  # the clock advances

    repaired = again.replace(params=before.params)
    updated, scalars = step("g_main", repaired)
    assert np.isfinite(scalars["g_main/loss"])
    assert (int(updated.skipped["g_main"]), int(updated.skipped_total["g_main"])) == (
        0,
        2,
    )
    assert differ(updated.params["generator"], repaired.params["generator"])
    assert differ(updated.optimizer["generator"], repaired.optimizer["generator"])


def test_nonfinite_discriminator_update_is_skipped(step):
    bad = with_nan(step.create(), "generator")
    after, _ = step("d_main", bad)
    chex.assert_trees_all_equal(after.params, bad.params)
    chex.assert_trees_all_equal(after.optimizer, bad.optimizer)
    chex.assert_trees_all_equal(after.w_avg, bad.w_avg)
    assert int(after.skipped["d_main"]) == 1 and int(after.skipped["g_main"]) == 0
