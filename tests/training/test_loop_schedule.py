"""Arguments and order of the updates that the loop runs, recorded by stand-ins."""

import itertools
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.config import Training
from stylegan_jax.runtime import parallel
from stylegan_jax.runtime.stop_request import StopRequest
from stylegan_jax.training import loop, schedule, setup, tick_report
from stylegan_jax.training.progress import Progress
from tests import tiny
from tests.training.test_loop import NO_GUARD

LIMIT = 3  # consecutive updates that may be skipped, plus one
CHANGES = {
    "training.d_reg_interval": 3,
    "training.g_reg_interval": 2,
    "training.path_length_weight": 2.0,
    "training.learning_rate": 0.004,
    "training.learning_rate_by_resolution": ((8, 0.002),),
    "training.learning_rate_rampup_kimg": 0.1,
    "training.batch_size": 4,
    "training.batch_size_by_resolution": ((8, 8),),
    "training.nonfinite_limit": LIMIT,
}


class Silent:
    def __getattr__(self, name):
        return lambda *args, **kwargs: None


class Notes(loop.Loop):
    """A loop whose updates, batches, resets and savings are notes only.

    Attributes:
      updates: (images seen, phase, fade, learning rate) of every update.
      asked: (stage, position) of every request for batches.
      resets: images seen where the optimizers were reset.
      saved: images seen at every checkpoint.
    """

    def __init__(
        self, changes=None, skipping=lambda images_seen: False, guard=NO_GUARD
    ):
        training = setup.build(
            tiny.experiment(CHANGES | (changes or {})), parallel.data_parallel()
        )
        self.updates, self.asked, self.resets, self.saved = [], [], [], []
        self.rows, self._skipping = [], skipping
        hooks = loop.Hooks(self._batches, *[lambda *_: None] * 2, lambda _: 1.0)
        super().__init__(
            training,
            programs=self,
            hooks=hooks,
            checkpoints=Silent(),
            guard=guard,
            logger=Silent(),
            stop=StopRequest(),
        )
        self._reset = lambda state: (self.resets.append(self.now.images_seen), state)[1]

    def _batches(self, stage, start):
        self.asked.append((stage.name, start))
        images = np.zeros((stage.batch_size, 1, 1, 1), np.uint8)
        return (
            (images, np.full((stage.batch_size, 1), position))
            for position in itertools.count(start, stage.batch_size)
        )

    def announcement(self, stage):
        return None

    def get(self, stage, on_wait):
        def program(name):
            def call(state, images, labels, fade, rate):
                self.rows.append((int(labels[0, 0]), len(images)))
                note = self.now.images_seen, name, float(fade), float(rate)
                self.updates.append(note)
                return state, {f"{name}/images": jnp.float32(note[0])}

            return call

        return {phase.name: program(phase.name) for phase in self._phases}

    def prepare(self, stage):
        return False

    def rounds(self, stage):
        return 1

    def forget(self, stage):
        pass

    def close(self):
        pass

    def _tick(self, state, stage, progress):
        self._reporter._advance(stage, progress)
        return self._skipping(progress.images_seen)

    def _save(self, state, progress):
        self.saved.append(progress.images_seen)

    def train(self, **progress):
        self.now = Progress(**{"resolution": 8} | progress)
        self.run("state", self.now)
        return self


@pytest.fixture(autouse=True)
def nothing_to_wait_for(monkeypatch):
    monkeypatch.setattr(loop.jax, "block_until_ready", lambda x: x)


@pytest.fixture(scope="module")
def whole():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.jax, "block_until_ready", lambda x: x)
        return Notes().train()


def test_phases_run_at_every_interval_th_step_from_the_first_on(whole):
    assert [phase.name for phase in whole._phases] == [
        *("d_main", "d_r1", "g_main", "g_path")
    ]
    steps = sorted({images for images, *_ in whole.updates})
    assert len(steps) == 112 // 8 + (192 - 112) // 4
    wanted = []
    for step, images in enumerate(steps):
        wanted.append((images, "d_main"))
        wanted += [(images, "d_r1")] * (step % 3 == 0)
        wanted.append((images, "g_main"))
        wanted += [(images, "g_path")] * (step % 2 == 0)
    assert [update[:2] for update in whole.updates] == wanted


