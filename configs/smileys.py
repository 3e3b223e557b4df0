"""The quickstart: StyleGAN2 on the built-in smileys, 32x32.

Command (also `make quickstart`):
  python -m stylegan_jax.train --config=configs/smileys.py --workdir=runs/smileys

Cost: under 20 minutes on two CPU cores, including the setup. The run stops at 120 kimg
  or after 17 minutes; the same command resumes it. The networks are much narrower than
  the paper's.
Expected: the pictures in README.md; longer training improves them:
  --config.training.total_kimg=1000 --config.run.time_limit_minutes=0
Metrics: `python -m stylegan_jax.evaluate --network=runs/smileys` at any time (SWD and
  MS-SSIM, without a download), or during training with
  --config.evaluation.metrics=swd,msssim --config.evaluation.every_kimg=40
  --config.evaluation.images=512
Reference: the preset "auto" (stylegan_jax/presets/official.py) with narrower networks,
  a larger gamma, because there are 428 images, and no path length regularization.
"""

from stylegan_jax import presets


def get_config():
    c = presets.auto(resolution=32)
    c.data.source = "builtin"
    c.data.builtin = "smileys"
    c.data.mirror = True

    c.model.z_dim = 128
    c.model.w_dim = 128
    c.model.mapping_features = 128
    c.model.mapping_layers = 4
    c.model.channel_base = 1024  # 32 channels at 32x32 ...
    c.model.channel_max = 64  # ... and 64 everywhere below
    c.model.noise = False  # noise inputs speckle flat drawings
    c.model.g_architecture = (
        "resnet"  # is white up to the border sooner than "skip" ...
    )
    c.model.conv_clamp = None

    # A small batch takes more steps in the same time.
    c.training.total_kimg = 120.0
    c.training.batch_size = 8
    c.training.learning_rate = 0.002
    c.training.clip_fakes = True  # ... and this makes it exactly white
    c.training.r1_gamma = 1.0
    c.training.d_reg_interval = 8
    c.training.path_length_weight = 0.0  # a program less to compile
    c.training.g_reg_interval = 0
    c.training.style_mixing_probability = 0.3
    c.training.ema_half_life_kimg = 2.0
    c.training.ema_rampup = 0.0

    c.run.time_limit_minutes = 17.0
    c.run.tick_kimg = 2.0  # the first pictures come early
    c.run.grid_rows = 6
    c.run.grid_columns = 10
    return c
