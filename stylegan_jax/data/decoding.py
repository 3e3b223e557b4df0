"""Decoding of image files, with the same result in training, `evaluate`, `prepare`.

The result is defined by `decode_pil`, which uses Pillow. Training takes the same pixels
from TensorFlow where `headers` proves that they are the same, because TensorFlow
decodes without Python's global lock.
"""

import dataclasses
import functools
import io
import os
import re
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from stylegan_jax.data import common_headers, headers, images
from stylegan_jax.data.headers import EXIF_KEYS, ORIENTATION
from stylegan_jax.data.images import ImageSpec, Size, Tensor
from stylegan_jax.data.interface import InvalidImage
from stylegan_jax.runtime.tensorflow import tensorflow

# Increment it when a file decodes to different pixels. In version 1, training decoded
# JPEGs with TensorFlow's faster and less exact inverse DCT.
VERSION = 2

# Formats that Pillow may open; some of its others run external programs.
FORMATS = (
    *("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP"),
)
MAX_PIXELS = 2**26  # 8192 x 8192; larger images are rejected before they are decoded
# The exceptions that Pillow raises for damaged files.
PIL_ERRORS = (
    *(OSError, EOFError, SyntaxError, ValueError, LookupError, struct.error),
    *(zlib.error, AttributeError, ArithmeticError, RuntimeError, TypeError),
    Image.DecompressionBombError,
)
_GRAY_MODES = ("1", "L", "LA", "La", "I;16", "I;16L", "I;16B", "I;16N")
_ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")

TRANSPOSE_OF_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
LATE_EXIF_BYTES = 2**17  # searched for EXIF at the end of a PNG
# TIFF tags, and a value of the second
BITS_PER_SAMPLE = 258
PHOTOMETRIC_INTERPRETATION = 262
WHITE_IS_ZERO = 0

File = str | Path | bytes | np.ndarray  # path, content, or pixels of an image


# In training


def load_encoded(encoded: Tensor, spec: ImageSpec) -> Tensor:
    """Decode a file's content to the image that training needs, inside `tf.data`.

    Args:
      encoded: content of the file, string [].
      spec: the image; see `images.fit`.

    Returns:
      uint8 [H, W, C].

    Raises:
      tf.errors.OpError: at run time, for a file that `encoded_problem` explains.
      InvalidImage: the same, outside of graphs.
    """
    tf = tensorflow()
    by_pillow = tf.cond(
        common_headers.is_common(encoded, spec.size),
        lambda: tf.zeros([0, 0, spec.channels], tf.uint8),
        lambda: _decode_unless_plain(encoded, spec),
    )
    image = tf.cond(
        tf.size(by_pillow) > 0,
        lambda: by_pillow,
        lambda: images.to_channels(_decode_plain(encoded), spec.channels),
    )
    # Images to crop have this size already.
    return images.box_average(image, spec.size)


