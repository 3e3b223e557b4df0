r"""StyleGAN on CIFAR-10 from TFDS, 32x32, unconditional or class-conditional.

Command (1 to 8 devices):
  python -m stylegan_jax.train --config=configs/cifar10.py --workdir=runs/cifar10
  python -m stylegan_jax.train --config=configs/cifar10.py --workdir=runs/cifar10c \
    --config.data.conditional=True

Cost: not measured; meant for one GPU.
Expected: not measured, nor in the paper. The schedule and the weight of R1 are our
  choices for small images and have not been tuned.
"""

from stylegan_jax import config


def get_config():
    c = config.base()
    c.data.source = "tfds"
    c.data.tfds_name = "cifar10"
    c.data.resolution = 32
    c.data.mirror = True

    # 8x8, 16x16 and 32x32 in five stages: full resolution after 1,200 kimg.
    c.training.total_kimg = 10000.0
    c.training.initial_resolution = 8
    c.training.stage_kimg = 300.0
    c.training.fade_kimg = 300.0
    c.training.batch_size = 64
    c.training.batch_size_by_resolution = ((8, 128),)
    c.training.learning_rate = 0.001
    # R1 sums over pixels: FFHQ's 10 is far too strong for a thousandth of its pixels.
    c.training.r1_gamma = 0.1

    c.run.tick_kimg = 50.0
    c.run.grid_rows = 10
    c.run.grid_columns = 10
    return c
