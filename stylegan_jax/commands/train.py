"""Flags and help of `python -m stylegan_jax.train`."""

from absl import flags
from ml_collections import config_flags

from stylegan_jax import config
from stylegan_jax.commands import processes
from stylegan_jax.config import listing
from stylegan_jax.runtime import cli, flag
from stylegan_jax.runtime.command import Command


def _config_flag() -> flag.Flag:
    doc = (
        "The experiment: a Python file with a function get_config(), and after a colon "
        "the argument of that function if it has one, such as "
        "configs/stylegan2_auto.py:256x1."
    )

    def define(values: flags.FlagValues, argv: list[str]) -> None:
        config_flags.DEFINE_config_file(
            "config", None, doc, flag_values=values, sys_argv=argv
        )

    return flag.Flag("config", doc, None, None, "FILE.py", "", True, define)


def settings_text(topic: str, argv: list[str]) -> str:
    """Return the settings, with the values of the config on the command line.

    Args:
      topic: "settings", or the name of one section.
      argv: the command line, which need not be complete.
    """
    section = None if topic == "settings" else topic
    wanted = ("--config=", "--config.", "--noconfig.", "-config=", "-config.")
    values = flags.FlagValues()
    arguments = [argv[0]]
    previous = ""
    for argument in argv[1:]:
        is_wanted = argument.startswith(wanted) or argument in ("--config", "-config")
        is_value = previous and "=" not in previous and not argument.startswith("--")
        previous = argument if is_wanted else ""
        if is_wanted or is_value:
            arguments.append(argument)
    if len(arguments) == 1:
        return listing.text(config.base(), None, section)
    _CONFIG.define(values, arguments)
    config.parse_flags(arguments, values)
    return listing.text(values.config, values["config"].config_filename, section)


_CONFIG = _config_flag()
COMMAND = Command(
    "train",
    "Train the networks of an experiment, or resume an interrupted run.",
    (
        "--config=configs/smileys.py --workdir=runs/smileys",
        "--config=configs/stylegan2_auto.py:256x1 --workdir=runs/mine "
        "--config.data.path=PHOTOS --config.training.batch_size=16",
        "--config=configs/smileys.py --help=settings",
    ),
    {
        "Experiment": (
            _CONFIG,
            flag.text(
                "workdir",
                "DIRECTORY",
                "The directory of the run, on disk or at gs://... or s3://.... It is "
                "created if necessary; a run in it is resumed.",
                required=True,
            ),
            flag.Flag(
                "config.SECTION.NAME",
                "Any setting of the experiment, such as "
                "--config.training.total_kimg=1000. There are five sections: data, "
                "model, training, run and evaluation.",
                None,
                None,
                "VALUE",
                "",
                False,
                lambda values, argv: None,  # config_flags defines them as they come
            ),
            flag.Flag(
                "help=settings",
                "List all settings with their meaning, unit and value in this "
                "--config; --help=training lists one section.",
                None,
                None,
                "",
                "",
                False,
                lambda values, argv: None,
            ),
        ),
        "Launch scripts": (
            flag.integer(
                "stopped_status",
                "N",
                "The exit status of a run that a signal or its time limit stopped and "
                "that was saved. Launch scripts use 75 to tell such a run from a "
                "finished one.",
                0,
                minimum=0,
                maximum=127,
            ),
        ),
        "Several processes": processes.FLAGS,
    },
    (
        "Exit status: 0 if the run has finished, or was stopped and saved (see "
        "--stopped_status); 2 if the same command would fail again, for example "
        "because a setting is wrong; any other status is a failure that may be "
        "temporary. The same command resumes an interrupted run.",
    ),
    topics=dict.fromkeys(
        ("settings", *listing.SECTIONS), "stylegan_jax.commands.train:settings_text"
    ),
    parse_flags=config.parse_flags,
    wrong_status=cli.EXIT_PERMANENT,
)
