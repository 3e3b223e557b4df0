"""A checkpoint of the loop holds everything that a resumed run goes on from."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from stylegan_jax.checkpoint import Checkpoints
from stylegan_jax.runtime import parallel
from stylegan_jax.training import loop, setup
from stylegan_jax.training.progress import Progress
from tests import tiny


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_state_and_progress_come_back_to_the_bit(tmp_path):
    training = setup.build(tiny.experiment(tiny.SMALLEST), parallel.data_parallel())
    abstract = training.abstract_state
    random = np.random.RandomState(0)
    state = jax.tree.map(
        lambda x: jax.device_put(
            np.asarray(100 * random.randn(*x.shape), x.dtype), x.sharding
        ),
        abstract,
    )
    progress = Progress(
        *(4, 0.25, 9, 56),
        tick=3,
        tick_start_images=48,
        training_seconds=1.5,
        accumulation_rounds=2,
    )
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=2)
    trainer = SimpleNamespace(
        _checkpoints=checkpoints,
        _evaluated=None,
        _watchdog=SimpleNamespace(watch=lambda text: None),
    )
    loop.Loop._save(trainer, state, progress)
    checkpoints.wait()
    assert checkpoints.latest_step() == 56
    found, at = loop.restore(checkpoints, training)
    checkpoints.close()
    assert at == progress
    wanted = jax.tree_util.tree_leaves_with_path(state)
    leaves = jax.tree_util.tree_leaves_with_path(found)
    assert len(leaves) == len(wanted) > 50
    for (path, x), (wanted_path, y) in zip(leaves, wanted, strict=True):
        assert path == wanted_path
        assert x.dtype == y.dtype and x.sharding == y.sharding
        np.testing.assert_array_equal(x, y, str(path))
