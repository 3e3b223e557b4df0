"""Warning, stop and rollback of a run whose generator collapses."""

import dataclasses
import json

import jax.numpy as jnp
import pytest

from stylegan_jax import train
from stylegan_jax.checkpoint import Checkpoints
from stylegan_jax.runtime import parallel
from stylegan_jax.training import guard
from stylegan_jax.training.guard import Collapsed, CollapseGuard, EvalResult
from stylegan_jax.training.progress import Progress
from tests import tiny

ALIKE, VARIED = EvalResult(None, None, "COLLAPSE?"), EvalResult(None, None, "")


class Logger:
    def __init__(self):
        self.warnings = []

    def warning(self, images_seen, text):
        self.warnings.append((images_seen, text))


class Run:
    """A guard that sees one measurement after another, 10 images apart."""

    def __init__(self, action, directory):
        self.checkpoints = Checkpoints(directory / "checkpoints", 9, print, 1)
        self.guard = CollapseGuard(
            action, directory, self.checkpoints, parallel.local()
        )
        self.progress, self.logger = Progress(8), Logger()

    def see(self, *results):
        found = []
        for result in results:
            self.progress.images_seen += 10
            named = {"held_out": result, "metrics": None}
            found.append(self.guard.has_collapsed(self.progress, named, self.logger))
        return found

    def save(self, *steps, scores=None):
        for step in steps:
            score = None if scores is None else scores[step]
            self.checkpoints.save(step, {"x": {"x": jnp.zeros(2)}}, {}, score)

    def roll_back(self):
        state = {"x": jnp.zeros(3)}
        step = self.guard.roll_back(state, self.progress, self.logger)
        assert state["x"].is_deleted()
        return step


def test_only_lost_variety_that_lasts_is_a_collapse(tmp_path):
    run = Run("rollback", tmp_path)
    assert run.see(ALIKE, ALIKE, ALIKE) == [False] * 3  # of an untrained generator
    assert not run.guard.suspects(run.progress)
    assert run.see(VARIED, ALIKE, VARIED, ALIKE) == [False] * 4
    assert run.guard.suspects(run.progress)
    assert run.see(None, EvalResult(1.0, None), ALIKE) == [False, False, True]
    (told,) = run.logger.warnings
    assert told[0] == 100 and "collapsed by 0.1 kimg (COLLAPSE?)" in told[1]
    assert "had variety at 0.06 kimg" in told[1]


def test_measurements_are_counted_apart(tmp_path):
    run = Run("rollback", tmp_path)
    both = [
        {"held_out": VARIED, "metrics": VARIED},
        {"held_out": VARIED, "metrics": ALIKE},
        {"held_out": VARIED, "metrics": None},
        {"held_out": VARIED, "metrics": ALIKE},
    ]
    found = []
    for results in both:
        run.progress.images_seen += 10
        found.append(run.guard.has_collapsed(run.progress, results, run.logger))
    assert found == [False, False, False, True]
    assert run.progress.varied_images == 10


def test_each_measurement_must_have_found_variety(tmp_path):
    """MS-SSIM can be high from the start, when other measurements find variety."""
    run = Run("rollback", tmp_path)
    results = {"held_out": VARIED, "metrics": ALIKE}
    for _ in range(4):
        run.progress.images_seen += 10
        assert not run.guard.has_collapsed(run.progress, results, run.logger)
        assert run.guard.alarm("metrics", ALIKE, run.progress) is None
    assert not run.guard.suspects(run.progress)
    assert run.progress.varied_images == 40
    found = [
        run.guard.has_collapsed(run.progress, results | {"metrics": result}, run.logger)
        for result in (VARIED, ALIKE, ALIKE)
    ]
    assert found == [False, False, True]
    (told,) = run.logger.warnings
    assert "(COLLAPSE?); its images had variety at 0.04 kimg" in told[1]
    both = EvalResult(None, "OVERFITS?", "COLLAPSE?")
    assert run.guard.alarm("metrics", both, run.progress) == "OVERFITS?, COLLAPSE?"


def test_continue_tells_it_once(tmp_path):
    run = Run("continue", tmp_path)
    assert run.see(VARIED, *[ALIKE] * 4, VARIED, ALIKE, ALIKE) == [False] * 8
    assert [images for images, _ in run.logger.warnings] == [30, 80]
    assert "the training continues" in run.logger.warnings[0][1]
    assert not run.guard.suspects(run.progress)


def test_stop(tmp_path):
    run = Run("stop", tmp_path)
    with pytest.raises(Collapsed, match=r"collapsed by 0.03 kimg .* is 'stop'"):
        run.see(VARIED, ALIKE, ALIKE)


def test_variety_close_to_the_limit_is_not_lost(tmp_path):
    """A young run can cross the limit several times."""
    run = Run("stop", tmp_path)
    close = EvalResult(None, None, "", clearly_varied=False)
    assert run.see(close, ALIKE, ALIKE, close, ALIKE, ALIKE) == [False] * 6
    assert run.progress.varied_images is None
    assert run.see(VARIED, ALIKE, close, ALIKE) == [False] * 4
    with pytest.raises(Collapsed):
        run.see(ALIKE)


def test_the_warning_names_only_measurements_that_had_found_variety(tmp_path):
    run = Run("continue", tmp_path)
    never = EvalResult(None, None, "COLLAPSE? MS-SSIM")
    for result in (VARIED, ALIKE, ALIKE):
        run.progress.images_seen += 10
        results = {"held_out": result, "metrics": never}
        run.guard.has_collapsed(run.progress, results, run.logger)
    assert "(COLLAPSE?)" in run.logger.warnings[0][1]


