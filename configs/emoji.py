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
    c.model.noise = False
    c.model.channel_base = 512
    c.model.channel_max = 64

    c.training.initial_resolution = 4
    c.training.stage_kimg = 20.0
    c.training.fade_kimg = 10.0
    c.training.total_kimg = 150.0
    c.training.batch_size = 16
    c.training.learning_rate = 0.003
    c.training.learning_rate_by_resolution = ((32, 0.002),)
    c.training.r1_gamma = 0.1
    c.training.style_mixing_probability = 0.3
    c.training.ema_half_life_kimg = 2.0

    c.run.tick_kimg = 8.0
    c.run.grid_rows = 6
    c.run.grid_columns = 10
    return c
