"""Style mixing: the figure in which images copy coarse, middle or fine styles.

Reference: Karras et al. 2019, "A Style-Based Generator Architecture for GANs",
section 3.1 and figure 3.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.models import Generator, LevelOfDetail, Variables
from stylegan_jax.models.mapping import mix_styles
from stylegan_jax.runtime.image_io import rgb_on_white, to_uint8
from stylegan_jax.sampling.synthesis import synthesize

GAP = 2  # white pixels between images
LABEL_PIXELS = 52  # width of the column that names the rows


def style_ranges(generator: Generator, resolution: int) -> dict[str, range]:
    """Return the style layers that are coarse, middle and fine up to a resolution.

    As in the paper, coarse is 4 to 8, middle 16 to 32 and fine 64 and above; at 16x16
    and 32x32, coarse is 4, middle 8, and fine the rest.

    Raises:
      ValueError: `resolution` is below 16, so that there are fewer than three.
    """
    resolutions = [r for r in generator.resolutions if r <= resolution]
    if len(resolutions) < 3:
        raise ValueError(
            f"style mixing needs a generator of at least resolution 16; this one has "
            f"reached {resolution}, so train it further"
        )
    a, b = (2, 4) if len(resolutions) >= 5 else (1, 2)
    parts = {
        "coarse": resolutions[:a],
        "middle": resolutions[a:b],
        "fine": resolutions[b:],
    }
    layers = generator.style_layers
    return {
        name: range(layers(part[0]).start, layers(part[-1]).stop)
        for name, part in parts.items()
    }


def style_mixing(
    generator: Generator,
    variables: Variables,
    row_ws: jax.Array,
    column_ws: jax.Array,
    layers: range,
    **kwargs,
) -> np.ndarray:
    """Draw the columns' images with the styles of `layers` copied from the rows.

    Args:
      generator: the network.
      variables: its variables.
      row_ws: [N,L,W], whose styles are copied.
      column_ws: [M,L,W], which receive them.
      layers: the style layers to copy, contiguous.
      **kwargs: for `synthesize`.

    Returns:
      Images [N,M,H,W,C].
    """
    n, m = len(row_ws), len(column_ws)
    chex.assert_shape(row_ws, (n, *column_ws.shape[1:]))
    source = jnp.repeat(jnp.asarray(row_ws), m, axis=0)
    target = jnp.tile(jnp.asarray(column_ws), (n, 1, 1))
    mixed = mix_styles(target, mix_styles(source, target, layers.stop), layers.start)
    images = synthesize(generator, variables, mixed, **kwargs)
    return images.reshape(n, m, *images.shape[1:])


def mixing_figure(
    generator: Generator,
    variables: Variables,
    source_ws: jax.Array,
    destination_ws: dict[str, jax.Array],
    *,
    lod: LevelOfDetail,
) -> np.ndarray:
    """Draw the style-mixing figure.

    Args:
      generator: the network.
      variables: its variables.
      source_ws: [N,L,W], the images on top, whose styles are copied.
      destination_ws: "coarse", "middle" and "fine" -> [M,L,W], the images on the left,
        which keep all other styles.
      lod: the resolution and its fade.

    Returns:
      The figure [H,W,3] uint8 with one row per destination.
    """
    top = synthesize(generator, variables, source_ws, lod=lod)
    rows = [[None, *to_uint8(top)]]
    names = [""]
    for name, layers in style_ranges(generator, lod.resolution).items():
        ws = destination_ws[name]
        left = synthesize(generator, variables, ws, lod=lod)
        mixed = style_mixing(generator, variables, source_ws, ws, layers, lod=lod)
        for first, others in zip(
            to_uint8(left), to_uint8(mixed.swapaxes(0, 1)), strict=True
        ):
            rows.append([first, *others])
            names.append(name)
    return _compose(rows, names, max(1, 64 // min(top.shape[1:3])))


def _compose(
    rows: list[list[np.ndarray | None]], names: list[str], scale: int
) -> np.ndarray:
    """Arrange images, enlarged `scale` times, in named rows on white."""
    from PIL import Image, ImageDraw  # slow to import, and only needed for figures

    height, width = (side * scale for side in rows[0][1].shape[:2])
    down, right = height + GAP, width + GAP
    size = (down * len(rows), LABEL_PIXELS + right * len(rows[0]), 3)
    figure = np.full(size, 255, np.uint8)
    for y, row in enumerate(rows):
        for x, image in enumerate(row):
            if image is not None:
                tile = rgb_on_white(image).repeat(scale, axis=0).repeat(scale, axis=1)
                left = LABEL_PIXELS + x * right
                figure[y * down :, left:][:height, :width] = tile
    canvas = Image.fromarray(figure)
    draw = ImageDraw.Draw(canvas)
    for y, name in enumerate(names):
        draw.text((4, y * down + height // 2 - 6), name, fill="black")
    return np.asarray(canvas)
