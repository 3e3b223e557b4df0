r"""StyleGAN3-T on FFHQ-U at 256x256, the smaller setting of the paper's ablations.

Command (8 devices; on one, e.g., with `--config.training.accumulation_rounds=8`):
  python -m stylegan_jax.train --config=configs/stylegan3_t_ffhqu256.py \
    --workdir=runs/stylegan3-t-256 --config.data.path=DIRECTORY_OF_IMAGES
  Larger images are resized during training; preparing them once with
  `python -m stylegan_jax.prepare` saves decoding them in every epoch.

Cost: not measured. The official code takes 3.7 s per 1000 images on 8 A100.
Expected: FID 4.62 and EQ-T 63.0 dB on FFHQ-U (paper, table 1); not trained with this
  code.
Reference: Karras et al. 2021, "Alias-Free Generative Adversarial Networks", appendix F;
  the preset "t" (stylegan_jax/presets/stylegan3.py).
"""

from stylegan_jax import presets


def get_config():
    c = presets.stylegan3("t", resolution=256, devices=8, batch_size=64, r1_gamma=1.0)
    c.data.path = ""  # set by --config.data.path
    c.data.fit = "crop"
    c.data.mirror = True

    c.model.channel_base = 16384
    c.model.d_channel_base = 16384
    c.training.discriminator_learning_rate = 0.0025
    return c
