r"""The StyleGAN paper's Table 1: from the traditional generator to the style-based.

Command (8 devices), with a step from b to f after the colon:
  python -m stylegan_jax.train --config=configs/table1.py:b --workdir=runs/table1-b \
    --config.data.path=DIRECTORY_OF_THE_70000_FFHQ_IMAGES

  step                                        FID on FFHQ in the paper
  b  traditional generator, tuned             5.25
  c  b + mapping network and styles           4.85
  d  c - traditional input: learned constant  4.88
  e  d + noise inputs                         4.42
  f  e + style mixing; equals configs/ffhq.py 4.40

Cost: 6 days 14 hours on 8 Tesla V100 for f with the official code, according to its
  README, and about as much for the others; not measured with this code.
Expected: the FIDs above (paper, Table 1); not measured with this code.
Reference: Karras et al. 2019, section 2 and Table 1; official train.py, "Table 1".
"""

import runpy
from pathlib import Path


def get_config(step=None):
    if step not in STEPS:
        raise ValueError(
            f"the step of Table 1 (={step!r}) must be one of {', '.join(STEPS)}, after "
            "a colon: --config=configs/table1.py:b"
        )
    ffhq = runpy.run_path(str(Path(__file__).parent / "ffhq.py"))
    c = ffhq["get_config"]()
    c.update_from_flattened_dict(STEPS[step])
    return c


# The settings of the full model that each step changes.
_WITHOUT_MIXING = {"training.style_mixing_probability": 0.0}
_WITHOUT_NOISE = _WITHOUT_MIXING | {"model.noise": False}
_TRADITIONAL_INPUT = _WITHOUT_NOISE | {"model.const_input": False}
STEPS = {
    "b": _TRADITIONAL_INPUT
    | {
        "model.mapping_layers": 0,
        "model.styles": False,
        "model.instance_norm": False,
        "model.pixel_norm": True,
    },
    "c": _TRADITIONAL_INPUT,
    "d": _WITHOUT_NOISE,
    "e": _WITHOUT_MIXING,
    "f": {},
}
