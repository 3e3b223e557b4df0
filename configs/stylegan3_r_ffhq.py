r"""StyleGAN3-R on FFHQ or FFHQ-U at 1024x1024, the setting of the paper.

Command (8 devices; on one, e.g., with `--config.training.accumulation_rounds=8`):
  python -m stylegan_jax.train --config=configs/stylegan3_r_ffhq.py \
    --workdir=runs/stylegan3-r --config.data.path=DIRECTORY_OF_IMAGES

Cost: not measured. The official code takes 23 s per 1000 images on 8 A100.
Expected: FID 3.07, EQ-T 64.8 dB and EQ-R 46.6 dB on FFHQ (paper, table 5); not trained
  with this code.
Reference: Karras et al. 2021, "Alias-Free Generative Adversarial Networks"; the preset
  "r" (stylegan_jax/presets/stylegan3.py).
"""

from stylegan_jax import presets


def get_config():
    c = presets.stylegan3("r", resolution=1024, devices=8, r1_gamma=32.8)
    c.data.path = ""  # set by --config.data.path
    c.data.mirror = True
    return c
