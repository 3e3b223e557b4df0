"""What single settings may be, whatever the others are."""

import math
from collections.abc import Iterator

from stylegan_jax.config.schema import (
    BY_RESOLUTION_HELP,
    ByResolution,
    Experiment,
    is_resolution,
    settings,
)

CHOICES = {
    "data.channels": (1, 3, 4),
    "data.fit": ("exact", "crop"),
    "model.family": ("stylegan1", "stylegan2"),
    "model.nonlinearity": ("lrelu", "relu"),
    "model.g_architecture": ("growing", "skip", "resnet", "orig"),
    "model.d_architecture": ("growing", "resnet", "skip", "orig"),
    "model.dtype": ("float32", "bfloat16"),
    "model.remat": ("none", "convolutions", "blocks"),
    "training.loss": ("logistic", "wgan", "hinge"),
    "training.augment": ("none", "b", "bg", "bgc", "bgcf", "bgcfn", "bgcfnc"),
}
_POSITIVE = (
    "data.prefetch_batches",
    "model.z_dim",
    "model.w_dim",
    "model.mapping_features",
    "model.mapping_lr_multiplier",
    "model.channel_base",
    "model.channel_max",
    "model.mbstd_group_size",
    "model.mbstd_features",
    "training.total_kimg",
    "training.stage_kimg",
    "training.batch_size",
    "training.learning_rate",
    "training.discriminator_learning_rate",
    "training.accumulation_rounds",
    "training.path_length_batch_shrink",
    "training.steps_per_round",
    "training.adam_epsilon",
    "training.gp_target",
    "training.ema_half_life_kimg",
    "training.nonfinite_limit",
    "run.tick_kimg",
    "run.checkpoint_every_ticks",
    "run.keep_checkpoints",
    "run.grid_rows",
    "run.grid_columns",
    "run.height_devices",
    "run.device_memory_gib",
    "run.heartbeat_seconds",
    "run.hang_report_seconds",
    "evaluation.every_kimg",
    "evaluation.images",
    "evaluation.batch_size",
    "evaluation.keep_best",
)
_NON_NEGATIVE = (
    "model.mapping_layers",
    "model.conv_clamp",
    "model.low_precision_resolutions",
    "model.d_mapping_layers",
    "model.freeze_layers",
    "training.fade_kimg",
    "training.learning_rate_rampup_kimg",
    "training.r1_gamma",
    "training.r2_gamma",
    "training.d_reg_interval",
    "training.g_reg_interval",
    "training.path_length_weight",
    "training.ema_rampup",
    "training.gp_weight",
    "training.drift_weight",
    "run.seed",
    "run.time_limit_minutes",
)
_BELOW_ONE = ("training.adam_beta1", "training.adam_beta2")
_FRACTIONS = (
    "training.augment_probability",
    "training.style_mixing_probability",
    "training.w_avg_beta",
    "training.path_length_decay",
    "evaluation.alarm_recall",
)


def wrong_values(e: Experiment) -> Iterator[str]:
    """What is wrong with single settings."""
    for name, value in settings(e):
        if value is None:
            continue
        if name in CHOICES and value not in CHOICES[name]:
            yield f"`{name}` (={value!r}) must be one of {CHOICES[name]}"
        if isinstance(value, float) and not math.isfinite(value):
            yield f"`{name}` (={value}) must be finite"
        elif name in _POSITIVE and value <= 0:
            yield f"`{name}` (={value}) must be positive"
        elif name in _NON_NEGATIVE and value < 0:
            yield f"`{name}` (={value}) must not be negative"
        elif name in _FRACTIONS and not 0 <= value <= 1:
            yield f"`{name}` (={value}) must lie in [0, 1]"
        elif name in _BELOW_ONE and not 0 <= value < 1:
            yield f"`{name}` (={value}) must be at least 0 and below 1"
        if name.endswith("_by_resolution"):
            yield from _wrong_pairs(name, value)
    for name in (
        "data.resolution",
        "training.initial_resolution",
        "run.height_min_resolution",
    ):
        value = dict(settings(e))[name]
        if not is_resolution(value):
            yield f"`{name}` (={value}) must be a power of two from 4 to 1024"
    if e.run.seed >= 2**32:
        yield f"`run.seed` (={e.run.seed}) must be below 2^32"
    if e.training.total_kimg * 1000 < 1:
        yield f"`training.total_kimg` (={e.training.total_kimg}) is less than an image"
    taps = e.model.blur_filter
    if taps and sum(taps) <= 0:
        yield f"`model.blur_filter` (={taps}) must have a positive sum, or be ()"
    taps = e.model.resample_filter
    if len(taps) < 2 or sum(taps) <= 0:
        yield (
            f"`model.resample_filter` (={taps}) must have two taps or more and a "
            "positive sum"
        )
    if not all(1 <= n <= 64 for n in e.data.base_size):
        yield f"`data.base_size` (={e.data.base_size}) must lie in 1 to 64"


def _wrong_pairs(name: str, pairs: ByResolution) -> Iterator[str]:
    if len(dict(pairs)) != len(pairs):
        yield f"`{name}` (={pairs}) names a resolution twice"
    for resolution, value in pairs:
        whole = "batch_size" not in name or value == int(value)
        if not (is_resolution(resolution) and value > 0 and whole):
            yield (
                f"`{name}` has ({resolution}, {value}); it takes {BY_RESOLUTION_HELP} "
                "with resolutions from 4 to 1024 and positive values, whole ones for "
                "batches"
            )
