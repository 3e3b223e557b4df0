r"""StyleGAN2 on FFHQ, 1024x1024, with networks of the size of StyleGAN's (Table 1, E).

Command (8 devices; on one, e.g., with `--config.training.accumulation_rounds=8`):
  python -m stylegan_jax.train --config=configs/stylegan2_ffhq_e.py \
    --workdir=runs/stylegan2-ffhq-e --config.data.path=DIRECTORY_OF_THE_70000_IMAGES

Cost: about 5 days on 8 Tesla V100 with the official code: 61 images/s according to the
  paper, 31 for the large networks. Not measured with this code.
Expected: FID 3.31 (paper, Table 1; 50,000 images, no truncation); not trained with this
  code.
Reference: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN",
  Table 1, E; the weight of R1 is that of the official run_training.py.
"""

from stylegan_jax import presets


def get_config():
    c = presets.stylegan2("stylegan2", resolution=1024, devices=8)
    c.data.path = ""  # set by --config.data.path
    c.data.mirror = True

    c.model.channel_base = 16384  # half of configs/stylegan2_ffhq.py from 64x64 up
    c.training.r1_gamma = 100.0

    c.run.tick_kimg = 20.0
    c.run.checkpoint_every_ticks = 10
    c.run.grid_rows = 2
    c.run.grid_columns = 4
    return c
