"""Presets of StyleGAN2 for a resolution and a number of devices.

    c = presets.auto(resolution=256, devices=8)
    c.data.path = "/path/to/images"

`auto` scales a few settings with the resolution and the devices, as a starting point
for most data sets; the other presets are the settings of the papers. A preset only sets
values: any of them can be changed afterwards.

Reference: Karras et al. 2020, "Training Generative Adversarial Networks with Limited
Data" (StyleGAN2-ADA), appendix C; the numbers are from the official PyTorch code.
"""

import dataclasses
from typing import Any

from ml_collections import ConfigDict

from stylegan_jax import config


@dataclasses.dataclass(frozen=True)
class Preset:
    """Settings of one preset.

    Attributes:
      devices: number of devices that the batch size is meant for; on fewer devices,
        gradients are accumulated.
      batch_size: global batch size in images.
      channel_base: c of the c / R channels at resolution R.
      learning_rate: learning rate of both networks.
      r1_gamma: weight of R1, the gradient penalty on real images.
      ema_kimg: half-life of the averaged generator in thousands of images.
      ema_rampup: upper bound of the half-life as a share of the images seen; 0: none.
      mapping_layers: number of layers of the generator's mapping network.
      mbstd_group_size: group size of the minibatch standard deviation in images.
      changes: settings that only this preset changes, by `section.field`.
    """

    devices: int
    batch_size: int
    channel_base: int
    learning_rate: float
    r1_gamma: float
    ema_kimg: float
    ema_rampup: float
    mapping_layers: int
    mbstd_group_size: int
    changes: dict[str, Any] = dataclasses.field(default_factory=dict)


_CIFAR = {
    "training.total_kimg": 100000.0,
    "training.path_length_weight": 0.0,
    "training.style_mixing_probability": 0.0,
    "model.d_architecture": "orig",
}
# Columns: devices, batch, channels, learning rate, gamma, EMA, ramp-up, mapping, group.
PRESETS = {
    "stylegan2": Preset(8, 32, 32768, 0.002, 10.0, 10.0, 0.0, 8, 4),
    "paper256": Preset(8, 64, 16384, 0.0025, 1.0, 20.0, 0.0, 8, 8),
    "paper512": Preset(8, 64, 32768, 0.0025, 0.5, 20.0, 0.0, 8, 8),
    "paper1024": Preset(8, 32, 32768, 0.002, 2.0, 10.0, 0.0, 8, 4),
    "cifar": Preset(2, 64, 32768, 0.0025, 0.01, 500.0, 0.05, 2, 32, _CIFAR),
}
NAMES = ("auto", *PRESETS)


def auto(resolution: int, devices: int = 1) -> ConfigDict:
    """Return the config of the preset `auto`; see `stylegan2`."""
    return stylegan2("auto", resolution, devices)


def stylegan2(name: str, resolution: int, devices: int = 1) -> ConfigDict:
    """Return the config of a preset, which a config file may change further.

    Args:
      name: one of NAMES.
      resolution: resolution of the images in pixels.
      devices: number of devices of the run, over all hosts.

    Raises:
      ValueError: the name is unknown, or a number is not a power of two.
    """
    c = config.base()
    c.data.resolution = resolution
    c.update_from_flattened_dict(changes(name, resolution, devices))
    return c


def changes(name: str, resolution: int, devices: int = 1) -> dict[str, Any]:
    """Return the settings of a preset as {"section.field": value}.

    Apply them to a ConfigDict with `c.update_from_flattened_dict`. The arguments and
    errors are those of `stylegan2`.
    """
    if name not in NAMES:
        raise ValueError(f"the preset (={name!r}) must be one of {', '.join(NAMES)}")
    config.check_resolution(resolution, "the resolution")
    if devices < 1 or devices & (devices - 1):
        raise ValueError(
            f"the number of devices (={devices}) must be a power of two; otherwise "
            "use the next lower power of two and set `training.batch_size` yourself"
        )
    p = PRESETS[name] if name in PRESETS else scaled(resolution, devices)
    return {
        "model.family": "stylegan2",
        "model.g_architecture": "skip",
        "model.d_architecture": "resnet",
        "model.mapping_layers": p.mapping_layers,
        "model.channel_base": p.channel_base,
        "model.channel_max": 512,
        "model.mbstd_group_size": p.mbstd_group_size,
        # The official code uses float16 at every size; below 256x256 it gains little.
        "model.dtype": "bfloat16" if resolution >= 256 else "float32",
        "model.low_precision_resolutions": 4,
        "model.conv_clamp": 256.0,
        "training.total_kimg": 25000.0,
        "training.batch_size": p.batch_size,
        "training.accumulation_rounds": max(p.devices // devices, 1),
        "training.learning_rate": p.learning_rate,
        "training.adam_beta1": 0.0,
        "training.adam_beta2": 0.99,
        "training.adam_epsilon": 1e-8,
        "training.loss": "logistic",
        "training.r1_gamma": p.r1_gamma,
        "training.d_reg_interval": 16,
        "training.path_length_weight": 2.0,
        "training.g_reg_interval": 4,
        "training.style_mixing_probability": 0.9,
        "training.ema_half_life_kimg": p.ema_kimg,
        "training.ema_rampup": p.ema_rampup,
    } | p.changes


def scaled(resolution: int, devices: int) -> Preset:
    """Return the preset `auto` for a resolution and a number of devices."""
    # At most 4096 / R images and at most 32 on a device, at most 64 in a batch.
    batch_size = min(devices * min(4096 // resolution, 32), 64)
    batch_size = max(batch_size, devices)
    return Preset(
        devices=devices,
        batch_size=batch_size,
        channel_base=32768 if resolution >= 512 else 16384,
        learning_rate=0.002 if resolution >= 1024 else 0.0025,
        # R1 sums over the pixels, hence the square.
        r1_gamma=0.0002 * resolution**2 / batch_size,
        ema_kimg=batch_size * 10 / 32,
        ema_rampup=0.05,
        mapping_layers=2,
        mbstd_group_size=min(batch_size // devices, 4),
    )
