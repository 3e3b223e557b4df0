r"""StyleGAN2 on a few thousand images or fewer; the settings follow from the images.

Command, with the folder, zip or prepared data set after the colon:
  python -m stylegan_jax.train --config=configs/small.py:DIRECTORY_OF_IMAGES \
    --workdir=runs/mine
  Every choice is printed with its reason, and can be overridden by its flag, such as
  --config.data.mirror=False. Without a colon, the images are the built-in smileys.
  To start from a trained network:
    --config.training.transfer=WORKDIR_OF_THE_NETWORK --config.training.ema_rampup=0

Cost: not measured.
Expected: not trained to its end yet.
Reference: the preset "small" (stylegan_jax/presets/small.py).
"""

from stylegan_jax import presets
from stylegan_jax.data import survey
from stylegan_jax.data.sources.builtin import SMILEYS
from stylegan_jax.presets.small import with_changes
from stylegan_jax.runtime.environment import accelerator_expected


def get_config(path=""):
    found = survey.survey(path or str(SMILEYS))
    on_cpu = not accelerator_expected()
    choices = presets.small_choices(found, on_cpu=on_cpu)
    name = path or "the built-in smileys"
    device = "a CPU" if on_cpu else "a GPU or TPU"
    print(f"{found.images:,} images of {name}, to train on {device}:")
    for choice in choices:
        print(f"  {choice}")
    c = with_changes({choice.name: choice.value for choice in choices}, devices=1)
    if path:
        c.data.path = path
    else:
        c.data.builtin = "smileys"
    return c
