r"""StyleGAN3-T on FFHQ or FFHQ-U at 1024x1024, the setting of the paper.

Command (8 devices; on one, e.g., with `--config.training.accumulation_rounds=8`):
  python -m stylegan_jax.train --config=configs/stylegan3_t_ffhq.py \
    --workdir=runs/stylegan3-t --config.data.path=DIRECTORY_OF_IMAGES

Cost: not measured. The official code takes 20 s per 1000 images on 8 A100.
Expected: FID 2.79 and EQ-T 61.2 dB on FFHQ (paper, table 5); not trained with this
  code.
Reference: Karras et al. 2021, "Alias-Free Generative Adversarial Networks"; the preset
  "t" (stylegan_jax/presets/stylegan3.py).
"""

from stylegan_jax import presets


def get_config():
    c = presets.stylegan3("t", resolution=1024, devices=8, r1_gamma=32.8)
    c.data.path = ""  # set by --config.data.path
    c.data.mirror = True
    return c
