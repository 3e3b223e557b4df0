"""The command line changes settings and reports those that are wrong."""

import subprocess
import sys

import pytest
from absl import flags
from ml_collections import config_flags

from stylegan_jax import config, train
from tests.config.reading import ROOT, experiment, schema


@pytest.mark.parametrize(
    ("argument", "section", "field", "value"),
    [
        ("training.total_kimg=100", "training", "total_kimg", 100.0),
        ("training.batch_size=8", "training", "batch_size", 8),
        (
            "training.batch_size_by_resolution=((8,64),)",
            "training",
            "batch_size_by_resolution",
            ((8, 64.0),),
        ),
        (
            "training.learning_rate_by_resolution=((8,1e-3),(16,0.002))",
            "training",
            "learning_rate_by_resolution",
            ((8, 0.001), (16, 0.002)),
        ),
        ("model.blur_filter=(1,3,3,1)", "model", "blur_filter", (1, 3, 3, 1)),
        ("model.blur_filter=()", "model", "blur_filter", ()),
        ("data.mirror=False", "data", "mirror", False),
        ("data.tfds_data_dir=/data", "data", "tfds_data_dir", "/data"),
    ],
)
def test_command_line_overrides(argument, section, field, value):
    e = experiment("emoji", f"--config.{argument}")
    assert getattr(getattr(e, section), field) == value


def test_booleans_have_short_forms():
    assert not experiment("emoji", "--noconfig.data.mirror").data.mirror
    assert experiment("cifar10", "--config.data.conditional").data.conditional


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--config.training.total_kimgs=3", "did you mean `training.total_kimg`?"),
        ("-config.training.total_kimgs", "did you mean `training.total_kimg`?"),
        ("--noconfig.data.miror", "did you mean `data.mirror`?"),
        ("--config.trainin.loss=wgan", "`trainin`; did you mean `training`?"),
        ("--config.loss=wgan", "unknown config key `loss` (allowed here: data,"),
        ("--config.training.loss.x=1", "`training.loss` is a value"),
    ],
)
def test_unknown_overrides_are_reported(argument, message):
    [problem] = config.unknown_overrides(["--workdir=x", argument])
    assert message in problem


def test_known_overrides_are_accepted():
    arguments = [f"--config.{name}=1" for name in schema()]
    others = ["--config=configs/emoji.py", "--workdir=config.x=1", "--configs.a=1"]
    assert config.unknown_overrides(arguments + others) == []


def test_wrong_command_line_gives_one_message_and_no_run(tmp_path):
    arguments = [
        "--config=configs/emoji.py",
        "--config.training.total_kimgs=3",
        "--config.data.miror=True",
        f"--workdir={tmp_path / 'run'}",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "stylegan_jax.train", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: The command line is wrong:\n")
    assert "did you mean `training.total_kimg`?" in done.stderr
    assert "did you mean `data.mirror`?" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workdirs=x"], "Unknown command line flag 'workdirs'"),
        ([], "Flag --workdir must have a value other than None"),
        (["--workdir=x", "--count=many"], "--count=many"),
        (["--workdir=x", "--config.data.mirror=3"], "--config.data.mirror=3"),
        (
            ["--workdir=x", "--config.training.batch_size=1.5"],
            "--config.training.batch_size=1.5",
        ),
        (["--workdir=x", "--config.data.miror=1"], "did you mean `data.mirror`?"),
        (
            ["--config=configs/emojis.py", "--workdir=x"],
            "(?s)The config file cannot be read: .*configs/emojis.py",
        ),
    ],
)
def test_parse_flags_rejects(arguments, message):
    argv = ["train", f"--config={ROOT / 'configs' / 'emoji.py'}", *arguments]
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=argv)
    flags.DEFINE_string("workdir", None, "", flag_values=values)
    flags.DEFINE_integer("count", 0, "", flag_values=values)
    flags.mark_flags_as_required(["config", "workdir"], flag_values=values)
    with pytest.raises(config.ConfigError, match=message):
        config.parse_flags(argv, values)


@pytest.fixture
def failure(run_main):
    """Runs train in this process; returns the message of its permanent failure."""

    def run(*arguments):
        with pytest.raises(ValueError) as raised:
            run_main(
                train,
                f"--config={ROOT / 'configs' / 'emoji.py'}",
                *arguments,
                parse=config.parse_flags,
            )
        return str(raised.value)

    return run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workdir=x", "--stopped_status=200"], "--stopped_status"),
        (["--workdir=x", "more"], "unexpected arguments ['more']"),
    ],
)
def test_wrong_flags_fail_permanently(failure, arguments, message):
    assert message in failure(*arguments)


def test_bad_values_are_all_reported_at_once(failure, tmp_path):
    message = failure(
        "--config.training.loss=wgn",
        "--config.data.resolution=33",
        "--config.training.batch_size=0",
        f"--workdir={tmp_path / 'run'}",
    )
    lines = message.splitlines()
    assert lines[0] == "The configuration cannot be used:"
    assert len(lines) == 4
    assert "`training.loss` (='wgn') must be one of" in message
    assert "`data.resolution` (=33) must be a power of two" in message
    assert "`training.batch_size` (=0) must be positive" in message
