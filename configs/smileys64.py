r"""StyleGAN2 on nine tenths of the built-in smileys, 64x64: the network `smileys64`.

Command:
  python -m stylegan_jax.train --config=configs/smileys64.py --workdir=runs/smileys64

Cost: 10 to 13 images/s on two CPU cores.
Expected: docs/smileys64.md.
Reference: the preset "auto" (stylegan_jax/presets.py) with narrower networks, a larger
  gamma, and augmentation at a constant probability, because there are 385 images.
"""

from stylegan_jax import presets


def get_config():
    c = presets.auto(resolution=64)
    c.data.source = "builtin"
    c.data.builtin = "smileys_training"
    c.data.conditional = True  # the fonts are the classes
    c.data.mirror = True

    c.model.z_dim = 128
    c.model.w_dim = 128
    c.model.mapping_features = 128
    c.model.mapping_layers = 4
    c.model.d_mapping_layers = 2
    c.model.channel_base = 2048  # 32 channels at 64x64, 64 at 32x32 ...
    c.model.channel_max = 128  # ... and 128 everywhere below
    c.model.conv_clamp = None

    c.training.total_kimg = 2000.0
    c.training.batch_size = 16
    c.training.learning_rate = 0.002
    c.training.r1_gamma = 0.5
    c.training.augment = "bg"
    c.training.augment_probability = 0.4
    c.training.style_mixing_probability = 0.5
    c.training.ema_half_life_kimg = 5.0
    c.training.ema_rampup = 0.05

    c.run.tick_kimg = 4.0
    c.run.grid_rows = 6
    c.run.grid_columns = 10
    return c
