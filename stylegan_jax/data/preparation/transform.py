"""From any image file to the pixels of a data set: what `prepare` does to one image.

Pillow and NumPy only; training reads the result through `images`.
"""

import dataclasses
import io
import math

import numpy as np
from PIL import Image

from stylegan_jax.data.formats.collection import Unusable
from stylegan_jax.data.images import PIL_ERRORS, Size, orientation

CROPS = ("none", "center", "center-wide")
FILTERS = ("lanczos", "box", "area")
# Only these are tried: some of Pillow's other formats start programs.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
MAX_PIXELS = 2**26  # 8192 x 8192; larger images are refused before they are decoded
# EXIF's orientations but 1, and what to do to an image of each.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_GRAY_MODES = ("1", "L", "LA", "La", "I;16", "I;16L", "I;16B", "I;16N")
_ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")


@dataclasses.dataclass(frozen=True)
class Header:
    """What is known of an image before it is decoded, turned as it is shown."""

    height: int
    width: int
    gray: bool
    animated: bool


def header(content: bytes | np.ndarray) -> Header:
    """Height, width and kind of an image.

    Raises:
      Unusable: it is none, or too large.
    """
    try:
        with _opened(content) as image:
            sides = image.size
            if orientation(image) >= 5:
                sides = sides[::-1]
            gray = image.mode in _GRAY_MODES
            animated = getattr(image, "is_animated", False) and image.format != "MPO"
            return Header(sides[1], sides[0], gray, animated)
    except PIL_ERRORS as error:
        raise Unusable(f"can't be opened: {error}") from error


def decode(content: bytes | np.ndarray) -> Image.Image:
    """The image, or the first of an animation, turned as its camera says.

    Args:
      content: of a file, or uint8 [H, W] or [H, W, 1..4].

    Returns:
      Of mode L, LA, RGB or RGBA. 16 bits become 8: gray is rounded, of colors Pillow
      gives the upper 8.

    Raises:
      Unusable: it is damaged, too large or of an unknown kind.
    """
    try:
        with _opened(content) as image:
            image.load()
            turned = orientation(image)
            eight = _eight_bits(image)
            return eight if turned == 1 else eight.transpose(TURNS[turned])
    except PIL_ERRORS as error:
        raise Unusable(f"is damaged: {error}") from error


def is_plain_jpeg(content: bytes | np.ndarray, channels: int) -> bool:
    """Whether a file is a JPEG that decodes to just what `decode` returns."""
    if not isinstance(content, bytes):
        return False
    with _opened(content) as image:
        upright = orientation(image) == 1
        mode = {1: "L", 3: "RGB"}.get(channels)
        return image.format == "JPEG" and image.mode == mode and upright


def to_channels(image: Image.Image, channels: int) -> Image.Image:
    """Lays alpha on white when it is dropped; grayscale is the luma of ITU-R 601.

    Args:
      image: of mode L, LA, RGB or RGBA.
      channels: 1, 3 or 4.

    Returns:
      Of mode L, RGB or RGBA.
    """
    if channels == 4:
        return image.convert("RGBA")
    if image.mode in ("LA", "RGBA"):
        pixels = np.asarray(image).astype(np.float32)
        color, opacity = pixels[..., :-1], pixels[..., -1:] / 255
        mixed = np.rint(color * opacity + 255 * (1 - opacity)).astype(np.uint8)
        image = Image.fromarray(mixed[..., 0] if image.mode == "LA" else mixed)
    if channels == 3:
        return image.convert("RGB")
    if image.mode == "L":
        return image
    luma = np.asarray(image).astype(np.float32) @ np.float32([0.299, 0.587, 0.114])
    return Image.fromarray(np.rint(luma).astype(np.uint8))


def size_problem(size: Size, wanted: Size, crop: str) -> str | None:
    """Why an image can't become one of `wanted` height and width; None if it can."""
    (height, width), (target_height, target_width) = size, wanted
    is_ = f"is {width}x{height} (width x height)"
    if crop == "center-wide":
        if width < target_width or _wide_rows(size, wanted) < target_height:
            return f"{is_}, too small or narrow for {target_width}x{target_height}"
    elif height < target_height or width < target_width:
        return f"{is_}, smaller than {target_width}x{target_height}"
    elif crop == "none" and height * target_width != width * target_height:
        return (
            f"{is_} and would be distorted to {target_width}x{target_height}; "
            "--crop=center cuts instead"
        )
    return None


