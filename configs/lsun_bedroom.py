r"""StyleGAN on LSUN Bedroom, 256x256.

Command (8 devices, or fewer if they divide the batch sizes and have the memory):
  python -m stylegan_jax.train --config=configs/lsun_bedroom.py \
    --workdir=runs/bedroom --config.data.tfds_data_dir=DIRECTORY_OF_TFDS
  Unless that directory has the prepared data set, TFDS downloads the three million
  images at the first start and needs the package tensorflow-io, which is not among our
  requirements, to unpack them. A folder of images works, too:
    --config.data.source=auto --config.data.path=PATH

Cost: about 9 days on 8 Tesla V100, an estimate: the 3 days 8 hours of the official
  README for 256x256 and 25,000 kimg, times 70 / 25. Not measured with this code.
Expected: FID 2.65 (paper, appendix E); not measured with this code.
Reference: Karras et al. 2019, appendix E; official train.py, the line "-bedroom".
"""

from stylegan_jax import config


def get_config():
    c = config.base()
    c.data.source = "tfds"
    c.data.tfds_name = "lsun/bedroom"
    c.data.resolution = 256
    c.data.fit = "crop"  # the shorter side has 256 pixels
    c.data.mirror = False

    c.training.total_kimg = 70000.0
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
