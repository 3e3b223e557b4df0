"""A run moves between numbers of devices, and between whole and divided optimizers.

Run as a program (`python -m tests.test_elastic DIRECTORY`) it is the worker of its own
tests: one process with sixteen devices, of which every run takes as many as it wants.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

from stylegan_jax import config
from stylegan_jax.checkpoint import Checkpoints
from stylegan_jax.runtime import parallel
from stylegan_jax.runtime.parallel import Parallel
from stylegan_jax.training import loop, setup
from stylegan_jax.training import state as train_state
from stylegan_jax.training.compilation import ProgramCache
from tests import tiny
from tests.parallel_runs import finish, flat, start
from tests.runtime.test_parallel import collectives, off_the_start, rms

DEVICES = 16
BATCH_SIZE = 16
STEPS = 2  # before the checkpoint, and after it
SAVED_BY = 8
# Devices, whether the optimizer is divided, and the checkpoint that they go on from.
RESUMED = [(1, False, "whole"), (2, True, "whole"), (4, False, "divided")]
RESUMED += [(16, True, "divided")]


HEIGHT = {"run.height_devices": 2, "run.height_min_resolution": 8}


def experiment(changes: dict | None = None) -> config.Experiment:
    return tiny.experiment(
        tiny.STYLEGAN2
        | (changes or {})
        | {
            "training.batch_size": BATCH_SIZE,
            "training.path_length_weight": 0.0,
            "training.g_reg_interval": 0,
            "training.d_reg_interval": 0,
            "training.r1_gamma": 0.0,
            # With seed 0 one activation is so near to zero that the rounding of 16
            # devices tips it over the kink of the leaky ReLU: the loss is equal to
            # 2e-7, the norm of the gradient to 1.5e-5 only.
            "run.seed": 1,
            "training.ema_rampup": 0.0,
        }
    )


class Training:
    """The experiment on the first of the devices."""

    def __init__(self, count: int, divided: bool, changes: dict | None = None):
        e = experiment((changes or {}) | {"run.shard_optimizer": divided})
        here = parallel.grid(jax.devices()[:count], e.run.height_devices)
        self.here, self.setup = here, setup.build(e, here)
        self.phases, self.abstract = self.setup.phases, self.setup.abstract_state
        (self.stage,) = self.setup.stages
        cache = ProgramCache(self.setup)
        self.programs = cache.get(self.stage)
        cache.close()

    def start(self) -> train_state.TrainState:
        state = off_the_start(self.setup.create_state())
        return self.here.reshard(state, self.setup.state_shardings)

    def go_on(self, state: train_state.TrainState) -> train_state.TrainState:
        for i in range(int(state.step), int(state.step) + STEPS):
            random = np.random.RandomState(i)
            size = (BATCH_SIZE, *self.stage.size, 3)
            images = random.randint(0, 256, size).astype(np.uint8)
            labels = np.zeros((BATCH_SIZE, 0), np.float32)
            batch = self.here.put_batch((images, labels))
            scalars = self.here.replicate((np.float32(1.0), np.float32(0.002)))
            for phase in self.phases:
                state, _ = self.programs[phase.name](state, *batch, *scalars)
        return state


def resumed(training: Training, source: Path) -> train_state.TrainState:
    checkpoints = Checkpoints(source, keep=1)
    state, progress = loop.restore(checkpoints, training.setup)
    assert progress.images_seen == STEPS * BATCH_SIZE
    checkpoints.close()
    return training.go_on(state)


def save_programs(training: Training, out: Path, name: str) -> None:
    for phase, program in training.programs.items():
        (out / f"{name}-{phase}.hlo").write_text(program.as_text())


def bytes_on_a_device(tree) -> int:
    device = jax.devices()[0]
    shards = [s for x in jax.tree.leaves(tree) for s in x.addressable_shards]
    return sum(s.data.nbytes for s in shards if s.device == device)


def worker(out: Path) -> None:
    jax.config.update("jax_num_cpu_devices", DEVICES)
    facts: dict = {}
    for divided in (False, True):
        name = "divided" if divided else "whole"
        training = Training(SAVED_BY, divided)
        state = training.go_on(training.start())
        facts[name] = {
            "optimizer": bytes_on_a_device(state.optimizer),
            "ema": bytes_on_a_device(state.ema["params"]),
            "params": bytes_on_a_device(state.params),
        }
        save_programs(training, out, name)
        checkpoints = Checkpoints(out / name, keep=1)
        items = {"ema": state.ema, "training": state.replace(ema={})}
        meta = {"resolution": 8, "images_seen": int(state.images_seen)}
        checkpoints.save(1, items, meta)
        checkpoints.close()
        np.savez(out / f"saved-{name}.npz", **flat("", state))
        if not divided:
            np.savez(out / "expected.npz", **flat("", training.go_on(state)))
    for count, divided, source in RESUMED:
        state = resumed(Training(count, divided), out / source)
        np.savez(out / f"{count}-{source}.npz", **flat("", state))
    training = Training(SAVED_BY, False, HEIGHT)
    np.savez(out / "height.npz", **flat("", resumed(training, out / "whole")))
    save_programs(training, out, "height")
    (out / "facts.json").write_text(json.dumps(facts))


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("elastic")
    command = [sys.executable, "-m", "tests.test_elastic", str(folder)]
    running: list[subprocess.Popen] = [start(command, folder / "log")]
    try:
        finish(running)
    except AssertionError:
        print((folder / "log").read_text()[-3000:])
        raise
    return folder


def difference(path: Path, expected: Path, part: str = "") -> float:
    """The largest difference of two states, over the size of the arrays."""
    worst = 0.0
    with np.load(path) as actual, np.load(expected) as desired:
        assert set(actual) == set(desired)
        names = [name for name in actual if part in name]
        assert len(names) > 20
        for name in names:
            gap = actual[name] - desired[name]
            if np.any(gap):
                # Of squares few hold most of the sum; see tests/test_parallel.py.
                squares = ".optimizer" in name
                size = rms(gap) if squares else np.max(np.abs(gap))
                worst = max(worst, size / rms(desired[name]))
    return worst


@pytest.mark.slow
@pytest.mark.parametrize("count, divided, source", RESUMED)
def test_resumes_on_other_devices_to_the_same_numbers(done, count, divided, source):
    found = difference(done / f"{count}-{source}.npz", done / "expected.npz")
    print(f"largest relative difference, {SAVED_BY} to {count} devices: {found:.1e}")
    assert found <= 1e-5
    moved = difference(done / "saved-whole.npz", done / "expected.npz", ".params")
    assert moved > 1e-3  # what the steps after the checkpoint change


@pytest.mark.slow
def test_a_divided_optimizer_takes_its_share_of_memory_and_changes_no_number(done):
    found = difference(done / "saved-divided.npz", done / "saved-whole.npz")
    print(f"largest relative difference, divided to whole: {found:.1e}")
    assert found <= 1e-5
    facts = json.loads((done / "facts.json").read_text())
    whole, divided = facts["whole"], facts["divided"]
    assert divided["params"] == whole["params"]
    # What no axis divides by 8, here RGB biases and the like, stays whole.
    for name in ("optimizer", "ema"):
        assert whole[name] / SAVED_BY <= divided[name] < 1.1 * whole[name] / SAVED_BY


@pytest.mark.slow
def test_a_divided_optimizer_exchanges_gradients_and_updated_parameters_only(done):
    facts = json.loads((done / "facts.json").read_text())
    both = facts["whole"]["params"] / 4  # elements of G and D
    for phase in ("d_main", "g_main"):
        exchanged = collectives((done / f"divided-{phase}.hlo").read_text())
        kinds = {kind for kind, _ in exchanged}
        assert kinds == {"all-reduce", "all-gather"}
        gathered = sum(size for kind, size in exchanged if kind == "all-gather")
        assert 0 < gathered < both
        before = collectives((done / f"whole-{phase}.hlo").read_text())
        reduced = sum(size for kind, size in exchanged if kind == "all-reduce")
        assert reduced <= 1.01 * sum(size for _, size in before)


@pytest.mark.slow
def test_images_split_by_height_change_no_number(done):
    found = difference(done / "height.npz", done / "expected.npz")
    print(f"largest relative difference, split by height: {found:.1e}")
    assert found <= 1e-5


@pytest.mark.slow
def test_devices_of_a_group_exchange_the_rows_at_their_border_only(done):
    """8x8 images over two devices: at 8x8 each has 4 rows, and asks for one more."""
    for phase in ("d_main", "g_main"):
        hlo = (done / f"height-{phase}.hlo").read_text()
        halos = re.findall(r"= \w+\[([\d,]*)\]\S* collective-permute", hlo)
        shapes = [tuple(map(int, shape.split(","))) for shape in halos]
        assert len(shapes) > 4, phase
        images = BATCH_SIZE // (SAVED_BY // 2)
        whole = [s for s in shapes if len(s) == 4 and s[:3] == (images, 8, 8)]
        assert not whole, shapes
        # The layers at 8x8 work on half of the rows.
        assert re.search(rf"f32\[{images},4,8,\d+\]", hlo)
        assert "collective-permute" not in (done / f"whole-{phase}.hlo").read_text()


def test_batches_smaller_than_the_number_of_devices_are_possible():
    mesh = jax.sharding.AbstractMesh((2, 4), ("data", "height"), (AxisType.Auto,) * 2)
    here = Parallel(mesh)
    assert (here.num_devices, here.batch_shards) == (8, 2)
    here.check_batch("training.batch_size", 2)
    with pytest.raises(ValueError, match="must be divisible by the 2 groups of 4 dev"):
        here.check_batch("training.batch_size", 3)
    x = jax.ShapeDtypeStruct((2, 8, 8, 3), np.float32)
    program = jax.jit(here.split_height).trace(x).lower(lowering_platforms=("cpu",))
    assert re.search(r'\[\{"data"\}, \{"height"\}', program.as_text())


def test_groups_have_to_fit_into_a_process():
    with pytest.raises(ValueError, match=r"`run.height_devices` \(=3\) must divide"):
        parallel.data_parallel(3)


def test_arrays_are_divided_along_their_longest_axis_that_allows_it():
    here = Parallel(jax.sharding.AbstractMesh((8,), ("data",), (AxisType.Auto,)))
    spec = {
        shape: here.divided(shape).shard_shape(shape)
        for shape in [(3, 3, 16, 64), (64, 3), (24, 24), (512,), (7, 9), (), (0, 8)]
    }
    assert spec == {
        (3, 3, 16, 64): (3, 3, 16, 8),
        (64, 3): (8, 3),
        (24, 24): (24, 3),
        (512,): (64,),
        (7, 9): (7, 9),
        (): (),
        (0, 8): (0, 1),
    }


def test_fewer_rows_than_devices_can_be_split():
    here = parallel.data_parallel()
    one = Parallel(jax.sharding.AbstractMesh((2,), ("data",), (AxisType.Auto,)))
    for rows in (1, 3):
        x = jax.ShapeDtypeStruct((rows, 8), np.float32)
        assert jax.eval_shape(one.split, x).shape == (rows, 8)
    np.testing.assert_array_equal(here.split(jnp.ones((3, 2))), np.ones((3, 2)))


if __name__ == "__main__":
    worker(Path(sys.argv[1]))
