r"""StyleGAN2 on FFHQ, 1024x1024: the paper's large networks (Table 1, F).

Command (8 devices; with fewer, `--config.training.accumulation_rounds=8` on one, say):
  python -m stylegan_jax.train --config=configs/stylegan2_ffhq.py \
    --workdir=runs/stylegan2-ffhq --config.data.path=DIRECTORY_OF_THE_70000_IMAGES
  With bfloat16 activations at the four highest resolutions:
    --config.model.dtype=bfloat16 --config.model.conv_clamp=256

Cost: 9 days 18 hours on 8 Tesla V100, says the official README of its own code; not
  measured with this code, nor is whether 4 images a device fit into its memory; if not,
  accumulate as above.
Expected: FID 2.84 (paper, Table 1; 50,000 images, no truncation). Not trained by us.
Reference: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN",
  sections 2 to 4 and appendix B.
"""

from stylegan_jax import presets


def get_config():
    # 32 images a step, 512 channels up to 64x64 and 32 at 1024x1024, mapping of 8
    # layers, rate 0.002, R1 of weight 10 every 16th step, path length every 4th.
    c = presets.stylegan2("stylegan2", resolution=1024, devices=8)
    c.data.source = "folder"
    c.data.mirror = True

    c.model.conv_clamp = None  # everything is in float32

    c.run.tick_kimg = 20.0
    c.run.checkpoint_every_ticks = 10
    c.run.grid_rows = 2
    c.run.grid_columns = 4
    return c
