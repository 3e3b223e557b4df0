"""Updates that are not finite are skipped, and the clock goes on."""

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
    """The compiled updates of a 4x4 run and one batch for them."""

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
        """The state after the phase, and its scalars; `state` may be used again."""
        scalars = self.devices.replicate((np.float32(1), np.float32(rate)))
        copy = jax.tree.map(jnp.copy, state)
        return self.programs[phase](copy, *self.batch, *scalars)


@pytest.fixture(scope="module")
def step():
    return Step()


def poisoned(state, network):
    """NaN in one parameter of a network."""
    leaves, structure = jax.tree.flatten(state.params[network])
    leaves[0] = leaves[0].at[(0,) * leaves[0].ndim].set(jnp.nan)
    return state.replace(
        params=state.params | {network: jax.tree.unflatten(structure, leaves)}
    )


def assert_equal_trees(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(x, y), a, b)


def moved(a, b):
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return any((np.asarray(x) != np.asarray(y)).any() for x, y in pairs)


def test_an_update_that_is_not_finite_is_skipped(step):
    before = step("d_main", step.create())[0]
    bad = poisoned(before, "discriminator")
    after, scalars = step("g_main", bad)
    assert np.isnan(scalars["g_main/loss"])
    for field in ("params", "optimizer", "w_avg", "ema"):
        assert_equal_trees(getattr(after, field), getattr(bad, field))
    assert (int(after.skipped["g_main"]), int(after.skipped_total["g_main"])) == (1, 1)
    assert (int(after.skipped["d_main"]), int(after.step)) == (0, 1)
    again, _ = step("g_main", after)
    assert int(again.skipped["g_main"]) == int(again.skipped_total["g_main"]) == 2
    assert int(again.images_seen) == 16  # the clock goes on

    mended = again.replace(params=before.params)
    fine, scalars = step("g_main", mended)
    assert np.isfinite(scalars["g_main/loss"])
    assert (int(fine.skipped["g_main"]), int(fine.skipped_total["g_main"])) == (0, 2)
    assert moved(fine.params["generator"], mended.params["generator"])
    assert moved(fine.optimizer["generator"], mended.optimizer["generator"])


def test_the_discriminator_s_update_is_skipped_too(step):
    bad = poisoned(step.create(), "generator")
    after, _ = step("d_main", bad)
    assert_equal_trees(after.params, bad.params)
    assert_equal_trees(after.optimizer, bad.optimizer)
    assert_equal_trees(after.w_avg, bad.w_avg)
    assert int(after.skipped["d_main"]) == 1 and int(after.skipped["g_main"]) == 0
