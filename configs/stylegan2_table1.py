r"""The StyleGAN2 paper's Table 1: from StyleGAN to StyleGAN2, one change at a time.

Command (8 devices), with a step from a to f after the colon:
  python -m stylegan_jax.train --config=configs/stylegan2_table1.py:b \
    --workdir=runs/stylegan2-b --config.data.path=DIRECTORY_OF_THE_70000_FFHQ_IMAGES

  step                                                      FID on FFHQ in the paper
  a  StyleGAN; equals configs/ffhq.py                       4.40
  b  a + weight demodulation                                4.39
  c  b + lazy regularization                                4.38
  d  c + path length regularization                         4.34
  e  d - growing, new G and D; configs/stylegan2_ffhq_e.py  3.31
  f  e + large networks; configs/stylegan2_ffhq.py          2.84

Cost: about 8 days for a, 5 for e and 9 for f on 8 Tesla V100 with the official code:
  37, 61 and 31 images/s according to the paper. Not measured with this code.
Expected: the FIDs above (paper, Table 1); not trained with this code.
Reference: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN",
  Table 1 and sections 2 to 4; steps b to d keep StyleGAN's discriminator.
"""

import runpy
from pathlib import Path


def get_config(step=None):
    if step not in STEPS:
        raise ValueError(
            f"the step of Table 1 (={step!r}) must be one of {', '.join(STEPS)}, after "
            "a colon: --config=configs/stylegan2_table1.py:b"
        )
    name, changes = STEPS[step]
    c = runpy.run_path(str(Path(__file__).parent / f"{name}.py"))["get_config"]()
    c.update_from_flattened_dict(changes)
    return c


# Each step is another config and the settings to change in it.
_DEMODULATION = {
    "model.family": "stylegan2",
    "model.channel_base": 16384,  # the same widths: base / R channels in this family
}
_LAZY = _DEMODULATION | {
    "training.d_reg_interval": 16,
    "training.g_reg_interval": 4,  # no regularization here, but shorter decays of Adam
}
_PATH_LENGTH = _LAZY | {"training.path_length_weight": 2.0}
STEPS = {
    "a": ("ffhq", {}),
    "b": ("ffhq", _DEMODULATION),
    "c": ("ffhq", _LAZY),
    "d": ("ffhq", _PATH_LENGTH),
    "e": ("stylegan2_ffhq_e", {}),
    "f": ("stylegan2_ffhq", {}),
}
