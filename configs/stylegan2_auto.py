r"""StyleGAN2 on a folder of your own images; the resolution and devices set the rest.

Command, with RESOLUTIONxDEVICES after the colon:
  python -m stylegan_jax.train --config=configs/stylegan2_auto.py:256x8 \
    --workdir=runs/mine --config.data.path=DIRECTORY_OF_IMAGES
  To start from a trained network:
    --config.training.transfer=WORKDIR_OF_THE_NETWORK --config.training.ema_rampup=0

Cost: not measured.
Expected: a reasonable starting point for most data sets. With fewer than about ten
  thousand images, the discriminator memorizes them: mirroring is the only augmentation.
Reference: Karras et al. 2020, "Training Generative Adversarial Networks with Limited
  Data", appendix C; the preset "auto" (stylegan_jax/presets/official.py).
"""

import re

from stylegan_jax import presets


def get_config(size="256x1"):
    numbers = re.fullmatch(r"(\d+)x(\d+)", size)
    if not numbers:
        raise ValueError(
            f"the size (={size!r}) must be RESOLUTIONxDEVICES after a colon: "
            "--config=configs/stylegan2_auto.py:256x8"
        )
    resolution, devices = map(int, numbers.groups())
    c = presets.auto(resolution, devices)
    c.data.path = ""  # set by --config.data.path
    c.data.fit = "crop"
    c.data.mirror = True
    return c
