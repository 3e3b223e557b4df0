r"""StyleGAN2 at 256x256, the baseline of the StyleGAN2-ADA paper.

Command (8 devices; on one, e.g., with `--config.training.accumulation_rounds=8`):
  python -m stylegan_jax.train --config=configs/stylegan2_paper256.py \
    --workdir=runs/stylegan2-256 --config.data.path=DIRECTORY_OF_IMAGES
  Larger images are resized during training; preparing them once with
  `python -m stylegan_jax.prepare` saves decoding them in every epoch.

Cost: not measured.
Expected: FID 3.66 on FFHQ with mirrored images (StyleGAN2-ADA paper, the baseline on
  140,000 images); not trained with this code.
Reference: Karras et al. 2020, "Training Generative Adversarial Networks with Limited
  Data"; the preset "paper256" (stylegan_jax/presets/official.py).
"""

from stylegan_jax import presets


def get_config():
    c = presets.stylegan2("paper256", resolution=256, devices=8)
    c.data.path = ""  # set by --config.data.path
    c.data.fit = "crop"
    c.data.mirror = True

    c.run.tick_kimg = 40.0
    return c
