"""The typed schema of an experiment, and the one place where it is checked.

A file in `configs/` returns `config.base()` with some fields changed; the command
line may change more (`--config.training.total_kimg=100`). `config.parse` turns the
result into a frozen, validated `Experiment`, which is all the rest of the code sees.
The settings are in `schema.py`.
"""

from stylegan_jax.config.parsing import (
    ConfigError,
    base,
    load,
    parse,
    to_dict,
    unknown_key,
    validate,
)
from stylegan_jax.config.schema import (
    ByResolution,
    Data,
    Evaluation,
    Experiment,
    Model,
    Run,
    Training,
    by_resolution,
    image_size,
    is_resolution,
)
from stylegan_jax.config.values import CHOICES

__all__ = [
    "CHOICES",
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
    "image_size",
    "is_resolution",
    "load",
    "parse",
    "to_dict",
    "unknown_key",
    "validate",
]
