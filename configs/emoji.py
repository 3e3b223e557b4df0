"""StyleGAN on the built-in emoji, 32x32: the quickstart."""

from stylegan_jax import config


def get_config():
    c = config.base()
    c.data.source = "builtin"
    c.data.resolution = 32
    c.data.mirror = True

    c.model.z_dim = 128
    c.model.w_dim = 128
    c.model.mapping_features = 128
    c.model.mapping_layers = 4
    c.model.channel_base = 1024
    c.model.channel_max = 128

    c.training.initial_resolution = 4
    c.training.stage_kimg = 10.0
    c.training.fade_kimg = 6.0
    c.training.total_kimg = 240.0
    c.training.batch_size = 16
    c.training.learning_rate = 0.002
    c.training.r1_gamma = 2.0
    c.training.ema_half_life_kimg = 2.0

    c.run.tick_kimg = 8.0
    c.run.grid_rows = 6
    c.run.grid_columns = 10
    return c
