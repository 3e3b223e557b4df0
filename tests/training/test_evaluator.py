"""Metrics while training: when, where they are told, what they keep and warn of."""

import json

import numpy as np
import pytest

from stylegan_jax import config, train
from stylegan_jax.data import pipeline
from stylegan_jax.metrics.result import Measurement
from stylegan_jax.training.evaluator import alarm
from tests import tiny

pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("quick_compilation"),
]


def settings(tmp_path, **changes):
    return {
        "evaluation.metrics": "swd, msssim",
        "evaluation.every_kimg": 0.048,
        "evaluation.images": 24,
        "evaluation.batch_size": 16,
        "evaluation.cache": str(tmp_path / "cache"),
        "evaluation.best": "swd",
        "run.keep_checkpoints": 1,
    } | {f"evaluation.{name}": value for name, value in changes.items()}


@pytest.mark.slow
def test_a_run_with_metrics(tmp_path_factory, tmp_path, capsys):
    run = tmp_path / "run"
    e = tiny.experiment(settings(tmp_path, alarm_msssim=-2.0))
    train.train(e, run)
    said = capsys.readouterr().out
    rows = [json.loads(x) for x in (run / "metrics.jsonl").read_text().splitlines()]
    at = [48, 96, 144, 192]
    assert [r["checkpoint"] for r in rows] == [x for x in at for _ in range(2)]
    assert [r["name"] for r in rows] == ["swd", "msssim"] * 4
    assert {r["images_generated"] for r in rows} == {24}
    assert rows[0]["step"] == 6 and rows[0]["kimg"] == 0.048
    logged = [row for row in tiny.log(run) if "metrics/swd" in row]
    assert [row["images_seen"] for row in logged] == at
    swd = [r["value"] for r in rows if r["name"] == "swd"]
    np.testing.assert_allclose([row["metrics/swd"] for row in logged], swd)
    # The newest, and the one with the lowest distance.
    best = at[int(np.argmin(swd))]
    kept = {int(p.name) for p in (run / "checkpoints").iterdir()}
    assert kept == {192, best}
    # Told in every line of a tick from the first evaluation on.
    ticks = [line for line in said.splitlines() if line.startswith("tick ")]
    warned = ["COLLAPSE? MS-SSIM" in line for line in ticks]
    assert warned == [False] * 3 + [True] * (len(ticks) - 3)
    assert said.count("metrics at 0.048 kimg: swd ") == 1
    # And nothing else is changed by it.
    plain = tiny.restored(tiny.finished_run(tmp_path_factory))
    tiny.assert_same(tiny.restored(run), plain)
    # A resumed run does not evaluate what was evaluated.
    longer = {"training.total_kimg": (tiny.END + 16) / 1000}
    train.train(tiny.experiment(settings(tmp_path) | longer), run)
    again = (run / "metrics.jsonl").read_text().splitlines()
    assert len(again) == len(rows)


def test_a_short_run_with_metrics(tmp_path, capsys):
    short = {"training.total_kimg": 0.064}
    run = tmp_path / "run"
    train.train(tiny.experiment(settings(tmp_path, alarm_msssim=-2.0) | short), run)
    rows = [json.loads(x) for x in (run / "metrics.jsonl").read_text().splitlines()]
    assert [(r["name"], r["checkpoint"]) for r in rows] == [("swd", 48), ("msssim", 48)]
    assert {int(p.name) for p in (run / "checkpoints").iterdir()} == {48, 64}
    lines = capsys.readouterr().out.splitlines()
    [tick] = [line for line in lines if line.startswith("tick 4")]
    assert "COLLAPSE? MS-SSIM" in tick
    report = (run / "report.html").read_text()
    assert '<text class="title" x="56" y="14">swd</text>' in report


def test_metrics_that_cannot_be_taken_do_not_end_the_run(tmp_path, capsys, monkeypatch):
    """But an image that one process alone can't read ends it, for others wait."""

    def broken(*args):
        raise error

    monkeypatch.setattr("stylegan_jax.metrics.collecting.collect", broken)
    short = {"training.total_kimg": 0.064}
    error = pipeline.UnusableImage("a.png is damaged")
    with pytest.raises(pipeline.UnusableImage):
        train.train(tiny.experiment(settings(tmp_path) | short), tmp_path / "ended")
    error = ValueError("no detail at all")
    train.train(tiny.experiment(settings(tmp_path) | short), tmp_path / "run")
    said = capsys.readouterr().out
    assert (
        "WARNING: at 0.048 kimg can't be taken: swd, msssim: no detail at all" in said
    )
    [event] = tiny.events(tmp_path / "run", "evaluation_failed")
    assert event["message"] == "swd, msssim: no detail at all"
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": "swd,fids"}, "unknown metric 'fids'"),
        ({"best": "fid50k"}, "must be one of the numbers .* give: swd, msssim"),
        ({"batch_size": 15}, "`evaluation.batch_size` .=15. must be divisible"),
        ({"metrics": "ppl_w_end", "vgg16": "/nowhere"}, "/nowhere"),
        ({"metrics": "ls", "best": None}, "ls needs a classifier"),
    ],
)
def test_what_does_not_fit_is_told_before_training(tmp_path, changes, message):
    if changes.get("metrics") == "ppl_w_end":
        changes = changes | {"best": None}
    e = tiny.experiment(settings(tmp_path, **changes))
    with pytest.raises((ValueError, OSError), match=message):
        train.train(e, tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_small_images_are_refused_before_training(tmp_path):
    e = tiny.experiment(settings(tmp_path) | {"data.resolution": 8})
    with pytest.raises(ValueError, match="swd needs images of at least 16 pixels"):
        train.train(e, tmp_path / "run")


def test_best_needs_metrics():
    with pytest.raises(config.ConfigError, match="needs `evaluation.metrics`"):
        tiny.experiment({"evaluation.best": "swd"})


def test_alarm():
    def found(above, recall):
        similar = Measurement("msssim", 0.5, details={"above_reals": above})
        return {"msssim": similar, "recall": Measurement("recall", recall)}

    assert alarm(found(0.1, 0.3), 0.15, 0.02) is None
    assert alarm(found(0.2, 0.3), 0.15, 0.02) == "COLLAPSE? MS-SSIM 0.50, reals 0.30"
    both = alarm(found(0.2, 0.01), 0.15, 0.02)
    assert both == "COLLAPSE? MS-SSIM 0.50, reals 0.30, recall 0.010"
    assert alarm({}, 0.15, 0.02) is None
