"""The settings of an experiment, their documentation and their validation.

A file in `configs/` returns `config.base()` with some settings changed; the command
line can change more (`--config.training.total_kimg=100`). `config.parse` turns the
result into a frozen, validated `Experiment`, the only form that the rest of the code
sees. The files of `sections/` declare the settings, one field each.
"""

from stylegan_jax.config.command_line import parse_flags, unknown_overrides
from stylegan_jax.config.parsing import (
    REMEDY,
    ConfigError,
    base,
    key_error,
    load,
    parse,
    to_dict,
    validate,
)
from stylegan_jax.config.schema import (
    ALL_RESOLUTIONS,
    Experiment,
    by_resolution,
    image_size,
)
from stylegan_jax.config.sections.data import Data
from stylegan_jax.config.sections.evaluation import Evaluation
from stylegan_jax.config.sections.model import Model
from stylegan_jax.config.sections.run import Run
from stylegan_jax.config.sections.training import Training
from stylegan_jax.config.setting import (
    ByResolution,
    check_resolution,
    fields,
    is_resolution,
)

__all__ = [
    "ALL_RESOLUTIONS",
    "REMEDY",
    "ByResolution",
    "ConfigError",
    "Data",
    "Evaluation",
    "Experiment",
    "Model",
    "Run",
    "Training",
    "base",
    "by_resolution",
    "check_resolution",
    "fields",
    "image_size",
    "is_resolution",
    "key_error",
    "load",
    "parse",
    "parse_flags",
    "to_dict",
    "unknown_overrides",
    "validate",
]
