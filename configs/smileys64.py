r"""StyleGAN2 on nine tenths of the built-in smileys, 64x64: the network `smileys64`.

Command:
  python -m stylegan_jax.train --config=configs/smileys64.py --workdir=runs/smileys64

Cost: 15 to 20 images/s on two CPU cores.
Expected: docs/smileys64.md.
Reference: the preset "auto" (stylegan_jax/presets/official.py) with narrower networks
  and a larger gamma, because there are 385 images, no path length regularization, and
  adaptive augmentation without changes of color, which might leak into the images.
"""

from stylegan_jax import presets


def get_config():
    c = presets.auto(resolution=64)
    c.data.source = "builtin"
    c.data.builtin = "smileys_training"
    c.data.mirror = True

    c.model.z_dim = 128
    c.model.w_dim = 128
    c.model.mapping_features = 128
    c.model.mapping_layers = 4
    c.model.channel_base = 2048  # 32 channels at 64x64, 64 at 32x32 ...
    c.model.channel_max = 128  # ... and 128 everywhere below
    c.model.g_architecture = "resnet"
    c.model.conv_clamp = None

    c.training.total_kimg = 2000.0
    c.training.batch_size = 8
    c.training.learning_rate = 0.002
    c.training.clip_fakes = True  # exact white grounds
    c.training.augment = "bg"
    c.training.augment_p_max = 0.7
    c.training.r1_gamma = 4.0
    c.training.d_reg_interval = 8
    c.training.path_length_weight = 0.0
    c.training.g_reg_interval = 0
    c.training.style_mixing_probability = 0.5
    c.training.ema_half_life_kimg = 8.0
    c.training.ema_rampup = 0.0

    c.run.tick_kimg = 2.0
    c.run.grid_rows = 6
    c.run.grid_columns = 10
    return c
