r"""StyleGAN on a folder of small grayscale faces, 64x64, such as the Olivetti faces.

Command (one GPU; slow on the CPU of a laptop):
  python -m stylegan_jax.train --config=configs/faces64.py --workdir=runs/faces64 \
    --config.data.path=DIRECTORY_OF_IMAGES
  Color images: `--config.data.channels=3`.

Cost: not measured. The widest layers have 256 channels, half of FFHQ's.
Expected: not measured, nor published. From a few hundred images, the generator repeats
  the data instead of generalizing: the discriminator memorizes them.
"""

from stylegan_jax import config


def get_config():
    c = config.base()
    c.data.path = ""  # set by --config.data.path
    c.data.resolution = 64
    c.data.channels = 1
    c.data.fit = "crop"
    c.data.mirror = True

    c.model.z_dim = 256
    c.model.w_dim = 256
    c.model.mapping_features = 256
    c.model.channel_base = 2048  # 64 channels at 64x64, 128 at 32x32 ...
    c.model.channel_max = 256  # ... and 256 from 16x16 down

    # 8x8 to 64x64 in seven stages: full resolution after 360 kimg.
    c.training.total_kimg = 1000.0
    c.training.initial_resolution = 8
    c.training.stage_kimg = 60.0
    c.training.fade_kimg = 60.0
    c.training.batch_size = 32
    c.training.learning_rate = 0.0015
    c.training.r1_gamma = 1.0  # less than FFHQ's 10, which sums over 1024x1024 pixels
    c.training.ema_half_life_kimg = 5.0

    c.run.tick_kimg = 10.0
    return c
