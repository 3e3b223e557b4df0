"""The training loop: where the host waits for the device."""

import dataclasses
import itertools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.runtime import parallel
from stylegan_jax.runtime.stop_request import StopRequest
from stylegan_jax.training import loop, setup, tick_report
from stylegan_jax.training import state as train_state
from stylegan_jax.training.progress import Progress
from tests import tiny


class Ignore:
    """A logger, or checkpoints, whose methods do nothing."""

    def __getattr__(self, name):
        return lambda *args, **kwargs: None


NO_GUARD = types.SimpleNamespace(
    learning_rate_factor=1.0,
    suspects=lambda progress: False,
    has_collapsed=lambda *arguments: False,
    alarm=lambda name, result, progress: result.alarm,
)


class Recorder:
    def __init__(self):
        self.lines = []

    def line(self, text):
        self.lines.append(text)


class CountingPrograms:
    """A fake ProgramCache whose updates only increment the step."""

    def __init__(self, abstract, phases):
        self.state_shardings = train_state.shardings(abstract)
        self.scalars = []  # results of every call

        def update(state, images, labels, fade, rate):
            loss = jnp.mean(images.astype(jnp.float32)) * rate + fade
            return state.replace(step=state.step + 1), {"x/loss": loss}

        def call(*arguments):
            state, scalars = jax.jit(update)(*arguments)
            self.scalars.append(scalars)
            return state, scalars

        self._programs = dict.fromkeys((phase.name for phase in phases), call)

    def announcement(self, stage):
        return None

    def get(self, stage, on_wait):
        return self._programs

    def prepare(self, stage):
        return False

    def rounds(self, stage):
        return 1

    def forget(self, stage):
        pass

    def close(self):
        pass


