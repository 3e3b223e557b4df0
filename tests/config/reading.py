"""Read the experiments in `configs/` in the same way as a command line."""

from pathlib import Path

from absl import flags
from ml_collections import config_flags

from stylegan_jax import config

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "--config.data.path=/somewhere"

# Config -> (arguments that it requires, number of devices that it is meant for).
CONFIGS = {
    "emoji": ((), 1),
    "smileys": ((), 1),
    "smileys64": ((), 1),
    "small": ((), 1),
    "small:,32": ((), 1),
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
    "stylegan3_t_ffhq": ((FOLDER,), 8),
    "stylegan3_r_ffhq": ((FOLDER,), 8),
    "stylegan3_t_ffhqu256": ((FOLDER,), 8),
    "stylegan3_afhqv2": ((FOLDER,), 8),
    "stylegan3_afhqv2:r": ((FOLDER,), 8),
    "stylegan3_smileys": ((), 1),
}


def read(name: str, *arguments: str):
    """Return the ConfigDict of a command line."""
    path, colon, variant = name.partition(":")
    value = f"{ROOT / 'configs' / path}.py{colon}{variant}"
    argv = ["train", f"--config={value}", *arguments]
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=argv)
    values(argv)
    return values.config


def experiment(name: str, *arguments: str) -> config.Experiment:
    return config.parse(read(name, *CONFIGS[name][0], *arguments))


def schema() -> set[str]:
    """Return all settings as "section.field"."""
    return {name for name, _, _ in config.fields(config.Experiment())}
