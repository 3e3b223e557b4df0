"""Presets of StyleGAN3: configs T and R at a resolution.

    c = presets.stylegan3("r", resolution=512, devices=8)
    c.data.path = "/path/to/images"

Reference: Karras et al. 2021, "Alias-Free Generative Adversarial Networks", appendix F;
the numbers are from the official code and its guide to the configurations.
"""

from typing import Any

from ml_collections import ConfigDict

from stylegan_jax import config

_MAX_PER_DEVICE = {  # images, by config and resolution; more are accumulated
    "t": {128: 16, 256: 16, 512: 8, 1024: 4},
    "r": {128: 16, 256: 8, 512: 4, 1024: 4},
}
CONFIGS = tuple(_MAX_PER_DEVICE)


def stylegan3(
    name: str,
    resolution: int,
    devices: int = 1,
    batch_size: int = 32,
    r1_gamma: float | None = None,
) -> ConfigDict:
    """Return the config of StyleGAN3, which a config file may change further.

    Augmentation is off; `training.augment = "bgc"` is the official default for data
    sets of fewer than about 100,000 images.

    Args:
      name: one of CONFIGS: "t", equivariant to translation, or "r", to rotation too.
      resolution: resolution of the images in pixels.
      devices: number of devices of the run, over all hosts.
      batch_size: global batch size in images.
      r1_gamma: weight of R1, the setting that depends most on the images: the official
        guide also tries 1/4 to 4 times its default, which is 2 at 256x256 and grows
        with the number of pixels. None is that default.

    Raises:
      ValueError: the name is unknown, or a number does not fit.
    """
    c = config.base()
    c.data.resolution = resolution
    arguments = (name, resolution, devices, batch_size, r1_gamma)
    c.update_from_flattened_dict(stylegan3_changes(*arguments))
    return c


def stylegan3_changes(
    name: str,
    resolution: int,
    devices: int = 1,
    batch_size: int = 32,
    r1_gamma: float | None = None,
) -> dict[str, Any]:
    """Return the settings of `stylegan3` as {"section.field": value}."""
    if name not in CONFIGS:
        raise ValueError(f"the config (={name!r}) must be one of {', '.join(CONFIGS)}")
    config.check_resolution(resolution, "the resolution")
    if devices < 1 or batch_size < 1 or batch_size % devices:
        raise ValueError(
            f"the batch size (={batch_size}) must be a multiple of the number of "
            f"devices (={devices})"
        )
    share = batch_size // devices
    limit = min(_MAX_PER_DEVICE[name].get(resolution, share), share)
    rotates = name == "r"
    return {
        "model.family": "stylegan3",
        "model.d_architecture": "resnet",
        "model.mapping_layers": 2,
        # Without spatial kernels, the generator is as large with twice the channels.
        "model.channel_base": 65536 if rotates else 32768,
        "model.channel_max": 1024 if rotates else 512,
        "model.d_channel_base": 32768,
        "model.d_channel_max": 512,
        "model.conv_kernel": 1 if rotates else 3,
        "model.use_radial_filters": rotates,
        "model.mbstd_group_size": 4,
        # The official code uses float16 at every size; below 256x256 it gains little.
        "model.dtype": "bfloat16" if resolution >= 256 else "float32",
        "model.low_precision_resolutions": 4,
        "model.conv_clamp": 256.0,
        "training.total_kimg": 25000.0,
        "training.batch_size": batch_size,
        "training.accumulation_rounds": -(-share // limit),
        "training.learning_rate": 0.0025,
        "training.discriminator_learning_rate": 0.002,
        "training.adam_beta1": 0.0,
        "training.adam_beta2": 0.99,
        "training.adam_epsilon": 1e-8,
        "training.loss": "logistic",
        "training.r1_gamma": (
            2.0 * (resolution / 256) ** 2 if r1_gamma is None else float(r1_gamma)
        ),
        "training.d_reg_interval": 16,
        "training.path_length_weight": 0.0,
        "training.g_reg_interval": 0,
        "training.style_mixing_probability": 0.0,
        "training.w_avg_beta": 0.998,
        "training.magnitude_half_life_kimg": 20.0,
        "training.ema_half_life_kimg": batch_size * 10 / 32,
        "training.ema_rampup": 0.05,
        "training.blur_init_sigma": 10.0 if rotates else 0.0,
        "training.blur_fade_kimg": batch_size * 200 / 32,
    }