def test_rollback_happens_once(tmp_path):
    run = Run("rollback", tmp_path)
    run.save(10, 20, 30, 40, scores={10: 1.0, 20: 3.0, 30: 2.0, 40: 4.0})
    assert run.see(VARIED, VARIED, VARIED, ALIKE, ALIKE)[-1]
    assert run.roll_back() == 20  # 40 has no variety
    assert "0.5 times the configured ones" in run.logger.warnings[-1][1]
    assert run.checkpoints.latest_step() == 20
    kept = sorted(path.name for path in run.checkpoints.directory.iterdir())
    assert kept == ["10", "20", "30.collapsed", "40.collapsed"]
    run.save(30)  # the numbers are free again
    assert run.guard.learning_rate_factor == guard.LOWERED
    run.progress.collapse_signs = {"held_out": 0}  # as after a rollback in training
    with pytest.raises(Collapsed, match="rolled back once already, from 0.05 kimg"):
        run.see(ALIKE, ALIKE)
    run.checkpoints.close()

    again = Run("rollback", tmp_path)
    assert again.guard.learning_rate_factor == guard.LOWERED
    assert "from 0.05 to 0.02 kimg" in again.guard.summary
    with pytest.raises(Collapsed, match="rolled back once already, from 0.05 kimg"):
        again.see(VARIED, ALIKE, ALIKE)


def test_without_scores_the_newest_varied_checkpoint_is_taken(tmp_path):
    run = Run("rollback", tmp_path)
    with pytest.raises(Collapsed, match="before a checkpoint was saved"):
        run.see(VARIED)
        run.roll_back()
    run.save(20, 30, 40)
    assert run.checkpoints.best_step(35) == 30
    assert run.checkpoints.best_step(10) == 20  # better than none
    assert run.checkpoints.steps_after(20) == [30, 40]


def test_an_interrupted_rollback_is_completed(tmp_path, monkeypatch):
    run = Run("rollback", tmp_path)
    run.save(10, 20, 30)
    run.see(VARIED, VARIED, ALIKE, ALIKE)

    def fail(steps, reason):
        raise OSError("killed")

    monkeypatch.setattr(run.checkpoints, "set_aside", fail)
    run.progress.varied_images = 10
    with pytest.raises(OSError, match="killed"):
        run.roll_back()
    run.checkpoints.close()

    again = Run("continue", tmp_path)
    assert again.checkpoints.latest_step() == 10
    record = json.loads((tmp_path / guard.FILE).read_text())
    assert record["complete"] and record["set_aside"] == [20, 30]
    again.save(20)
    again.checkpoints.close()
    assert Run("continue", tmp_path).checkpoints.latest_step() == 20  # done once


def test_a_damaged_record_is_told(tmp_path):
    for content in ("{", "{}", '{"checkpoint": 1}'):
        (tmp_path / guard.FILE).write_text(content)
        with pytest.raises(ValueError, match="rollback.json is damaged.*remove it to"):
            Run("rollback", tmp_path)


def test_a_measure_of_variety_is_needed():
    for changes in ({"data.held_out": 0.1}, {"evaluation.metrics": "swd, msssim"}):
        tiny.experiment({"training.on_collapse": "stop"} | changes)
    with pytest.raises(ValueError, match="needs a measure of variety: `msssim` or"):
        tiny.experiment({"training.on_collapse": "stop", "evaluation.metrics": "swd"})


class Scripted:
    """An evaluator whose images lose their variety between 112 and 160 images."""

    def __init__(self, *_):
        self._rolled_back = False

    def __call__(self, state, progress):
        images = progress.images_seen
        alike = 112 < images < 160 and not self._rolled_back
        self._rolled_back |= images == 144
        result = ALIKE if alike else VARIED
        return dataclasses.replace(result, score=-abs(images - 48.0))


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compilation")
def test_a_run_goes_back_across_stages_and_resumes(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(train, "Evaluator", Scripted)
    run = tmp_path / "run"
    changes = {
        "training.on_collapse": "rollback",
        "evaluation.metrics": "msssim",
        "evaluation.best": "msssim",
    }
    e = tiny.experiment(changes)
    shorter = dataclasses.replace(e.training, total_kimg=0.16)
    train.train(dataclasses.replace(e, training=shorter), run)
    expected = [*range(16, 145, 16), *range(64, 161, 16)]
    assert [row["images_seen"] for row in tiny.ticks(run)] == expected
    state = train.train(e, run)
    assert int(state.images_seen) == tiny.END
    rates = [row["progress/learning_rate"] for row in tiny.ticks(run)]
    assert rates == pytest.approx([0.002] * 9 + [0.001] * 9)
    names = {path.name for path in (run / "checkpoints").iterdir()}
    assert names >= {"48", "64.collapsed", "112.collapsed", "144", "160", "192"}
    assert "128.collapsed" not in names  # nothing is saved after the first sign
    told = [event["message"] for event in tiny.events(run, "warning")]
    assert len(told) == 2 and "rolled back from 0.144 to 0.048 kimg" in told[1]
    out = capsys.readouterr().out
    assert "this run was rolled back from 0.144 to 0.048 kimg; its learning" in out
    report = (run / "report.html").read_text()
    assert "rolled back from 0.144 to 0.048 kimg" in report.split("<h2>Curves")[0]
