r"""StyleGAN3-T on AFHQv2 at 512x512 with adaptive augmentation, as in the paper.

Command (8 devices; on one, e.g., with `--config.training.accumulation_rounds=4`):
  python -m stylegan_jax.train --config=configs/stylegan3_afhqv2.py \
    --workdir=runs/stylegan3-afhqv2 --config.data.path=DIRECTORY_OF_IMAGES
  `--config=configs/stylegan3_afhqv2.py:r` trains StyleGAN3-R.

Cost: not measured. The official code takes 12 s (T) or 14 s (R) per 1000 images on 8
  A100.
Expected: FID 4.04 and EQ-T 60.2 dB (T), FID 4.40 and EQ-R 40.3 dB (R; paper, table 5);
  not trained with this code.
Reference: Karras et al. 2021, "Alias-Free Generative Adversarial Networks", appendix F;
  the presets "t" and "r" (stylegan_jax/presets/stylegan3.py).
"""

from stylegan_jax import presets

GAMMA = {"t": 8.2, "r": 16.4}


def get_config(name="t"):
    if name not in GAMMA:
        raise ValueError(f"the config after the colon (={name!r}) must be t or r")
    c = presets.stylegan3(name, resolution=512, devices=8, r1_gamma=GAMMA[name])
    c.data.path = ""  # set by --config.data.path
    c.data.mirror = True
    c.training.augment = "bgc"
    return c
