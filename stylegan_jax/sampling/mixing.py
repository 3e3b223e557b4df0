"""The style-mixing figure: whose styles decide what, coarse to fine.

Reference: Karras et al. 2019, "A Style-Based Generator Architecture for GANs",
section 3.1 and figure 3.
"""

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw

from stylegan_jax.models import Generator, LevelOfDetail, Variables
from stylegan_jax.models.mapping import mix_styles
from stylegan_jax.runtime.image_io import to_uint8
from stylegan_jax.sampling.images import synthesize

GAP = 2  # white pixels between images
LABEL_PIXELS = 52  # width of the column that names the rows


def style_ranges(resolution: int) -> dict[str, range]:
    """Which style layers are coarse, middle and fine at `resolution`.

    As in the paper 4-8, 16-32 and 64 and above; one resolution each at 16x16 and 32x32,
    where the fine ones take the rest.

    Raises:
      ValueError: below resolution 16 there are not three kinds.
    """
    count = resolution.bit_length() - 2
    if count < 3:
        raise ValueError(
            f"style mixing needs a generator of at least resolution 16, this one has "
            f"reached {resolution}; train it further"
        )
    a, b = (2, 4) if count >= 5 else (1, 2)
    return {
        "coarse": range(0, 2 * a),
        "middle": range(2 * a, 2 * b),
        "fine": range(2 * b, 2 * count),
    }


def style_mixing(
    generator: Generator,
    variables: Variables,
    row_ws: jax.Array,
    column_ws: jax.Array,
    layers: range,
    **kwargs,
) -> np.ndarray:
    """The paper's figure 3: columns' images with the styles of `layers` from a row.

    Args:
      generator: the network.
      variables: its variables.
      row_ws: [N,L,W], whose styles are copied.
      column_ws: [M,L,W], which receive them.
      layers: which style layers are copied, contiguous.
      **kwargs: for `synthesize`.

    Returns:
      Images [N,M,H,W,C].
    """
    n, m = len(row_ws), len(column_ws)
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
    """Draws the figure.

    Args:
      generator: the network.
      variables: its variables.
      source_ws: [N,L,W], the images on top, whose styles are copied.
      destination_ws: "coarse", "middle" and "fine" -> [M,L,W], the images on the left,
        which keep all other styles.
      lod: the resolution and its fade.

    Returns:
      The figure as uint8 [H,W,3]: a row per destination.
    """
    top = synthesize(generator, variables, source_ws, lod=lod)
    rows = [[None, *to_uint8(top)]]
    names = [""]
    for name, layers in style_ranges(lod.resolution).items():
        ws = destination_ws[name]
        left = synthesize(generator, variables, ws, lod=lod)
        mixed = style_mixing(
            generator, variables, source_ws, ws, layers, lod=lod
        ).swapaxes(0, 1)
        for first, others in zip(to_uint8(left), to_uint8(mixed), strict=True):
            rows.append([first, *others])
            names.append(name)
    return _compose(rows, names, max(1, 64 // min(top.shape[1:3])))


def _compose(
    rows: list[list[np.ndarray | None]], names: list[str], scale: int
) -> np.ndarray:
    height, width = (side * scale for side in rows[0][1].shape[:2])
    down, right = height + GAP, width + GAP
    size = (LABEL_PIXELS + right * len(rows[0]), down * len(rows))
    figure = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(figure)
    for y, (name, row) in enumerate(zip(names, rows, strict=True)):
        draw.text((4, y * down + height // 2 - 6), name, fill="black")
        for x, image in enumerate(row):
            if image is not None:
                mode = {1: "L", 3: "RGB", 4: "RGBA"}[image.shape[2]]
                pixels = np.squeeze(image, 2) if mode == "L" else image
                tile = Image.fromarray(pixels, mode).convert("RGBA")
                tile = tile.resize((width, height), Image.Resampling.NEAREST)
                figure.paste(tile, (LABEL_PIXELS + x * right, y * down), tile)
    return np.asarray(figure)
