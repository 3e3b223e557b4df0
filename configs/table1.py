r"""The StyleGAN paper's Table 1: from the traditional generator to the style-based.

Command (8 devices), with one of the steps b, c, d, e, f after the colon:
  python -m stylegan_jax.train --config=configs/table1.py:b --workdir=runs/table1-b \
    --config.data.path=DIRECTORY_OF_THE_70000_FFHQ_IMAGES

  step                                        FID of the paper on FFHQ
  b  traditional generator, tuned             5.25
  c  b + mapping network and styles           4.85
  d  c - traditional input: learned constant  4.88
  e  d + noise inputs                         4.42
  f  e + style mixing; equals configs/ffhq.py 4.40

Cost: each about 6 days 14 hours on 8 Tesla V100, which the official README says of f
  with its own code; not measured with this code.
Expected: the FIDs above (paper, Table 1). Not measured with this code.
Reference: Karras et al. 2019, section 2 and Table 1; official train.py, "Table 1".
"""

from stylegan_jax import config


def get_config(step=None):
    if step not in STEPS:
        raise ValueError(
            f"the step of Table 1 (={step!r}) must be one of {', '.join(STEPS)}, after "
            "a colon: --config=configs/table1.py:b"
        )
    c = config.base()
    c.data.source = "folder"
    c.data.resolution = 1024
    c.data.mirror = True

    c.training.total_kimg = 25000.0
    c.training.initial_resolution = 8
    c.training.batch_size = 32
    c.training.batch_size_by_resolution = (
        (4, 512),
        (8, 256),
        (16, 128),
        (32, 64),
        (64, 32),
    )
    c.training.learning_rate = 0.001
    c.training.learning_rate_by_resolution = (
        (128, 0.0015),
        (256, 0.002),
        (512, 0.003),
        (1024, 0.003),
    )
    c.training.loss = "logistic"
    c.training.r1_gamma = 10.0

    c.run.tick_kimg = 160.0
    c.run.tick_kimg_by_resolution = (
        (8, 140),
        (16, 120),
        (32, 100),
        (64, 80),
        (128, 60),
        (256, 40),
        (512, 30),
        (1024, 20),
    )
    c.run.grid_rows = 2
    c.run.grid_columns = 4
    c.update_from_flattened_dict(STEPS[step])
    return c


# What each step takes from the full model.
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
