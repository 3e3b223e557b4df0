"""The help of every program: short, complete, and in whole sentences."""

import dataclasses
import importlib
import re

import pytest

from stylegan_jax import config
from stylegan_jax.commands import evaluate, prepare, project, train, tune
from stylegan_jax.config import listing
from stylegan_jax.data import decoding, images
from stylegan_jax.data.preparation import options
from stylegan_jax.inversion import distances, schedule, targets, tuning
from stylegan_jax.metrics import context, registry
from stylegan_jax.metrics.networks.detectors import KINDS
from stylegan_jax.models.interface import NOISE_MODES
from tests.config.reading import ROOT

PROGRAMS = (
    *("train", "generate", "interpolate", "mix", "figures", "evaluate", "prepare"),
    *("convert", "directions", "ema", "encoder", "explore", "export", "inspect"),
    *("project", "report", "tune"),
)
COMMANDS = {
    name: importlib.import_module(f"stylegan_jax.commands.{name}").COMMAND
    for name in PROGRAMS
}
SCREEN_LINES = 40  # of a terminal that is not small; the help has at most two


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_is_one_or_two_screens_of_whole_sentences(name):
    command = COMMANDS[name]
    assert command.name == name
    lines = command.help().splitlines()
    assert len(lines) <= 2 * SCREEN_LINES
    assert max(map(len, lines)) <= 88
    assert max(map(len, command.help(60).splitlines())) <= 60 or name == "train"
    for text in (command.summary, *command.notes):
        assert re.fullmatch(r"(?s)[A-Z].*\.", text), text
    for flag in command.all_flags.values():
        # A sentence begins with a capital letter or with a name, and has a verb.
        assert re.fullmatch(r"[A-Z].*\.", flag.doc), (flag.name, flag.doc)
        assert len(flag.doc.split()) >= 2
        assert f"--{flag.name}" in command.help()


@pytest.mark.parametrize("name", PROGRAMS)
def test_sizes_are_explained_where_they_are_read_or_printed(name):
    command = COMMANDS[name]
    if {"size", "resolution"} & set(command.all_flags) or name == "generate":
        assert "WIDTHxHEIGHT, in pixels" in command.help().replace("\n", " ")


def test_defaults_and_choices_are_those_of_the_code():
    """They are repeated in the declarations, which import nothing slow."""
    flags = prepare.COMMAND.all_flags
    assert prepare.CROPS == images.CROPS and prepare.FILTERS == images.FILTERS
    assert prepare.LABELS == options.LABELS
    assert ("auto", *options.FORMATS) == prepare.FORMATS
    defaults = options.PrepareOptions(None)
    assert flags["max_pixels"].default == decoding.MAX_PIXELS == defaults.max_pixels
    for name in ("crop", "filter", "labels"):
        assert flags[name].default == getattr(defaults, name)
    assert tuple(KINDS) == evaluate.FEATURES
    assert set(evaluate.NOISE) == set(NOISE_MODES)
    flags = evaluate.COMMAND.all_flags
    assert flags["cache"].default == config.Evaluation().cache
    assert flags["features"].default == config.Evaluation().features
    assert flags["metrics"].default == list(registry.find(flags["metrics"].default))
    assert f"{config.Evaluation().batch_size} images" in flags["batch_size"].absent
    assert context.IMAGES_OF_A_PAIR == 2 and "twice" in flags["batch_size"].doc


def test_defaults_of_project_and_tune_are_those_of_the_code():
    flags = project.COMMAND.all_flags
    assert (distances.AUTO, *distances.DISTANCES) == project.DISTANCES
    assert targets.CROPS == ("center", "none")
    settings = schedule.Settings()
    for name in set(flags) & {field.name for field in dataclasses.fields(settings)}:
        default = flags[name].default
        assert default == (getattr(settings, name) or None), name
    settings = tuning.TuningSettings()
    for field in dataclasses.fields(settings):
        default = tune.COMMAND.all_flags[field.name].default
        assert default == getattr(settings, field.name), field.name
    stops = [f"{d} for {name}" for name, d in tuning.STOP_DISTANCES.items()]
    assert tune.COMMAND.all_flags["stop_distance"].absent == ", ".join(stops)


def test_the_metrics_are_listed():
    text = registry.table()
    for name, metric in registry.METRICS.items():
        assert f"  {name:16s} {metric.help}; {metric.images:,} images" in text
    assert evaluate.COMMAND.topics == {"metrics": f"{registry.__name__}:table"}


def settings(*arguments, topic="settings"):
    return train.settings_text(topic, ["train", *arguments, f"--help={topic}"])


def test_settings_have_units_and_the_values_of_the_config():
    path = ROOT / "configs" / "emoji.py"
    text = settings(f"--config={path}", "--config.training.r1_gamma=3")
    assert "  training.total_kimg = 120.0  [thousands of real images]  *\n" in text
    assert "  training.r1_gamma = 3.0  *\n" in text
    assert "  training.adam_beta2 = 0.99\n" in text  # as by default
    assert f"their values in {path}" in text.replace("\n", " ")
    assert text == settings("--config", str(path), "--config.training.r1_gamma", "3")
    flat = " ".join(text.split())
    assert "Weight of R1, the gradient penalty on real images (logistic and" in flat
    assert "It must not be negative. Default: 10.0." in flat
    for name, field, _ in config.fields(config.Experiment()):
        assert f"  {name} = " in text
        unit = field.metadata["unit"]
        assert not unit or re.search(rf"{name} = .*\[{re.escape(unit)}\]", text)


def test_settings_without_a_config_are_the_defaults():
    text = settings()
    assert "  training.total_kimg = 25000.0  [thousands of real images]\n" in text
    assert "*" not in " ".join(text.split()).replace("2 * base", "")
    one = settings(topic="run")
    assert "  run.seed = 0\n" in one and "training." not in one.split("run:")[0]
    assert not re.search(r"^  (data|model|training|evaluation)\.", one, re.MULTILINE)
    assert set(train.COMMAND.topics) == {"settings", *listing.SECTIONS}
    # A config that is incomplete is listed as it is.
    auto = settings("--config", f"{ROOT / 'configs' / 'stylegan2_auto.py'}:64x1")
    assert "  data.path = ''  *\n" in auto and "data.resolution = 64  [pix" in auto
