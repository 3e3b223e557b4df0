"""Reads the experiments in `configs/` as a command line does."""

import dataclasses
import typing
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from stylegan_jax import config

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "--config.data.path=/somewhere"

# Config -> arguments without which it is not complete, devices that it is meant for.
CONFIGS = {
    "emoji": ((), 1),
    "ffhq": ((FOLDER,), 8),
    "ffhq256": ((FOLDER,), 8),
    "celebahq_wgangp": ((FOLDER,), 8),
    "lsun_bedroom": ((), 8),
    "cifar10": ((), 8),
    "faces64": ((FOLDER,), 1),
    "table1:b": ((FOLDER,), 8),
    "table1:c": ((FOLDER,), 8),
    "table1:d": ((FOLDER,), 8),
    "table1:e": ((FOLDER,), 8),
    "table1:f": ((FOLDER,), 8),
    "stylegan2_emoji": ((), 1),
    "stylegan2_cifar10": ((), 2),
    "stylegan2_cifar10:uncond": ((), 2),
    "stylegan2_cifar10:small": ((), 1),
    "stylegan2_ffhq": ((FOLDER,), 8),
    "stylegan2_ffhq_e": ((FOLDER,), 8),
    "stylegan2_paper256": ((FOLDER,), 8),
    "stylegan2_auto": ((FOLDER,), 1),
    "stylegan2_auto:1024x8": ((FOLDER,), 8),
    "stylegan2_table1:a": ((FOLDER,), 8),
    "stylegan2_table1:b": ((FOLDER,), 8),
    "stylegan2_table1:c": ((FOLDER,), 8),
    "stylegan2_table1:d": ((FOLDER,), 8),
    "stylegan2_table1:e": ((FOLDER,), 8),
    "stylegan2_table1:f": ((FOLDER,), 8),
}


def read(name: str, *arguments: str):
    """The ConfigDict that a command line gives."""
    path, _, step_of_table = name.partition(":")
    value = str(ROOT / "configs" / f"{path}.py") + (
        step_of_table and f":{step_of_table}"
    )
    argv = ["train", f"--config={value}", *arguments]
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=argv)
    values(argv)
    return values.config


def experiment(name: str, *arguments: str) -> config.Experiment:
    return config.parse(read(name, *CONFIGS[name][0], *arguments))


def schema() -> set[str]:
    """All fields as "section.field"."""
    sections = typing.get_type_hints(config.Experiment)
    return {
        f"{name}.{field.name}"
        for name, cls in sections.items()
        for field in dataclasses.fields(cls)
    }
