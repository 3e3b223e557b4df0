"""The figure of the contributions of all resolutions, as a bar chart.

Reference: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN",
section 4.1, figure 8.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from stylegan_jax.config import image_size
from stylegan_jax.runtime.messages import sides
from stylegan_jax.sampling.contributions import contributions as shares_of
from stylegan_jax.sampling.figures.sampler import Figure, Sampler

BAR_PIXELS = 22  # height of a bar
LONGEST_PIXELS = 360
NAME_PIXELS = 90
COLOR = "#0072b2"


def contributions(sampler: Sampler, seeds: Sequence[int]) -> Figure:
    """Draw a bar for each resolution: its share in the images of the seeds.

    Raises:
      ValueError: the network is not a skip generator.
    """
    generator = sampler.generator
    found = shares_of(generator, sampler.variables, sampler.styles(seeds))
    shares = {
        sides(image_size(generator.base_size, r)): share for r, share in found.items()
    }
    lines = tuple(f"{name:>9s} {share:6.1%}" for name, share in shares.items())
    return Figure(bar_chart(shares), lines)


def bar_chart(shares: Mapping[str, float]) -> np.ndarray:
    """Draw shares as horizontal bars, [H,W,3] uint8."""
    from PIL import Image, ImageDraw, ImageFont  # slow to import

    pitch = BAR_PIXELS + 8
    size = (NAME_PIXELS + LONGEST_PIXELS + 70, pitch * len(shares) + 8)
    canvas = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(14)
    scale = LONGEST_PIXELS / max(*shares.values(), 1e-12)
    for i, (name, share) in enumerate(shares.items()):
        y, end = 8 + i * pitch, NAME_PIXELS + round(share * scale)
        middle = y + BAR_PIXELS // 2
        text = {"fill": "black", "font": font}
        draw.text((NAME_PIXELS - 8, middle), name, anchor="rm", **text)
        draw.rectangle((NAME_PIXELS, y, end, y + BAR_PIXELS - 1), fill=COLOR)
        draw.text((end + 8, middle), f"{share:.1%}", anchor="lm", **text)
    return np.asarray(canvas)
