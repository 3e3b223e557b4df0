r"""StyleGAN2 on FFHQ, 1024x1024: the paper's large networks (Table 1, F).

Command (8 devices; on one, e.g., with `--config.training.accumulation_rounds=8`):
  python -m stylegan_jax.train --config=configs/stylegan2_ffhq.py \
    --workdir=runs/stylegan2-ffhq --config.data.path=DIRECTORY_OF_THE_70000_IMAGES
  In float32, as in the paper:
    --config.model.dtype=float32

Cost: 9 days 18 hours on 8 Tesla V100 with the official code, according to its README;
  not measured with this code, nor is the memory of 4 images per device; if they do not
  fit, accumulate as above.
Expected: FID 2.84 (paper, Table 1; 50,000 images, no truncation); not trained with this
  code.
Reference: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN",
  sections 2 to 4 and appendix B.
"""

from stylegan_jax import presets


def get_config():
    # Batch of 32 images, 512 channels up to 64x64 and 32 at 1024x1024, 8 mapping
    # layers, learning rate 0.002, R1 with weight 10 every 16th step, path length
    # regularization every 4th step; bfloat16 at the four highest resolutions.
    c = presets.stylegan2("stylegan2", resolution=1024, devices=8)
    c.data.path = ""  # set by --config.data.path
    c.data.mirror = True

    c.run.tick_kimg = 20.0
    c.run.checkpoint_every_ticks = 10
    c.run.grid_rows = 2
    c.run.grid_columns = 4
    return c
