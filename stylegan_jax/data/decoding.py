"""Decoding of image files: by TensorFlow in training, by Pillow in `prepare`.

TensorFlow decodes inside the input pipeline. Pillow knows more formats, applies the
EXIF orientation, and explains what is wrong with a file that TensorFlow rejects.
"""

import dataclasses
import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from stylegan_jax.data import images
from stylegan_jax.data.images import ImageSpec, Size, Tensor
from stylegan_jax.data.interface import InvalidImage
from stylegan_jax.runtime.tensorflow import tensorflow

# The first 21 bytes of any extended WebP, and of one that is not animated: bit 1 of the
# flags in the last byte marks animations.
EXTENDED_WEBP = r"\C{8}WEBPVP8X\C*"
_STILL = "".join(rf"\x{flags:02x}" for flags in range(128) if not flags & 2)
STILL_WEBP = r"\C{8}WEBPVP8X\C{4}" + f"[{_STILL}]"

# Pillow opens only these for `prepare`: some of its other formats run programs.
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

ORIENTATION = 0x0112  # EXIF tag; values from 5 on swap height and width
EXIF_KEYS = {
    "exif",
    "Raw profile type exif",
    "xmp",
    "XML:com.adobe.xmp",
}  # in `Image.info`
TRANSPOSE_OF_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


# In training: TensorFlow


def decode(encoded: Tensor) -> Tensor:
    """Decode PNG, JPEG, BMP, WebP or the first frame of a GIF to uint8 [H, W, 1..4].

    Raises:
      tf.errors.InvalidArgumentError: at run time, for damaged files and animated WebPs.
    """
    tf = tensorflow()
    # TensorFlow 2.21 writes all frames of a WebP into a buffer for one.
    head = tf.strings.substr(encoded, 0, 21)
    still = tf.strings.regex_full_match(head, STILL_WEBP)
    safe = still | ~tf.strings.regex_full_match(head, EXTENDED_WEBP)
    with tf.control_dependencies([tf.debugging.Assert(safe, ["an animated WebP"])]):
        encoded = tf.identity(encoded)
    image = tf.io.decode_image(encoded, expand_animations=False)
    return tf.ensure_shape(image, [None, None, None])


def load_encoded(encoded: Tensor, spec: ImageSpec) -> Tensor:
    """Decode a file's content to the image that training needs, uint8 [H, W, C]."""
    image = images.to_channels(decode(encoded), spec.channels)
    return images.fit(image, spec.size, spec.fit)


def encoded_problem(encoded: bytes, spec: ImageSpec) -> str | None:
    """Return a readable reason why `load_encoded` fails; None if it succeeds."""
    tf = tensorflow()
    try:
        load_encoded(encoded, spec)
        return None
    except tf.errors.OpError as error:
        problem = re.sub(r"\{\{.*?\}\} ?| ?\[Op:.*", "", str(error.message))
    size = size_or_problem(encoded)
    if isinstance(size, str):
        return size
    try:
        with Image.open(io.BytesIO(encoded)) as picture:
            picture.load()
    except PIL_ERRORS as error:
        return f"is damaged: {error}"
    special = size_or_problem(encoded, as_stored=True)
    if isinstance(special, str):
        return special
    return images.size_problem(*size, spec.size, spec.fit) or (
        f"cannot be decoded: {problem}"
    )


