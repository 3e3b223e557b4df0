r"""StyleGAN on a folder of small grayscale faces, 64x64, such as the Olivetti faces.

Command (one GPU; a laptop's CPU works, slowly):
  python -m stylegan_jax.train --config=configs/faces64.py --workdir=runs/faces64 \
    --config.data.path=DIRECTORY_OF_IMAGES
  Colour images: `--config.data.channels=3`.

Cost: unknown; not measured. The widest layers have 256 channels, half of FFHQ's.
Expected: unknown; no figure published or measured. Of a few hundred images it will
  repeat, not invent: the discriminator learns them by heart.
"""

from stylegan_jax import config


def get_config():
    c = config.base()
    c.data.source = "folder"
    c.data.resolution = 64
    c.data.channels = 1
    c.data.fit = "crop"
    c.data.mirror = True

    c.model.z_dim = 256
    c.model.w_dim = 256
    c.model.mapping_features = 256
    c.model.channel_base = 2048  # 64 channels at 64x64, 128 at 32x32 ...
    c.model.channel_max = 256  # ... and 256 from 16x16 down

    # 8x8 to 64x64 in seven stages, at full resolution after 360 kimg.
    c.training.total_kimg = 1000.0
    c.training.initial_resolution = 8
    c.training.stage_kimg = 60.0
    c.training.fade_kimg = 60.0
    c.training.batch_size = 32
    c.training.learning_rate = 0.0015
    c.training.r1_gamma = 1.0  # fewer pixels than FFHQ's 1024x1024, so less than 10
    c.training.ema_half_life_kimg = 5.0

    c.run.tick_kimg = 10.0
    return c
