r"""StyleGAN on FFHQ, 1024x1024: the official 8-GPU setting (Table 1, F).

Command (8 devices, or fewer if they divide the batch sizes and have the memory):
  python -m stylegan_jax.train --config=configs/ffhq.py --workdir=runs/ffhq \
    --config.data.path=DIRECTORY_OF_THE_70000_IMAGES

Cost: 6 days 14 hours on 8 Tesla V100 with the official code, according to its README;
  not measured with this code.
Expected: FID 4.40 (paper, Table 1; 50,000 images, no truncation); not measured with
  this code.
Reference: Karras et al. 2019, section 2 and appendix C; official train.py.
"""

from stylegan_jax import config


def get_config():
    c = config.base()
    c.data.path = ""  # set by --config.data.path
    c.data.resolution = 1024
    c.data.mirror = True

    # 8x8 to 1024x1024 in fifteen stages: full resolution after 8,400 of 25,000 kimg.
    c.training.total_kimg = 25000.0
    c.training.initial_resolution = 8
    c.training.stage_kimg = 600.0
    c.training.fade_kimg = 600.0
    c.training.batch_size = 32  # from 128x128 on: 4 images per device
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
    return c