def size_or_problem(file: str | Path | bytes, as_stored: bool = False) -> Size | str:
    """Read (height, width) from an image's header, or return why that is impossible.

    Args:
      file: path or content.
      as_stored: True to reject images that are not displayed as they are stored, which
        `decode` would get wrong: animated WebPs and images with an EXIF orientation.
    """
    try:
        with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as image:
            if as_stored and image.format == "WEBP" and image.is_animated:
                return "is an animated WebP, which cannot be read as a single image"
            turned = orientation(image) if as_stored else 1
            if turned != 1:
                return f"must be rotated or flipped (EXIF orientation {turned})"
            return image.height, image.width
    except UnidentifiedImageError:
        return "is not an image, or its header is damaged"
    except PIL_ERRORS as error:
        return f"cannot be opened: {error}"


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, from 1 (upright) to 8; 1 if the EXIF is damaged.

    It is 1 for TIFFs, too, since Pillow applies their orientation itself.
    """
    # Without this check, a whole PNG would be decoded in search of EXIF at its end.
    if image.format == "TIFF" or not image.info.keys() & EXIF_KEYS:
        return 1
    try:
        found = image.getexif().get(ORIENTATION)
    except PIL_ERRORS:
        return 1
    return found if found in range(2, 9) else 1


# In `prepare`: Pillow


@dataclasses.dataclass(frozen=True)
class Header:
    """Properties of an image that are known before it is decoded.

    Attributes:
      height: in pixels, after the EXIF orientation is applied.
      width: likewise.
      gray: True for grayscale images.
      animated: True for images with several frames.
    """

    height: int
    width: int
    gray: bool
    animated: bool


def read_header(content: bytes | np.ndarray) -> Header:
    """Return the properties of an image without decoding it.

    Raises:
      InvalidImage: the content is not an image, or the image is too large.
    """
    try:
        with _open(content) as image:
            sides = image.size
            if orientation(image) >= 5:
                sides = sides[::-1]
            gray = image.mode in _GRAY_MODES
            animated = getattr(image, "is_animated", False) and image.format != "MPO"
            return Header(sides[1], sides[0], gray, animated)
    except PIL_ERRORS as error:
        raise InvalidImage(f"cannot be opened: {error}") from error


def decode_pil(content: bytes | np.ndarray) -> Image.Image:
    """Decode an image, or the first frame of an animation, and apply its EXIF rotation.

    Args:
      content: content of a file, or uint8 [H, W] or [H, W, 1..4].

    Returns:
      Image of mode L, LA, RGB or RGBA. 16-bit channels become 8-bit: gray values are
      rounded; of colors, Pillow keeps the upper 8 bits.

    Raises:
      InvalidImage: the image is damaged, too large or of an unknown kind.
    """
    try:
        with _open(content) as image:
            image.load()
            turned = orientation(image)
            eight = _to_eight_bits(image)
            if turned == 1:
                return eight
            return eight.transpose(TRANSPOSE_OF_ORIENTATION[turned])
    except PIL_ERRORS as error:
        raise InvalidImage(f"is damaged: {error}") from error


def is_plain_jpeg(content: bytes | np.ndarray, channels: int) -> bool:
    """Return True for a JPEG file that decodes to exactly what `decode_pil` returns."""
    if not isinstance(content, bytes):
        return False
    with _open(content) as image:
        upright = orientation(image) == 1
        mode = {1: "L", 3: "RGB"}.get(channels)
        return image.format == "JPEG" and image.mode == mode and upright


def _open(content: bytes | np.ndarray) -> Image.Image:
    if isinstance(content, np.ndarray):
        return Image.fromarray(
            content[..., 0] if content.shape[2:] == (1,) else content
        )
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise InvalidImage("is not an image, or its header is damaged") from error
    except Image.DecompressionBombError as error:
        raise InvalidImage(f"is too large: {error}") from error
    if image.width * image.height > MAX_PIXELS:
        raise InvalidImage(
            f"is {image.width}x{image.height} (width x height); at most "
            f"{MAX_PIXELS:,} pixels are allowed"
        )
    return image


def _to_eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        pixels = np.rint(np.asarray(image) / 257).astype(np.uint8)
        eight = Image.fromarray(pixels)
    elif image.mode in ("I", "F"):
        raise InvalidImage(f"has 32 bits per pixel (mode {image.mode}); use 8 or 16")
    else:
        alpha = image.mode in _ALPHA_MODES or "transparency" in image.info
        if image.mode in _GRAY_MODES:
            eight = image.convert("LA" if alpha and image.mode != "1" else "L")
        else:
            eight = image.convert("RGBA" if alpha else "RGB")
    eight.info = {}
    return eight
