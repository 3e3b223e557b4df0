"""Images in labeled rows and columns, as in the figures of papers."""

from collections.abc import Sequence

import numpy as np

from stylegan_jax.runtime.image_io import enlarge, rgb_on_white

GAP = 2  # white pixels between images
LABEL_PIXELS = 52  # minimum width of the column of row names
CELL_PIXELS = 64  # smaller images are enlarged to this size
FONT_SHARE = 16  # image height / font size, which is at least FONT_PIXELS
FONT_PIXELS = 11


def labeled_grid(
    rows: Sequence[Sequence[np.ndarray | None]],
    row_names: Sequence[str] = (),
    column_names: Sequence[str] = (),
) -> np.ndarray:
    """Arrange images in labeled rows and columns on white.

    Args:
      rows: images [H,W,C] uint8 of 1 to 4 channels; None leaves a cell empty. The
        pixels of smaller images are repeated until they are as large as the others.
      row_names: a name for each row, which may have several lines; () for none.
      column_names: likewise for the columns.

    Returns:
      [H,W,3] uint8.
    """
    from PIL import Image, ImageDraw, ImageFont  # slow to import

    sides = [image.shape[:2] for row in rows for image in row if image is not None]
    height, width = max(sides)
    factor = -(-max(CELL_PIXELS, min(height, width)) // min(height, width))
    height, width = height * factor, width * factor
    font = ImageFont.load_default(max(FONT_PIXELS, height // FONT_SHARE))
    ruler = ImageDraw.Draw(Image.new("RGB", (1, 1)))

    def extent(names: Sequence[str], axis: int) -> int:
        """Return the pixels that names need, 0 without names."""
        boxes = [ruler.multiline_textbbox((0, 0), n, font=font) for n in names if n]
        return max((int(box[2 + axis]) + 8 for box in boxes), default=0)

    left = extent(row_names, 0)
    left = max(left, LABEL_PIXELS) if left else 0
    top = extent(column_names, 1)
    down, right = height + GAP, width + GAP
    columns = max(map(len, rows))
    figure = np.full((top + down * len(rows), left + right * columns, 3), 255, np.uint8)
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            if image is not None:
                tile = enlarge(rgb_on_white(image)[None], min(height, width))[0]
                y, x = top + i * down, left + j * right
                figure[y : y + height, x : x + width] = tile
    canvas = Image.fromarray(figure)
    draw = ImageDraw.Draw(canvas)
    style = {"fill": "black", "font": font}
    for i, name in enumerate(row_names):
        draw.text((4, top + i * down + height // 2), name, anchor="lm", **style)
    for j, name in enumerate(column_names):
        place = left + j * right + width // 2, top // 2
        draw.text(place, name, anchor="mm", align="center", **style)
    return np.asarray(canvas)
