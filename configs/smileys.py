"""The quickstart: StyleGAN on the built-in smileys, 32x32.

Command (also `make quickstart`):
  python -m stylegan_jax.train --config=configs/smileys.py --workdir=runs/smileys
"""

from stylegan_jax import config


def get_config():
    c = config.base()
    c.data.source = "builtin"
    c.data.builtin = "smileys"
    c.data.resolution = 32
    c.data.mirror = True

    c.model.z_dim = 128
    c.model.w_dim = 128
    c.model.mapping_features = 128
    c.model.mapping_layers = 4
    c.model.channel_base = 512  # 32 channels at 32x32 ...
    c.model.channel_max = 64  # ... and 64 everywhere below
    c.model.noise = False  # noise inputs speckle flat drawings

    c.training.initial_resolution = 4
    # A small batch takes more steps in the same time.
    c.training.stage_kimg = 10.0
    c.training.fade_kimg = 8.0
    c.training.total_kimg = 120.0
    c.training.batch_size = 8
    c.training.learning_rate = 0.002
    c.training.r1_gamma = 0.5
    c.training.d_reg_interval = 8  # 13% faster than R1 in every step (64 channels)
    c.training.style_mixing_probability = 0.3
    c.training.ema_half_life_kimg = 4.0

    c.run.share_programs = True  # compile 4 programs instead of 7
    c.run.time_limit_minutes = 17.0
    c.run.tick_kimg = 4.0
    c.run.grid_rows = 6
    c.run.grid_columns = 10
    return c