def load_stored(encoded: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Decode an image that `prepare` has stored, inside `tf.data`.

    Args:
      encoded: content of an 8-bit PNG, or of a JPEG, string [].
      shape: its height, width and channels.

    Returns:
      uint8 `shape`.
    """
    tf = tensorflow()
    is_png = tf.equal(tf.strings.substr(encoded, 1, 3), b"PNG")
    image = tf.cond(
        is_png,
        lambda: tf.ensure_shape(_decode_plain(encoded), shape),
        lambda: load_encoded(encoded, ImageSpec(shape[:2], shape[2], "exact")),
    )
    return tf.ensure_shape(image, shape)


def _decode_unless_plain(encoded: Tensor, spec: ImageSpec) -> Tensor:
    """Call `_pixels_unless_plain`, inside `tf.data` or eagerly."""
    tf = tensorflow()
    if tf.executing_eagerly():  # `numpy_function` would drop trailing zeros
        pixels = _pixels_unless_plain(tf.convert_to_tensor(encoded).numpy(), spec)
    else:
        in_python = functools.partial(_pixels_unless_plain, spec=spec)
        pixels = tf.numpy_function(in_python, [encoded], tf.uint8)
    return tf.ensure_shape(pixels, [None, None, spec.channels])


def _decode_plain(encoded: Tensor) -> Tensor:
    """Decode a file for which `headers.plain_size` is not None to uint8 [H, W, 1..4].

    `decode_jpeg` also decodes PNGs; for these, it ignores `dct_method`.
    """
    tf = tensorflow()
    image = tf.io.decode_jpeg(encoded, dct_method="INTEGER_ACCURATE")
    return tf.ensure_shape(image, [None, None, None])


def _pixels_unless_plain(encoded: bytes, spec: ImageSpec) -> np.ndarray:
    """Return an image that Pillow decodes, or no pixels if TensorFlow is to decode it.

    Returns:
      uint8 [h, w, C] of a size that `images.box_average` brings to `spec.size`; or
      [0, 0, C].

    Raises:
      InvalidImage: the file cannot be used.
    """
    size = headers.plain_size(encoded)
    if size is not None and size[0] * size[1] <= MAX_PIXELS:
        _check_size(size, spec)
        if size == spec.size or spec.fit == "exact":
            return np.empty([0, 0, spec.channels], np.uint8)
    image = decode_pil(encoded)
    _check_size((image.height, image.width), spec)
    image = images.to_channels_pil(image, spec.channels)
    if spec.fit == "crop":
        image = images.fit_pil(image, spec.size, "center", "lanczos")
    return np.asarray(image).reshape(image.height, image.width, spec.channels)


def _check_size(size: Size, spec: ImageSpec) -> None:
    problem = images.size_problem(*size, spec.size, spec.fit)
    if problem:
        raise InvalidImage(problem)


def encoded_problem(encoded: bytes, spec: ImageSpec) -> str | None:
    """Return a readable reason why `load_encoded` fails; None if it succeeds."""
    tf = tensorflow()
    try:
        if not _pixels_unless_plain(encoded, spec).size:
            _decode_plain(encoded)
        return None
    except InvalidImage as problem:
        return str(problem)
    except tf.errors.OpError as error:
        reason = re.sub(r"\{\{.*?\}\} ?| ?\[Op:.*", "", str(error.message))
    try:
        decode_pil(encoded)
    except InvalidImage as problem:
        return str(problem)
    return f"is damaged: {reason}"


def size_or_problem(file: str | Path | bytes) -> Size | str:
    """Return (height, width) of the upright image, or the reason why it is unusable.

    Args:
      file: path or content.
    """
    try:
        header = read_header(file)
        return header.height, header.width
    except InvalidImage as problem:
        return str(problem)


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, from 1 (upright) to 8; 1 if the EXIF is damaged.

    It is 1 for TIFFs, too, because Pillow applies their orientation itself.
    """
    # Without this check, a whole PNG would be decoded in search of EXIF at its end.
    if image.format == "TIFF" or not image.info.keys() & EXIF_KEYS:
        return 1
    try:
        found = image.getexif().get(ORIENTATION)
    except PIL_ERRORS:
        return 1
    return found if found in range(2, 9) else 1


# By Pillow


@dataclasses.dataclass(frozen=True)
class Header:
    """Properties of an image that are known before it is decoded.

    Attributes:
      height: height in pixels, after the EXIF orientation is applied.
      width: width in pixels, likewise.
      gray: True for grayscale images.
      animated: True for images with several frames.
    """

    height: int
    width: int
    gray: bool
    animated: bool


def read_header(file: File, max_pixels: int = MAX_PIXELS) -> Header:
    """Return the properties of an image without decoding it.

    Args:
      file: path, or content as for `decode_pil`; uint8 [H, W] or [H, W, 1..4].
      max_pixels: number of pixels beyond which an image is too large.

    Raises:
      InvalidImage: the content is not an image, or the image is too large.
    """
    try:
        with _open(file, max_pixels) as image:
            if _may_turn_when_decoded(image):
                image.load()
            sides = image.size
            if orientation(image) >= 5:
                sides = sides[::-1]
            gray = image.mode in _GRAY_MODES or _is_gray_of_16_bits(image)
            animated = getattr(image, "is_animated", False) and image.format != "MPO"
            return Header(sides[1], sides[0], gray, animated)
    except PIL_ERRORS as error:
        raise InvalidImage(f"cannot be opened: {error}") from error


def decode_pil(
    content: bytes | np.ndarray, max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """Decode an image, or the first frame of an animation, and turn it upright.

    Args:
      content: content of a file, or uint8 [H, W] or [H, W, 1..4].
      max_pixels: number of pixels beyond which an image is too large.

    Returns:
      Image of mode L, LA, RGB or RGBA. 16-bit channels become 8-bit: gray values are
      rounded; for colors, Pillow keeps the upper 8 bits.

    Raises:
      InvalidImage: the image is damaged, too large or of an unknown kind.
    """
    try:
        with _open(content, max_pixels) as image:
            image.load()
            turned = orientation(image)
            eight = _keyed_png(image, content) or _to_eight_bits(image)
            if turned == 1:
                return eight
            return eight.transpose(TRANSPOSE_OF_ORIENTATION[turned])
    except PIL_ERRORS as error:
        raise InvalidImage(f"is damaged: {error}") from error


def is_plain_jpeg(
    content: bytes | np.ndarray, channels: int, max_pixels: int = MAX_PIXELS
) -> bool:
    """Return True for a JPEG file that decodes to exactly what `decode_pil` returns."""
    if not isinstance(content, bytes):
        return False
    with _open(content, max_pixels) as image:
        upright = orientation(image) == 1
        mode = {1: "L", 3: "RGB"}.get(channels)
        return image.format == "JPEG" and image.mode == mode and upright


def _open(file: File, max_pixels: int = MAX_PIXELS) -> Image.Image:
    if isinstance(file, np.ndarray):
        return Image.fromarray(file[..., 0] if file.shape[2:] == (1,) else file)
    try:
        opened = io.BytesIO(file) if isinstance(file, bytes) else file
        image = Image.open(opened, formats=FORMATS)
    except UnidentifiedImageError as error:
        raise InvalidImage("is not an image, or its header is damaged") from error
    except Image.DecompressionBombError as error:
        raise InvalidImage(f"is too large: {error}") from error
    pixels = image.width * image.height
    if pixels > max_pixels:
        raise InvalidImage(
            f"is {image.width}x{image.height} (width x height); at most "
            f"{max_pixels:,} pixels are allowed; `prepare --max_pixels={pixels}` "
            "allows them"
        )
    return image


def _may_turn_when_decoded(image: Image.Image) -> bool:
    """Return True for an image whose sides Pillow may swap only when it decodes it.

    These are PNGs with EXIF data behind the pixels, and TIFFs whose orientation is in
    XMP data alone.
    """
    if image.width == image.height:
        return False
    if image.format == "TIFF":
        return "xmp" in image.info and ORIENTATION not in image.tag_v2
    if image.format != "PNG" or image.info.keys() & EXIF_KEYS:
        return False
    position = image.fp.tell()
    size = image.fp.seek(0, os.SEEK_END)
    image.fp.seek(max(position, size - LATE_EXIF_BYTES))
    end = image.fp.read()
    image.fp.seek(position)
    return any(name in end for name in (b"eXIf", *map(str.encode, EXIF_KEYS)))


def _is_gray_of_16_bits(image: Image.Image) -> bool:
    # Pillow scales the values of PGMs to 16 bits, in a 32-bit mode.
    return image.mode.startswith("I;16") or (image.mode, image.format) == ("I", "PPM")


def _to_eight_bits(image: Image.Image) -> Image.Image:
    if _is_gray_of_16_bits(image):
        eight = Image.fromarray(_rounded(_gray_values(image)))
    elif image.mode in ("I", "F"):
        raise InvalidImage(f"has 32 bits per pixel (mode {image.mode}); use 8 or 16")
    else:
        alpha = image.mode in _ALPHA_MODES or "transparency" in image.info
        if image.mode in _GRAY_MODES:
            eight = image.convert("LA" if alpha else "L")
        else:
            eight = image.convert("RGBA" if alpha else "RGB")
    eight.info = {}
    return eight


def _gray_values(image: Image.Image) -> np.ndarray:
    """Return the values of an image of 12 or 16 bits, scaled to uint16 [H, W]."""
    values = np.asarray(image).astype(np.uint16)
    tags = image.tag_v2 if image.format == "TIFF" else {}
    if tags.get(BITS_PER_SAMPLE) == (12,):  # Pillow leaves the upper 4 bits zero
        values = values << 4 | values >> 8
    inverted = tags.get(PHOTOMETRIC_INTERPRETATION) == WHITE_IS_ZERO
    return ~values if inverted else values  # Pillow inverts only up to 8 bits


def _rounded(values: np.ndarray) -> np.ndarray:
    """Round uint16 to 8 bits."""
    return np.rint(values / 257).astype(np.uint8)


def _keyed_png(image: Image.Image, content: bytes) -> Image.Image | None:
    """Decode a PNG that has a transparent color and a depth other than 8 bits.

    Pillow compares this color with 8-bit values, whatever the depth of the file.

    Returns:
      Image of mode LA or RGBA; None for any other image.
    """
    if image.format != "PNG" or "transparency" not in image.info:
        return None
    depth, color_type = content[24], content[25]
    key = image.info["transparency"]
    if (depth, color_type) == (16, 2):
        tf = tensorflow()
        pixels = tf.io.decode_png(content, channels=4, dtype=tf.uint16).numpy() >> 8
        return Image.fromarray(pixels.astype(np.uint8))
    if color_type != 0 or depth not in (2, 4, 16):
        return None
    if depth == 16:
        values = _gray_values(image)
        gray = _rounded(values)
    else:
        values = gray = np.asarray(image)
        most = 2**depth - 1
        key = (key & most) * (255 // most)
    alpha = np.where(values == key, 0, 255).astype(np.uint8)
    return Image.fromarray(np.stack([gray, alpha], -1))
