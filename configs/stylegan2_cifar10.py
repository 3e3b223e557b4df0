r"""StyleGAN2 on CIFAR-10, 32x32: conditional, unconditional or small.

Command (1 or 2 devices), with cond, uncond or small after the colon:
  python -m stylegan_jax.train --config=configs/stylegan2_cifar10.py:cond \
    --workdir=runs/stylegan2-cifar10
  Without TFDS, from a folder with one subfolder of images per class:
    --config.data.source=auto --config.data.path=PATH
  `small` is for two CPU cores; it is conditional unless
  `--config.data.conditional=False`.

Cost: `small`: 103 minutes for 240 kimg on two CPU cores shared with another run (50 to
  52 images/s at best, 17 to 25 at worst); the others are not measured.
Expected: `small`: docs/stylegan2_cifar10.png (240 kimg). The others: FID 8.32
  unconditional, 6.96 conditional without the adaptive augmentation, which this config
  lacks; 2.92 and 2.42 with it (StyleGAN2-ADA paper, table of CIFAR-10). Not trained
  with this code.
Reference: Karras et al. 2020, "Training Generative Adversarial Networks with Limited
  Data"; the preset "cifar" (stylegan_jax/presets/official.py).
"""

from stylegan_jax import presets

VARIANTS = ("cond", "uncond", "small")


def get_config(variant="cond"):
    if variant not in VARIANTS:
        raise ValueError(
            f"the variant (={variant!r}) must be one of {', '.join(VARIANTS)}, after a "
            "colon: --config=configs/stylegan2_cifar10.py:uncond"
        )
    c = presets.stylegan2("cifar", resolution=32, devices=2)
    c.data.source = "tfds"
    c.data.tfds_name = "cifar10"
    c.data.conditional = variant != "uncond"
    c.data.mirror = False

    c.run.tick_kimg = 50.0
    c.run.grid_rows = 10
    c.run.grid_columns = 10
    if variant == "small":
        c.model.z_dim = 128
        c.model.w_dim = 128
        c.model.mapping_features = 128
        c.model.channel_base = 1024  # 32 channels at 32x32 ...
        c.model.channel_max = 64  # ... and 64 everywhere below

        c.training.total_kimg = 1000.0
        c.training.batch_size = 32
        c.run.tick_kimg = 10.0
    return c
