"""Presets: the settings of the papers, and settings for few images."""

from stylegan_jax.presets.official import (
    NAMES,
    PRESETS,
    Preset,
    auto,
    changes,
    scaled,
    stylegan2,
)
from stylegan_jax.presets.small import Choice, Survey, small, small_choices
from stylegan_jax.presets.stylegan3 import CONFIGS, stylegan3, stylegan3_changes

__all__ = [
    "CONFIGS",
    "NAMES",
    "PRESETS",
    "Choice",
    "Preset",
    "Survey",
    "auto",
    "changes",
    "scaled",
    "small",
    "small_choices",
    "stylegan2",
    "stylegan3",
    "stylegan3_changes",
]