def test_fade_and_learning_rate_are_those_of_the_rounds_start(whole):
    """Resolution, fade and rate of the schedule, evaluated at every second step."""
    fades = {}
    for images, _, fade, rate in whole.updates:
        stage = next(s for s in whole._stages if images < s.end_images)
        size = stage.batch_size * stage.steps_per_round
        start = images - (images - stage.start_images) % size
        assert fade == pytest.approx(stage.fade(start), abs=1e-6)
        table = 0.002 if stage.resolution == 8 else 0.004
        assert rate == pytest.approx(table * min(start / 100, 1), rel=1e-6)
        assert rate == pytest.approx(schedule.learning_rate(whole._e, stage, start))
        fades.setdefault(stage.name, []).append(fade)
    assert set(fades["8x8"]) == set(fades["16x16"]) == {1.0}
    assert len(set(fades["16x16 fading in"])) >= 5


def test_every_stage_starts_its_optimizers_anew_and_asks_for_batches_once(whole):
    starts = [stage.start_images for stage in whole._stages]
    assert whole.resets == starts and len(starts) == 3
    assert whole.asked == [(s.name, s.start_images) for s in whole._stages]


def test_every_update_of_a_step_sees_the_images_of_its_position(whole):
    for (images, *_), (position, count) in zip(whole.updates, whole.rows, strict=True):
        assert position == images
        assert count == (8 if images < tiny.BOUNDARY else 4)


@pytest.mark.parametrize("at", [0, 32, 112, 128, 160])
def test_a_resumed_run_goes_on_where_it_was(whole, at):
    """At the same images, step, interval, fade and rate; optimizers are kept."""
    steps = {images for images, *_ in whole.updates}
    resumed = Notes().train(images_seen=at, step=len([s for s in steps if s < at]))
    assert resumed.updates == [update for update in whole.updates if update[0] >= at]
    assert resumed.asked[0][1] == at and len(resumed.asked) == sum(
        stage.end_images > at for stage in whole._stages
    )
    assert resumed.resets == [start for start in whole.resets if start >= at]
    assert resumed.now.images_seen == whole.now.images_seen == tiny.END
    assert resumed.now.step == whole.now.step == len(steps)


def test_a_finished_run_takes_no_further_step(whole):
    assert Notes().train(images_seen=tiny.END, step=34).updates == []


def test_nothing_is_saved_while_updates_are_skipped(whole):
    every = list(range(16, tiny.END, 16))
    assert whole.saved == [*every, tiny.END]
    healthy = Notes(skipping=lambda images: 32 <= images <= 64).train()
    assert healthy.saved == [at for at in every if not 32 <= at <= 64] + [tiny.END]


class Ticking(Notes):
    """The same with the loop's own ticks; the logger keeps their rows."""

    def __init__(self, **skipped):
        super().__init__()
        streaks = {phase.name: 0 for phase in self._phases} | skipped
        self.state = SimpleNamespace(
            skipped={k: jnp.int32(v) for k, v in streaks.items()},
            skipped_total={k: jnp.int32(10 * v) for k, v in streaks.items()},
            augment_probability=jnp.float32(0),
        )

    def _tick(self, state, stage, progress):
        self.scalars = {}
        is_skipping = loop.Loop._tick(self, self.state, stage, progress)
        self.ticks.append((is_skipping, dict(self.scalars)))
        return is_skipping

    def _logger_scalars(self, images_seen, scalars, **more):
        self.scalars = scalars

    def run(self, state, progress):
        self.ticks = []
        self._logger = SimpleNamespace(
            scalars=self._logger_scalars,
            line=lambda text: None,
            event=lambda *args, **kwargs: None,
            progress=lambda text: None,
        )
        self._reporter._logger = self._logger
        return super().run(state, progress)


def test_ticks_average_every_phase_over_its_own_updates():
    run = Ticking().train()
    assert len(run.ticks) == tiny.END // 16
    for number, (is_skipping, scalars) in enumerate(run.ticks):
        assert not is_skipping
        for phase in ("d_main", "d_r1", "g_main", "g_path"):
            seen = [
                images
                for images, name, *_ in run.updates
                if name == phase and 16 * number <= images < 16 * (number + 1)
            ]
            assert (f"{phase}/images" in scalars) == bool(seen)
            if seen:
                assert scalars[f"{phase}/images"] == pytest.approx(np.mean(seen))


