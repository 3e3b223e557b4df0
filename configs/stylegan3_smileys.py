"""StyleGAN3-T on the built-in smileys, 32x32, for a CPU.

Command:
  python -m stylegan_jax.train --config=configs/stylegan3_smileys.py \
    --workdir=runs/stylegan3-smileys

Cost: 20 to 28 images/s on one CPU core, beside other work. The networks are much
  narrower than the paper's, with 6 layers instead of 14 and half of the margin
  around the image.
Expected: docs/stylegan3.md.
Reference: Karras et al. 2021, "Alias-Free Generative Adversarial Networks"; the preset
  "t" (stylegan_jax/presets/stylegan3.py) with narrower networks, smaller batches, and
  adaptive augmentation without changes of color, which might leak into the images.
"""

from stylegan_jax import presets


def get_config():
    c = presets.stylegan3("t", resolution=32, batch_size=8, r1_gamma=1.0)
    c.data.source = "builtin"
    c.data.builtin = "smileys"
    c.data.mirror = True

    c.model.z_dim = 128
    c.model.w_dim = 128
    c.model.mapping_features = 128
    c.model.num_layers = 6
    # Half of the margin: a layer of 16x16 has 26x26 pixels instead of 36x36.
    c.model.margin_size = 5
    c.model.channel_base = 1024  # 32 channels at the cutoff of 32x32 ...
    c.model.channel_max = 64  # ... and 64 below it
    c.model.d_channel_base = 1024
    c.model.d_channel_max = 64
    c.model.conv_clamp = None

    c.training.total_kimg = 1000.0
    c.training.learning_rate = 0.002
    c.training.d_reg_interval = 8
    c.training.ema_half_life_kimg = 8.0
    c.training.ema_rampup = 0.0
    c.training.clip_fakes = True  # for exact white grounds
    c.training.augment = "bg"
    c.training.augment_p_max = 0.7

    c.run.tick_kimg = 2.0  # the first pictures come early
    c.run.grid_rows = 6
    c.run.grid_columns = 10
    return c