class LoopWithoutTicks(loop.Loop):
    """The loop without ticks and checkpoints, which may wait for the device."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.ticks = []

    def _tick(self, state, stage, progress):
        self.ticks.append(progress.step)
        progress.tick += 1
        progress.tick_start_images = progress.images_seen
        self._reporter.start_again()
        return False

    def _save(self, state, progress):
        pass


class NoMeter:
    """A fake DataWaitMeter, because traced arrays do not have `is_ready`."""

    share = 0.0

    def reset(self):
        pass

    def exclude(self, seconds):
        pass

    def next(self, batches, running):
        return next(batches)


@pytest.fixture(autouse=True)
def without_meter(monkeypatch):
    monkeypatch.setattr(tick_report, "DataWaitMeter", NoMeter)


def batches(stage, start):
    shape = (stage.batch_size, *stage.size, 3)
    return itertools.repeat(
        (np.zeros(shape, np.uint8), np.zeros((stage.batch_size, 0)))
    )


def build_loop(kind: type[loop.Loop]):
    """Return a loop over three stages, its programs and its abstract initial state."""
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
    programs = CountingPrograms(abstract, training.phases)
    trainer = kind(
        training,
        programs=programs,
        hooks=loop.Hooks(
            batches, lambda *_: None, lambda *_: None, lambda resolution: 1.0
        ),
        checkpoints=Ignore(),
        guard=NO_GUARD,
        logger=Ignore(),
        stop=StopRequest(),
    )
    return trainer, programs, abstract


def test_host_reads_from_the_device_only_at_ticks(monkeypatch):
    """Trace a whole run, so that the arrays have no values.

    Reading one on the host by `float`, `np.asarray`, `bool`, as an index or by
    `jax.device_get` raises. (`jax.transfer_guard` has no effect on a CPU, whose arrays
    the host reads in place.)
    """
    trainer, programs, abstract = build_loop(LoopWithoutTicks)
    waits = []

    def wait(scalars):
        [index] = [i for i, s in enumerate(programs.scalars) if s is scalars]
        waits.append(len(programs.scalars) - 1 - index)

    monkeypatch.setattr(jax, "block_until_ready", wait)
    progress = Progress(resolution=8)
    jax.eval_shape(lambda state: trainer.run(state, progress), abstract)
    assert progress.images_seen == tiny.END
    steps = tiny.END // 8
    # Two phases run in every step, the path length in every second one.
    assert len(programs.scalars) == 2 * steps + steps // 2
    assert trainer.ticks == [8, 16, 24]  # every 64 images
    # It only waits for results that are two rounds, of five updates each, old.
    assert len(waits) == steps // 2 - 2
    assert min(waits) == max(waits) == 10


def test_tick_reads_from_the_device():
    """The tick reads the sums of the scalars, which the test above would detect."""
    trainer, _, abstract = build_loop(loop.Loop)
    progress = Progress(resolution=8)
    with pytest.raises(jax.errors.ConcretizationTypeError):
        jax.eval_shape(lambda state: trainer.run(state, progress), abstract)
    assert 0 < progress.images_seen <= 64  # in the first tick


@pytest.mark.parametrize(
    ("images_seen", "before", "reported"),
    [(32, 4, True), (32, 1, False), (32, None, False), (0, 4, False)],
)
def test_changed_accumulation_rounds_are_reported(images_seen, before, reported):
    """They are reported only within a stage, and are saved with the checkpoint."""
    trainer, _, _ = build_loop(loop.Loop)
    trainer._logger = Recorder()
    progress = Progress(8, images_seen=images_seen, accumulation_rounds=before)
    trainer._warn_of_other_rounds(trainer._stages[0], progress)
    assert dataclasses.asdict(progress)["accumulation_rounds"] == 1
    lines = trainer._logger.lines
    assert len(lines) == reported
    assert all("with 1 accumulation round(s)" in line for line in lines)
    assert all("it started with 4" in line for line in lines)


class SlowPrograms(CountingPrograms):
    """Programs whose compilation takes 90 s of a fake clock, of which it reports 60."""

    clock = 1000.0
    waits = ()

    def announcement(self, stage):
        return f"compiling {stage.name}"

    def get(self, stage, on_wait):
        for name, seconds in (("g", 1.0), ("g", 30.0), ("d", 30.0)):
            SlowPrograms.clock += seconds
            on_wait(name, SlowPrograms.clock - 1000.0)
        SlowPrograms.clock += 29.0
        return super().get(stage, on_wait)


def test_compilation_counts_neither_as_time_nor_as_speed(monkeypatch):
    trainer, programs, abstract = build_loop(LoopWithoutTicks)
    trainer._programs = SlowPrograms(abstract, trainer._phases)
    trainer._logger = Recorder()
    trainer._logger.progress, trainer._logger.event = (lambda *_, **__: None,) * 2
    excluded = []
    reporter = trainer._reporter
    reporter._data_wait.exclude = excluded.append

    class StopAtRound(Exception):
        pass

    def first_round(*_):
        raise StopAtRound

    monkeypatch.setattr(trainer, "_round", first_round)
    clock = types.SimpleNamespace(monotonic=lambda: SlowPrograms.clock)
    monkeypatch.setattr(loop, "time", clock)
    monkeypatch.setattr(tick_report, "time", clock)
    monkeypatch.setattr(trainer, "_reset", lambda state: state)
    progress, stage = Progress(resolution=8), trainer._stages[0]
    reporter._start_seconds = clock.monotonic() - 4.0  # 4 s before the stage
    trainer._watchdog = Ignore()
    with pytest.raises(StopAtRound):
        trainer._run_stage(abstract, stage, progress)
    assert excluded == [90.0] and reporter._compile_seconds == 90.0
    assert trainer._logger.lines[:3] == [
        "compiling 8x8",
        "compiling g of stage 8x8",
        "compiling d of stage 8x8",
    ]
    assert trainer._logger.lines[3].endswith("batch 8; waited 90.0 s for its program")
    # A tick of 64 images that trains for 4 s before the compilation and 12 s after it.
    SlowPrograms.clock += 12.0
    progress.images_seen = 64
    assert reporter._advance(stage, progress) == pytest.approx(64 / 16)
    assert progress.training_seconds == pytest.approx(16.0)