def fit(image: Image.Image, size: Size, crop: str, resize_filter: str) -> Image.Image:
    """Brings an image to a size.

    Args:
      image: of mode L, RGB or RGBA.
      size: height and width.
      crop: "none" resizes all of it; "center" the largest part in the middle that has
        the ratio of `size`; "center-wide" is NVIDIA's, its result lies on black in a
        square as wide as `size`.
      resize_filter: "lanczos" or "box", Pillow's, or "area", the exact mean.

    Returns:
      Of the same mode.
    """
    height, width = size
    rows, columns = image.height, image.width
    if crop == "center":
        common = math.gcd(height, width)
        h, w = height // common, width // common
        rows = min(image.height, (2 * image.width * h + w) // (2 * w))
        columns = min(image.width, (2 * image.height * w + h) // (2 * h))
    elif crop == "center-wide":
        rows = min(image.height, _wide_rows((image.height, image.width), size))
    top, left = (image.height - rows) // 2, (image.width - columns) // 2
    image = image.crop((left, top, left + columns, top + rows))
    image = _resize(image, size, resize_filter)
    if crop == "center-wide":
        canvas = Image.new(image.mode, (width, width))
        canvas.paste(image, (0, (width - height) // 2))
        return canvas
    return image


def halvings(pixels: np.ndarray, count: int) -> list[np.ndarray]:
    """An image and its exact means over 2x2, 4x4, ... pixels, rounded half to even.

    Args:
      pixels: uint8 [H, W, C], H and W multiples of 2^count.
      count: how often to halve.

    Returns:
      count + 1 uint8 arrays, [H, W, C] first and [H / 2^count, W / 2^count, C] last.
    """
    levels, total = [pixels], pixels.astype(np.int64)
    for level in range(1, count + 1):
        total = total[0::2] + total[1::2]
        total = total[:, 0::2] + total[:, 1::2]
        levels.append(np.rint(total / 4**level).astype(np.uint8))
    return levels


def _opened(content: bytes | np.ndarray) -> Image.Image:
    if isinstance(content, np.ndarray):
        return Image.fromarray(
            content[..., 0] if content.shape[2:] == (1,) else content
        )
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.UnidentifiedImageError as error:
        raise Unusable("is not an image, or its header is damaged") from error
    except Image.DecompressionBombError as error:
        raise Unusable(f"is too large: {error}") from error
    if image.width * image.height > MAX_PIXELS:
        raise Unusable(
            f"is {image.width}x{image.height} (width x height); more than "
            f"{MAX_PIXELS:,} pixels are refused"
        )
    return image


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        pixels = np.rint(np.asarray(image) / 257).astype(np.uint8)
        eight = Image.fromarray(pixels)
    elif image.mode in ("I", "F"):
        raise Unusable(f"has 32 bits a pixel (mode {image.mode}); use 8 or 16")
    else:
        alpha = image.mode in _ALPHA_MODES or "transparency" in image.info
        if image.mode in _GRAY_MODES:
            eight = image.convert("LA" if alpha and image.mode != "1" else "L")
        else:
            eight = image.convert("RGBA" if alpha else "RGB")
    eight.info = {}
    return eight


def _wide_rows(size: Size, wanted: Size) -> int:
    """Rows that center-wide keeps; NVIDIA's rule, half to even."""
    return round(wanted[1] * size[0] / size[1])


def _resize(image: Image.Image, size: Size, resize_filter: str) -> Image.Image:
    if (image.height, image.width) == size:
        return image
    if resize_filter != "area":
        resample = {"lanczos": Image.Resampling.LANCZOS, "box": Image.Resampling.BOX}
        return image.resize(size[::-1], resample[resize_filter])
    pixels = np.asarray(image).reshape(image.height, image.width, -1) / 1.0
    if image.mode == "RGBA":
        pixels[..., :3] *= pixels[..., 3:]  # invisible colors don't count
    pixels = _overlaps(image.height, size[0]) @ pixels.reshape(image.height, -1)
    pixels = pixels.reshape(size[0], image.width, -1).swapaxes(0, 1)
    pixels = _overlaps(image.width, size[1]) @ pixels.reshape(image.width, -1)
    pixels = pixels.reshape(size[1], size[0], -1).swapaxes(0, 1)
    if image.mode == "RGBA":
        pixels[..., :3] /= np.maximum(pixels[..., 3:], 1e-9)
    pixels = np.rint(pixels.clip(0, 255)).astype(np.uint8)
    return Image.fromarray(pixels[..., 0] if image.mode == "L" else pixels)


def _overlaps(old: int, new: int) -> np.ndarray:
    """[new, old]: which share of each new pixel each old one covers."""
    edges = np.arange(new + 1) * (old / new)
    begin, end = edges[:-1, None], edges[1:, None]
    pixel = np.arange(old)
    covered = np.minimum(end, pixel + 1) - np.maximum(begin, pixel)
    return np.maximum(covered, 0) * (new / old)
