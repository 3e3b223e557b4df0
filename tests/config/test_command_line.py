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
    assert done.stderr.startswith("error: the command line is wrong:\n")
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
        (["--workdir=x", "--config.data.mirror=3"], "`data.mirror` .='3'. must be"),
        (
            ["--workdir=x", "--config.training.batch_size=1.5"],
            "`training.batch_size` .='1.5'. must be a whole number",
        ),
        (["--workdir=x", "--config.data.miror=1"], "did you mean `data.mirror`?"),
        (
            ["--config=configs/emojis.py", "--workdir=x"],
            "(?s)the config file cannot be read: .*configs/emojis.py",
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
    assert lines[0] == "the configuration cannot be used:"
    assert len(lines) == 4
    assert "`training.loss` (='wgn') must be one of" in message
    assert "`data.resolution` (=33) must be a power of two" in message
    assert "`training.batch_size` (=0) must be positive" in message


GOOD = """from stylegan_jax import config


def get_config():
    return config.base()
"""


@pytest.mark.parametrize(
    ("content", "suffix", "message"),
    [
        ("def get_config(:\n", "", "line 1 is not valid Python (invalid syntax)"),
        (
            '{"data": {"path": null}\n',
            "",
            "line 1 is not valid Python ('{' was never clos",
        ),
        ("x = 1\n", "", "it must define a function get_config()"),
        (GOOD + "\n1 / 0\n", "", "line 7: ZeroDivisionError: division by zero"),
        ("import no_such_module\n", "", "line 1: ModuleNotFoundError: No module name"),
        (
            GOOD.replace("return", "c = conf\n    return"),
            "",
            "line 5: NameError: name 'conf' is not defined",
        ),
        (
            GOOD.replace("    ret", "    c = config.base()\n    c.data.x = 1\n    ret"),
            "",
            "line 6: AttributeError: ",
        ),
        (
            GOOD.replace("()", "(size)", 1),
            "",
            "it needs an argument after a colon (get_config() missing 1 required",
        ),
        (GOOD, ":32", "it does not take an argument after a colon (get_config() tak"),
        (
            "def get_config(size='8'):\n    return int(size)\n",
            ":x",
            "invalid literal for int() with base 10: 'x'",
        ),
    ],
)
def test_config_files_that_fail_are_explained(tmp_path, content, suffix, message):
    path = tmp_path / "mine.py"
    path.write_text(content)
    assert config_failure(f"{path}{suffix}").startswith(
        f"the config file {path} cannot be used: {message}"
    )


def config_failure(path, *overrides):
    """Return the message with which `--config=PATH` is refused."""
    argv = ["train", f"--config={path}", *overrides]
    values = flags.FlagValues()
    sys.modules.pop("config_config", None)  # the module of another config file
    config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=argv)
    with pytest.raises(config.ConfigError) as raised:
        config.parse_flags(argv, values)
    message = str(raised.value)
    assert "Traceback" not in message
    return message


@pytest.mark.parametrize("content", ["return None", "return {}", "pass"])
def test_config_files_must_return_a_config(tmp_path, content):
    path = tmp_path / "mine.py"
    path.write_text(f"def get_config():\n    {content}\n")
    kind = "dict" if "{" in content else "NoneType"
    assert config_failure(path) == (
        f"get_config() of {path} must return `config.base()` with some settings "
        f"changed; it returned {kind}"
    )
    assert "Traceback" not in config_failure(path, "--config.data.resolution=8")


def test_config_files_that_are_not_there(tmp_path, monkeypatch):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "emoji.py").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    missing = "the config file cannot be read: {} does not exist"
    for name in ("configs/emojis.py", "configs/emoji", "emoji", "emoji.py:x"):
        path = name.partition(":")[0]
        expected = f"{missing.format(path)}; did you mean configs/emoji.py?"
        assert config_failure(name) == expected
    assert config_failure("x.py") == missing.format("x.py")
    assert "configs is a folder; name a Python file" in config_failure("configs")
    assert "its name is empty; use --config=FILE.py" in config_failure("")


