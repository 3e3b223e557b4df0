r"""StyleGAN2 on a folder of your own images, its settings chosen by size and devices.

Command, with the resolution, an x and the number of devices after the colon:
  python -m stylegan_jax.train --config=configs/stylegan2_auto.py:256x8 \
    --workdir=runs/mine --config.data.path=DIRECTORY_OF_IMAGES
  From a network that has been trained before:
    --config.training.transfer=ITS_WORKDIR --config.training.ema_rampup=0

Cost: not measured.
Expected: a sensible start for most images, no more. Below some ten thousand images the
  discriminator learns them by heart, for there is no augmentation but mirroring.
Reference: Karras et al. 2020, "Training Generative Adversarial Networks with Limited
  Data", appendix C; the preset "auto" (stylegan_jax/presets.py).
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
    c.data.source = "folder"
    c.data.fit = "crop"
    c.data.mirror = True
    return c
