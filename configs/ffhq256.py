r"""StyleGAN on FFHQ at 256x256: a quarter of the side, the same recipe.

Command (8 devices; fewer work if they divide the batch sizes and hold the images):
  python -m stylegan_jax.train --config=configs/ffhq256.py --workdir=runs/ffhq256 \
    --config.data.path=DIRECTORY_OF_THE_70000_IMAGES
  Images of any larger size are resized while training; resizing them once beforehand
  saves decoding the 1024x1024 ones again and again.

Cost: 3 days 8 hours on 8 Tesla V100, says the official README of its own code; not
  measured with this code.
Expected: faces as those of configs/ffhq.py at a lower resolution. The paper gives no
  FID at this size, and we have not measured one.
Reference: Karras et al. 2019; official train.py, the line "-ffhq256".
"""

from stylegan_jax import config


def get_config():
    c = config.base()
    c.data.source = "folder"
    c.data.resolution = 256
    c.data.fit = "crop"
    c.data.mirror = True

    # Starting at 8x8, eleven stages reach 256x256 after 6,000 of 25,000 kimg.
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
    c.training.learning_rate_by_resolution = ((128, 0.0015), (256, 0.002))
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
    )
    return c