@pytest.mark.parametrize(("augment", "is_logged"), [("none", False), ("bg", True)])
def test_ticks_log_the_probability_of_augmentations(augment, is_logged):
    experiment = SimpleNamespace(training=Training(augment=augment))
    logged = {}
    logger = SimpleNamespace(
        scalars=lambda images_seen, scalars, **_: logged.update(scalars),
        line=lambda text: None,
    )
    reporter = tick_report.TickReporter(
        SimpleNamespace(stages=(), experiment=experiment), lambda _: 1.0, logger
    )
    state = SimpleNamespace(
        skipped={"d_main": jnp.int32(0)},
        skipped_total={"d_main": jnp.int32(2)},
        augment_probability=jnp.float32(0.25),
    )
    stage = SimpleNamespace(name="8x8", resolution=8, fade=lambda images_seen: 1.0)
    reporter.report(state, stage, Progress(8, images_seen=16), 0.002)
    found = {"progress/augment_probability": 0.25} if is_logged else {}
    assert logged | found == logged and logged["d_main/skipped_total"] == 2
    names = ("fade", "learning_rate", "images_per_second", "training_seconds")
    names += ("compile_seconds", "data_wait", *("augment_probability",) * is_logged)
    wanted = {f"progress/{name}" for name in names} | {"d_main/skipped_total"}
    assert set(logged) == wanted


class Guard:
    """A guard that sees a collapse at 160 images, and goes back to 96."""

    learning_rate_factor = 1.0

    def suspects(self, progress):
        return progress.images_seen == 144

    def roll_back(self, state, progress, logger):
        assert (state, progress.images_seen) == ("collapsed", 160)
        self.learning_rate_factor = 0.5
        return 96


class RolledBack(Notes):
    def _tick(self, state, stage, progress):
        going_back = (
            progress.images_seen == 160 and self._guard.learning_rate_factor == 1
        )
        self._collapsed = going_back
        return super()._tick(state, stage, progress)


def test_a_rollback_goes_back_to_an_earlier_stage_with_a_lower_rate(whole, monkeypatch):
    asked = []

    def restore(checkpoints, training, step):
        asked.append(step)
        then = Progress(8, step=12, images_seen=96, tick=3, collapse_signs={"x": 1})
        return "restored", then

    monkeypatch.setattr(loop, "restore", restore)
    run = RolledBack(guard=Guard())
    run.now = Progress(8, training_seconds=5.0)
    run.run("collapsed", run.now)
    assert asked == [96]
    first = [update for update in whole.updates if update[0] < 160]
    again = [update for update in whole.updates if update[0] >= 96]
    halved = [(*update[:3], update[3] / 2) for update in again]
    assert run.updates[: len(first)] == first
    assert [u[:3] for u in run.updates[len(first) :]] == [u[:3] for u in halved]
    rates = [[u[3] for u in of] for of in (run.updates[len(first) :], halved)]
    np.testing.assert_allclose(*rates, rtol=1e-6)
    assert 144 not in run.saved and run.saved[-1] == 192
    assert run.now.collapse_signs == {"x": 0} and run.now.training_seconds > 5


def test_a_tick_counts_as_skipping_if_any_phase_skips():
    last = {"images_seen": 176, "tick_start_images": 176, "step": 30}
    run = Ticking(g_main=LIMIT - 1).train(**last)
    [(is_skipping, scalars)] = run.ticks
    assert is_skipping
    assert scalars["g_main/skipped_total"] == 10 * (LIMIT - 1)
    assert scalars["d_main/skipped_total"] == 0
    with pytest.raises(loop.Diverged, match="g_main"):
        Ticking(g_main=LIMIT).train(**last)


def test_too_many_skipped_updates_in_a_row_end_the_run(whole):
    whole._check_divergence({"d_main": LIMIT - 1, "g_main": 0}, whole.now)
    for name in ("d_main", "g_main"):
        with pytest.raises(loop.Diverged, match=f"{name} had {LIMIT} consecutive"):
            whole._check_divergence(
                {"d_main": 0, "g_main": 0} | {name: LIMIT}, whole.now
            )
