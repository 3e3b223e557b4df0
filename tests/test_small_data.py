"""The comparison of the remedies for few images."""

import pytest
from absl import app

from benchmarks import small_data
from stylegan_jax import config
from stylegan_jax.presets import Survey
from stylegan_jax.report import page
from tests import tiny
from tests.config import reading

SURVEY = Survey(42, 64, channels=1)


@pytest.fixture
def values(monkeypatch):
    """Sets flags that only the command line defines."""

    class Values:
        config, held_out, kimg, every_kimg = "configs/smileys.py", 0.5, 0.064, 0.032
        evaluated, resolution, data = 8, 32, ""
        runs, out, more = ["none", "ada"], None, ""

    monkeypatch.setattr(small_data, "FLAGS", Values)
    return Values


def settings(name, out, *more):
    command = small_data.training_command(name, out, SURVEY, more)
    given = [text.removeprefix("--config.") for text in command]
    return dict(text.split("=", 1) for text in given if "=" in text)


def test_runs_differ_by_their_remedy_alone(values, tmp_path):
    given = {
        name: settings(name, tmp_path, "--config.run.seed=3")
        for name in small_data.RUNS
    }
    none = given["none"]
    assert none["run.seed"] == "3" and none["training.total_kimg"] == "0.064"
    for name, others in given.items():
        assert others.pop("--workdir") == str(tmp_path / name)
    different = {
        name: {key for key in given[name] if given[name][key] != none.get(key)}
        for name in given
    }
    assert different == {
        "none": set(),
        "ada": {"training.augment", "training.augment_speed_kimg"},
        "diffaugment": {"training.augment"},
        "autopilot": {"--config"},
    }
    assert given["ada"]["training.augment_speed_kimg"] == "2.1"


def test_the_autopilot_makes_its_choices_for_the_resolution(values, tmp_path):
    command = small_data.training_command("autopilot", tmp_path, SURVEY, [])
    name = command[3].removeprefix("--config=configs/").replace(".py", "")
    e = config.parse(reading.read(name, *command[5:]))
    assert (e.data.builtin, e.data.resolution, e.data.held_out) == ("smileys", 32, 0.5)
    assert (e.model.channel_base, e.training.augment) == (32 * 32, "bgc")
    assert e.training.augment_speed_kimg == 38.5  # a hundred passes over nine tenths


def test_other_images(values, tmp_path):
    values.data = "some.zip"
    command = small_data.training_command("none", tmp_path, SURVEY, [])
    given = [text for text in command if text.startswith("--config.")]
    data = config.parse(reading.read("smileys", *given)).data
    assert (data.path, data.channels, data.resolution) == ("some.zip", 1, 32)
    given = settings("autopilot", tmp_path)
    assert given["--config"] == "configs/small.py:some.zip,32"


def test_curves_and_table(tmp_path):
    rows = {}
    for name, slope in (("none", 0.4), ("ada", 0.1)):
        rows[name] = [
            {"tick": i, "kimg": i, "d_main/sign_real": 0.5}
            | {"overfitting/r_v": slope * i}
            for i in (1.0, 2.0)
        ]
    rows["none"] += [
        {"kimg": 2.0, "overfitting/r_v": 0.9},  # repeated by a resumed run
        {"event": "warning", "kimg": 2.0, "message": "overfits: r_v is 0.90"},
        # Too uncertain to be shown.
        {"kimg": 3.0, "overfitting/r_v": 7.7, "overfitting/r_v_error": 5.0},
    ]
    html = small_data.curves(rows)
    assert html.count("<figure>") == 2  # without p and the metric
    assert "none 0.9 at 2" in html and "none, 2 kimg: overfits: r_v is 0.90" in html
    assert "7.7" not in html
    lines = small_data.table(rows).splitlines()
    assert lines[2].startswith("| none | 2 |") and "0.900" in lines[2]
    assert lines[2].endswith("| 2 kimg: overfits |") and lines[3].endswith("| none |")


@pytest.mark.slow
def test_tiny_runs_are_compared(values, tmp_path, monkeypatch, capsys):
    changes = tiny.STYLEGAN2 | {"data.builtin": "smileys", "data.resolution": 16}
    values.config = str(tiny.config_file(tmp_path, changes))
    values.out, values.resolution = str(tmp_path / "runs"), 16
    monkeypatch.setenv("PYTHONPATH", str(tiny.ROOT))
    monkeypatch.setattr(small_data, "METRIC", "swd")
    values.more = f"--config.evaluation.cache={tmp_path / 'cache'}"
    small_data.main(["small_data"])
    assert "| ada | 0.064 |" in capsys.readouterr().out
    for name in values.runs:
        rows = page.read_rows(tmp_path / "runs" / name / "log.jsonl")
        assert len(small_data.series(rows, "overfitting/nearest")) == 4
        assert len(small_data.series(rows, "metrics/swd")) == 2
    values.kimg = 0
    small_data.main(["small_data"])
    assert (tmp_path / "runs" / "curves.html").exists()
    values.out = str(tmp_path)
    with pytest.raises(app.UsageError, match="has no run of"):
        small_data.main(["small_data"])
    values.runs = ["other"]
    with pytest.raises(app.UsageError, match="--runs contains"):
        small_data.main(["small_data"])
