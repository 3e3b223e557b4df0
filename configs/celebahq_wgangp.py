r"""StyleGAN on CelebA-HQ, 1024x1024, with the WGAN-GP loss and the drift penalty.

Command (8 devices, or fewer if they divide the batch sizes and have the memory):
  python -m stylegan_jax.train --config=configs/celebahq_wgangp.py \
    --workdir=runs/celebahq --config.data.path=DIRECTORY_OF_THE_30000_IMAGES

Cost: 6 days 14 hours on 8 Tesla V100 for FFHQ with the same networks and schedule but
  with R1, according to the official README; not measured with this code. The paper
  extended training from 12,000 to 25,000 kimg because of R1; with this loss,
  `--config.training.total_kimg=12000` may suffice.
Expected: FID 5.17 (paper, Table 1, F; 5.06 without style mixing, E). Not measured with
  this code.
Reference: Karras et al. 2019, section 2 and appendix C; official train.py, the lines
  "-celebahq" and "-wgangp"; Karras et al. 2018, appendix A for the drift term.
"""

from stylegan_jax import config


def get_config():
    c = config.base()
    c.data.path = ""  # set by --config.data.path
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
    # FFHQ's learning rates, but at most 0.002.
    c.training.learning_rate = 0.001
    c.training.learning_rate_by_resolution = (
        (128, 0.0015),
        (256, 0.002),
        (512, 0.002),
        (1024, 0.002),
    )
    c.training.loss = "wgan"
    c.training.gp_weight = 10.0
    c.training.gp_target = 1.0
    c.training.drift_weight = 0.001

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
