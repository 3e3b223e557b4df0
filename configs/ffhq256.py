r"""StyleGAN on FFHQ at 256x256, with the settings of configs/ffhq.py otherwise.

Command (8 devices, or fewer if they divide the batch sizes and have the memory):
  python -m stylegan_jax.train --config=configs/ffhq256.py --workdir=runs/ffhq256 \
    --config.data.path=DIRECTORY_OF_THE_70000_IMAGES
  Larger images are resized during training; preparing them once with
  `python -m stylegan_jax.prepare` saves decoding them in every epoch.

Cost: 3 days 8 hours on 8 Tesla V100 with the official code, according to its README;
  not measured with this code.
Expected: faces like those of configs/ffhq.py at a lower resolution; the FID is neither
  published nor measured with this code.
Reference: Karras et al. 2019; official train.py, the line "-ffhq256".
"""

from stylegan_jax import config


def get_config():
    c = config.base()
    c.data.path = ""  # set by --config.data.path
    c.data.resolution = 256
    c.data.fit = "crop"
    c.data.mirror = True

    # 8x8 to 256x256 in eleven stages: full resolution after 6,000 of 25,000 kimg.
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
