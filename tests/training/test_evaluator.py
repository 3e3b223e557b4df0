"""Metrics during training: their schedule, logs, kept checkpoints and alarms."""

import io
import json
import re
import types

import numpy as np
import pytest

from stylegan_jax import config, train
from stylegan_jax.data import pipeline, sources
from stylegan_jax.metrics.results import MetricValue
from stylegan_jax.runtime import parallel, storage
from stylegan_jax.runtime.logger import RunLogger
from stylegan_jax.training import evaluator, setup
from stylegan_jax.training.evaluator import Evaluator, collapse_alarm
from stylegan_jax.training.guard import EvalResult
from stylegan_jax.training.progress import Progress
from tests import tiny
from tests.metrics import stand_ins

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
def test_a_run_with_metrics(tmp_path_factory, tmp_path, capsys, monkeypatch):
    run = tmp_path / "run"
    # Of four evaluations, each of which also asks whether variety is clear.
    alarms = iter(["", "", *["COLLAPSE? MS-SSIM"] * 6])
    monkeypatch.setattr(evaluator, "collapse_alarm", lambda *_: next(alarms))
    train.train(tiny.experiment(settings(tmp_path)), run)
    monkeypatch.undo()
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
    # The newest checkpoint is kept, and the one with the lowest distance.
    best = at[int(np.argmin(swd))]
    kept = {int(p.name) for p in (run / "checkpoints").iterdir()}
    assert kept == {192, best}
    # Every line of a tick has the alarm after the second evaluation, that of tick 6.
    ticks = [line for line in said.splitlines() if line.startswith("tick ")]
    alarmed = ["COLLAPSE? MS-SSIM" in line for line in ticks]
    assert alarmed == [False] * 6 + [True] * (len(ticks) - 6)
    assert said.count("metrics at 0.048 kimg: swd ") == 1
    # Evaluations change nothing else.
    plain = tiny.restored(tiny.finished_run(tmp_path_factory))
    measured = tiny.restored(run)
    assert measured["meta"].pop("collapse_signs") == {"metrics": 3}
    assert measured["meta"].pop("varied_images") == 48
    for name in ("collapse_signs", "varied_images"):
        del plain["meta"][name]
    tiny.assert_same(measured, plain)
    # A resumed run does not repeat an evaluation.
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
    assert "COLLAPSE?" not in tick  # the images never had variety
    report = (run / "report.html").read_text()
    assert '<text class="title" x="56" y="14">swd</text>' in report


@pytest.fixture
def open_evaluator(tmp_path):
    """Opens an evaluator as training does, with its lines and its directory."""

    def open_it(changes):
        e = tiny.experiment(changes)
        source = sources.open_source(e.data)
        training = setup.build(e, parallel.data_parallel())
        directory = storage.open_path(tmp_path / "run")
        stream = io.StringIO()
        logger = RunLogger(directory, True, stream)
        loggers.append(logger)
        return Evaluator(training, source, logger, directory, 0), stream, directory

    loggers = []
    yield open_it
    for logger in loggers:
        logger.close()


def test_schedule_score_and_failures(open_evaluator, tmp_path, monkeypatch):
    """A metric that fails is reported; an image that cannot be read ends the run."""

    def fail(*args):
        raise error

    evaluate, stream, directory = open_evaluator(settings(tmp_path))
    ema = stand_ins.generator(parallel.data_parallel()).variables
    state = types.SimpleNamespace(ema=ema)
    assert evaluate(state, Progress(16, images_seen=47)) is None
    measured = evaluate(state, Progress(16, images_seen=50, step=6))
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [(r["name"], r["checkpoint"], r["step"]) for r in rows] == [
        ("swd", 50, 6),
        ("msssim", 50, 6),
    ]
    # Lower distances are better, and MS-SSIM tells no collapse.
    clearly = rows[1]["details"]["above_reals"] <= 0.15 / 2
    assert measured == EvalResult(-rows[0]["value"], None, "", clearly)
    assert re.search(r"metrics at 0.05 kimg: swd .*  msssim ", stream.getvalue())
    assert evaluate(state, Progress(16, images_seen=95)) is None

    monkeypatch.setattr("stylegan_jax.metrics.evaluation.collect_statistics", fail)
    error = ValueError("no detail at all")
    failed = evaluate(state, Progress(16, images_seen=96))
    assert failed == EvalResult(None, "swd, msssim cannot be measured")
    message = "swd, msssim: no detail at all"
    assert f"WARNING: not measured at 0.096 kimg: {message}" in stream.getvalue()
    [event] = tiny.events(directory, "evaluation_failed")
    assert event["message"] == message
    assert len((directory / "metrics.jsonl").read_text().splitlines()) == 2

    error = pipeline.UnusableImage("a.png is damaged")
    with pytest.raises(pipeline.UnusableImage):
        evaluate(state, Progress(16, images_seen=144))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": "swd,fids"}, "unknown metric 'fids'"),
        ({"best": "fid50k"}, "must be one of the numbers of .*: swd, msssim"),
        ({"batch_size": 15}, "`evaluation.batch_size` .=15. must be divisible"),
        ({"metrics": "ppl_w_end", "vgg16": "/nowhere", "best": None}, "/nowhere"),
        (
            {
                "metrics": "kid_efficientnet",
                "efficientnet": "/nowhere",
                "best": None,
            },
            "no file /nowhere with the weights of efficientnet",
        ),
        ({"metrics": "ls", "best": None}, "ls needs a classifier"),
    ],
)
def test_settings_that_do_not_fit(open_evaluator, tmp_path, changes, message):
    with pytest.raises((ValueError, OSError), match=message):
        open_evaluator(settings(tmp_path, **changes))


def test_missing_requirements_end_it_before_training(tmp_path):
    e = tiny.experiment(settings(tmp_path) | {"data.resolution": 8})
    with pytest.raises(ValueError, match="swd needs images of at least 16 pixels"):
        train.train(e, tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_best_needs_metrics():
    with pytest.raises(config.ConfigError, match="needs a metric in"):
        tiny.experiment({"evaluation.best": "swd"})


def test_collapse_alarm():
    def found(above, recall):
        similarity = MetricValue(0.5, details={"above_reals": above})
        return {"msssim": similarity, "recall": MetricValue(recall)}

    assert collapse_alarm(found(0.1, 0.3), 0.15, 0.02) == ""
    text = "COLLAPSE? MS-SSIM 0.50, reals 0.30"
    assert collapse_alarm(found(0.2, 0.3), 0.15, 0.02) == text
    both = collapse_alarm(found(0.2, 0.01), 0.15, 0.02)
    assert both == f"{text}, recall 0.010"
    assert collapse_alarm({}, 0.15, 0.02) == ""
