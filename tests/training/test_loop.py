"""The training loop: where the host waits for the device, and where it does not."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.runtime import parallel
from stylegan_jax.runtime.stop_request import StopRequest
from stylegan_jax.training import loop, setup
from stylegan_jax.training import state as train_state
from stylegan_jax.training.progress import Progress
from tests import tiny


class Silent:
    """A logger, and checkpoints, that are told everything and do nothing."""

    def __getattr__(self, name):
        return lambda *args, **kwargs: None


class Recorder:
    def __init__(self):
        self.lines = []

    def line(self, text):
        self.lines.append(text)


class Programs:
    """Updates that only count; in the place of a ProgramCache."""

    def __init__(self, abstract, phases):
        self.state_shardings = train_state.shardings(abstract)
        self.scalars = []  # of every call

        def update(state, images, labels, fade, rate):
            loss = jnp.mean(images.astype(jnp.float32)) * rate + fade
            return state.replace(step=state.step + 1), {"x/loss": loss}

        def call(*arguments):
            state, scalars = jax.jit(update)(*arguments)
            self.scalars.append(scalars)
            return state, scalars

        self._programs = dict.fromkeys((phase.name for phase in phases), call)

    def get(self, stage):
        return self._programs

    def prepare(self, stage):
        return False

    def rounds(self, stage):
        return 1

    def forget(self, stage):
        pass

    def close(self):
        pass


class BetweenTicks(loop.Loop):
    """The loop without what it does at ticks, for which it may wait."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.ticks = []

    def _tick(self, state, stage, progress):
        self.ticks.append(progress.step)
        progress.tick += 1
        progress.tick_start_images = progress.images_seen
        self._sums = {}
        return False

    def _save(self, state, progress):
        pass


class Unmeasured:
    """In place of a meter that asks arrays whether they are there; these never are."""

    share = 0.0

    def reset(self):
        pass

    def next(self, batches, running):
        return next(batches)


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch):
    monkeypatch.setattr(loop, "DataWaitMeter", Unmeasured)


def batches(stage, start):
    shape = (stage.batch_size, *stage.size, 3)
    return itertools.repeat(
        (np.zeros(shape, np.uint8), np.zeros((stage.batch_size, 0)))
    )


def make(kind: type[loop.Loop]):
    """A loop over three stages, its programs, and the state that it starts from."""
    e = tiny.experiment(
        {
            "training.g_reg_interval": 2,
            "training.path_length_weight": 2.0,
            "run.checkpoint_every_ticks": 10**6,
            "run.tick_kimg": 0.064,
        }
    )
    training = setup.build(e, parallel.data_parallel())
    abstract = training.abstract_state
    programs = Programs(abstract, training.phases)
    trainer = kind(
        training,
        programs=programs,
        hooks=loop.Hooks(
            batches, lambda *_: None, lambda *_: None, lambda resolution: 1.0
        ),
        checkpoints=Silent(),
        logger=Silent(),
        stop=StopRequest(),
    )
    return trainer, programs, abstract


def test_the_host_takes_nothing_from_the_device_but_at_ticks(monkeypatch):
    """All of a run's rounds are traced, with arrays that have no values.

    Whoever wants one of them on the host, be it by `float`, `np.asarray`, `bool`, an
    index or `jax.device_get`, raises. (`jax.transfer_guard` says nothing on a CPU,
    whose arrays the host reads where they are.)
    """
    trainer, programs, abstract = make(BetweenTicks)
    waits = []

    def wait(scalars):
        [index] = [i for i, s in enumerate(programs.scalars) if s is scalars]
        waits.append(len(programs.scalars) - 1 - index)

    monkeypatch.setattr(jax, "block_until_ready", wait)
    progress = Progress(resolution=8)
    jax.eval_shape(lambda state: trainer.run(state, progress), abstract)
    assert progress.images_seen == tiny.END
    steps = tiny.END // 8
    # Two phases in every step, the path length in every second one.
    assert len(programs.scalars) == 2 * steps + steps // 2
    assert trainer.ticks == [8, 16, 24]  # every 64 images
    # It waits only for what is two rounds, of two steps with five updates, old.
    assert len(waits) == steps // 2 - 2
    assert min(waits) == max(waits) == 10


def test_that_would_be_noticed():
    """A tick takes the sums of the scalars to the host."""
    trainer, _, abstract = make(loop.Loop)
    progress = Progress(resolution=8)
    with pytest.raises(jax.errors.ConcretizationTypeError):
        jax.eval_shape(lambda state: trainer.run(state, progress), abstract)
    assert 0 < progress.images_seen <= 64  # not before


@pytest.mark.parametrize(
    ("images_seen", "before", "told"),
    [(32, 4, True), (32, 1, False), (32, None, False), (0, 4, False)],
)
def test_rounds_chosen_anew_are_told(images_seen, before, told):
    """In the middle of a stage; and they are saved with the checkpoint."""
    trainer, _, _ = make(loop.Loop)
    trainer._logger = Recorder()
    progress = Progress(8, images_seen=images_seen, accumulation_rounds=before)
    trainer._warn_of_other_rounds(trainer._stages[0], progress)
    assert dataclasses.asdict(progress)["accumulation_rounds"] == 1
    said = trainer._logger.lines
    assert len(said) == told
    assert all("with 1 accumulation round(s)" in line for line in said)
    assert all("it started with 4" in line for line in said)
