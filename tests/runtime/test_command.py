"""Declared programs: their flags, their help, and answers to wrong command lines."""

import sys

import pytest
from absl import flags

from stylegan_jax.runtime import cli, command, flag

COMMAND = command.Command(
    "paint",
    "Paint pictures.",
    ("--out=pictures --size=3",),
    {
        "Output": (
            flag.text("out", "FOLDER", "The folder to paint into.", required=True),
            flag.switch("wet", "Do not wait until it is dry."),
        ),
        "Paint": (
            flag.integer("size", "N", "The size.", 4, minimum=1, unit="pixels"),
            flag.number("gloss", "G", "The gloss.", 0.5, minimum=0, maximum=2),
            flag.choice("tool", "The tool.", "brush", ("brush", "knife")),
            flag.names("colors", "NAMES", "The colors.", ["red", "blue"]),
            flag.text("title", "TEXT", "The title.", absent="none"),
            flag.text("model", "TEXT", "The model.", "a cat", may_be_empty=True),
        ),
    },
    topics={"colors": "tests.runtime.test_command:colors"},
)


def colors(topic, argv):
    return f"{topic} of {argv[1]}: red, blue"


def parse(*arguments):
    values = flags.FlagValues()
    argv = ["paint", *arguments]
    COMMAND.define(values, argv)
    assert COMMAND.parse(argv, values) == ["paint"]
    return {name: values[name].value for name in COMMAND.all_flags}


def test_flags_are_parsed():
    assert parse("--out=a", "--size=2", "--gloss", "1e-1", "--wet", "--colors=red") == {
        "out": "a",
        "wet": True,
        "size": 2,
        "gloss": 0.1,
        "tool": "brush",
        "colors": ["red"],
        "title": None,
        "model": "a cat",
    }
    assert parse("--out=a", "--model=")["model"] == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--out=FOLDER must be given; `python -m stylegan_jax.paint --help`"),
        (["--out="], "--out=: the value is empty; if it comes from a shell variable"),
        (["--out= "], "the value is empty"),
        (["--out=a", "--title="], "--title=: the value is empty; if it comes from a"),
        (["--out", "--size=2"], "--out=--size=2: the value is missing; another flag"),
        (["--out=a", "--gloss=0,7"], "--gloss=0,7: the value must be a number such"),
        (["--out=a", "--oud=a"], "Unknown command line flag 'oud'. Did you mean: out"),
        (["--out=a", "--gloss=nan"], "--gloss=nan: the value must be a finite number"),
        (["--out=a", "--gloss=-inf"], "--gloss=-inf: the value must be a finite"),
        (["--out=a", "--gloss=1e39"], "--gloss=1e39: the value must be a finite"),
        (["--out=a", "--gloss=3"], "3.0 is not a number in the range [0, 2]"),
        (["--out=a", "--gloss=x"], "--gloss=x"),
        (["--out=a", "--size=0"], "0 is not a positive integer"),
        (["--out=a", "--size=1e3"], "--size=1e3: the value must be a whole number su"),
        (["--out=a", "--tool=spoon"], "<brush|knife>"),
        (
            ["--out=a", "b"],
            "unexpected arguments ['b']; every argument is a flag, such",
        ),
        (["--out=a", "--wet", "True"], "switches have no value after a space: write -"),
    ],
)
def test_wrong_command_lines_are_refused(arguments, message):
    with pytest.raises(command.UsageError) as raised:
        parse(*arguments)
    assert message in str(raised.value)


def test_help_has_groups_defaults_and_units():
    assert COMMAND.help(60) == "\n".join(
        [
            "Paint pictures.",
            "",
            "  python -m stylegan_jax.paint --out=pictures --size=3",
            "",
            "Output:",
            "  --out=FOLDER          The folder to paint into. Required.",
            "  --wet                 Do not wait until it is dry.",
            "",
            "Paint:",
            "  --size=N              The size. Default: 4 pixels.",
            "  --gloss=G             The gloss. Default: 0.5.",
            "  --tool=TOOL           The tool. Default: brush.",
            "  --colors=NAMES        The colors. Default: red,blue.",
            "  --title=TEXT          The title. Default: none.",
            "  --model=TEXT          The model. Default: a cat.",
        ]
    )


def answer(monkeypatch, capsys, *arguments):
    """Return the exit status, standard output and standard error."""
    monkeypatch.setattr(sys, "argv", ["paint", *arguments])
    with pytest.raises(SystemExit) as ended:
        command.parse_or_exit(COMMAND, flags.FlagValues())
    out, err = capsys.readouterr()
    return ended.value.code, out, err


@pytest.mark.parametrize("argument", ["--help", "-h", "-help", "--helpfull"])
def test_help_is_printed_whatever_else_is_wrong(monkeypatch, capsys, argument):
    monkeypatch.setenv("COLUMNS", "60")
    found = answer(monkeypatch, capsys, "--oud=a", argument)
    assert found == (0, COMMAND.help(60) + "\n", "")


def test_help_on_a_topic(monkeypatch, capsys):
    found = answer(monkeypatch, capsys, "--help=colors")
    assert found == (0, "colors of --help=colors: red, blue\n", "")
    code, out, err = answer(monkeypatch, capsys, "--help=sizes")
    assert (code, out) == (cli.EXIT_FAILURE, "")
    assert err == (
        "error: `--help` has no topic 'sizes'; use --help or one of --help=colors\n"
    )


def test_after_two_dashes_there_is_no_help():
    assert command.help_topic(["--out=a", "--", "--help"]) is None
    assert command.help_topic(["--help=a"]) == "a"
    assert command.help_topic(["--list_settings"]) == "settings"


def test_a_wrong_flag_ends_the_program_with_one_message(monkeypatch, capsys):
    code, out, err = answer(monkeypatch, capsys, "--out=a", "--gloss=nan")
    assert (code, out) == (cli.EXIT_FAILURE, "")
    assert err == (
        "error: the command line is wrong: flag --gloss=nan: the value must be a "
        "finite number\n"
    )