def test_the_variant_that_a_config_misses_is_named():
    message = config_failure(ROOT / "configs" / "table1.py")
    assert message.startswith(f"the config file {ROOT / 'configs' / 'table1.py'} can")
    assert "must be one of b, c, d, e, f, after a colon: --config=" in message
    message = config_failure(f"{ROOT / 'configs' / 'stylegan2_auto.py'}:256")
    assert "the size (='256') must be RESOLUTIONxDEVICES" in message


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (
            "--config.training.batch_size=8.0",
            "`training.batch_size` (='8.0') must be",
        ),
        ("--config.training.r1_gamma=", "`training.r1_gamma` (='') must be a number"),
        ("--config.data.mirror=maybe", "`data.mirror` (='maybe') must be True or Fal"),
        ("--config.data.base_size=4x8", "(='4x8') must be two whole numbers, such as"),
        ("--training.batch_size=8", "have a prefix: --config.training.batch_size"),
        ("--batch_size=8", "have a prefix: --config.training.batch_size"),
        ("--config=x.json", "(it must be a Python file, as in configs/): line 1: Nam"),
        ("--num_processes=2", "--num_processes and --process_id have no effect wit"),
        ("--num_processes=0", "--num_processes=0: 0 is not a positive integer"),
        ("--process_id=-1", "--process_id=-1: -1 is not a non-negative integer"),
    ],
)
def test_common_mistakes_are_explained(
    failure, tmp_path, monkeypatch, argument, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.json").write_text('{"data": null}')
    found = failure(argument, f"--workdir={tmp_path / 'run'}")
    assert message in found.replace("('4x8',)", "'4x8'")
    assert not (tmp_path / "run").exists()


def test_an_empty_command_line_names_what_is_missing(run_main):
    with pytest.raises(ValueError) as raised:
        run_main(train)
    assert str(raised.value).startswith("--config=FILE.py and --workdir=DIRECTORY must")


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("training.r1_gamma=nan", "`training.r1_gamma` (=nan) must be finite"),
        ("training.total_kimg=inf", "`training.total_kimg` (=inf) must be finite"),
        ("training.adam_beta2=-inf", "`training.adam_beta2` (=-inf) must be finite"),
        ("evaluation.alarm_msssim=nan", "`evaluation.alarm_msssim` (=nan) must be"),
        ("run.grid_truncation_psi=1e39", "`run.grid_truncation_psi` (=1e+39) must"),
        (
            "training.batch_size_by_resolution=((8,1e999),)",
            "`training.batch_size_by_resolution` (=((8, inf),)) must be pairs",
        ),
        (
            "training.learning_rate_by_resolution=((8,1e999),)",
            "`training.learning_rate_by_resolution` (=((8, inf),)) must be pairs",
        ),
        ("model.resample_filter=(1,1e999)", "`model.resample_filter` (=(1, inf)) mu"),
        ("data.base_size=(1e999,4)", "`data.base_size` (=(inf, 4)) must be"),
        ("training.batch_size=1e999", "`training.batch_size` (='1e999') must be a w"),
    ],
)
def test_numbers_that_are_not_finite_are_refused(failure, tmp_path, argument, message):
    run = tmp_path / "run"
    assert message in failure(f"--config.{argument}", f"--workdir={run}")
    assert not run.exists()


def test_a_message_lists_at_most_twenty_settings():
    [problem] = config.unknown_overrides(["--config.training.zzz=1"])
    assert problem.count(",") == 19 and " more)" in problem
    [problem] = config.unknown_overrides(["--config.training.style_mix=1"])
    assert "(allowed here: style_mixing_probability, " in problem
    many = [f"--config.training.z{i}=1" for i in range(30)]
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=many)
    with pytest.raises(config.ConfigError) as raised:
        config.parse_flags(["train", *many], values)
    assert len(str(raised.value).splitlines()) == 22
