r"""StyleGAN2 on the emoji of the package, 32x32, for two CPU cores.

Command:
  python -m stylegan_jax.train --config=configs/stylegan2_emoji.py \
    --workdir=runs/stylegan2-emoji
  At 64x64: `--config.data.resolution=64 --config.training.r1_gamma=0.4`.

Cost: 107 minutes for 233 kimg on two CPU cores shared with another run (45 to 48
  images/s at best, 14 to 23 at worst), at full resolution from the first step.
Expected: docs/stylegan2_emoji.png (233 kimg).
Reference: the preset "auto" (stylegan_jax/presets/official.py) with narrower networks.
"""

from stylegan_jax import presets


def get_config():
    c = presets.auto(resolution=32)
    c.data.source = "builtin"
    c.data.mirror = True

    c.model.z_dim = 128
    c.model.w_dim = 128
    c.model.mapping_features = 128
    c.model.channel_base = 1024  # 32 channels at 32x32 ...
    c.model.channel_max = 64  # ... and 64 everywhere below

    c.training.total_kimg = 1000.0
    c.training.r1_gamma = 0.1  # well above the 0.0064 of "auto": few images

    c.run.tick_kimg = 8.0
    c.run.grid_rows = 6
    c.run.grid_columns = 10
    return c
