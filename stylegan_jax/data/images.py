"""Image arithmetic of the input pipeline, as TensorFlow graphs on uint8 tensors."""

import io
import math
import re
import struct
import zlib
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from stylegan_jax import config
from stylegan_jax.runtime.tensorflow import tensorflow

Tensor = Any  # tf.Tensor, which is not imported until it is needed
Size = tuple[int, int]  # height and width in pixels
ORIENTATION = 0x0112  # EXIF tag; from 5 on height and width are exchanged
# The first 21 bytes of a WebP that may be animated, and of one that isn't: the last has
# flags, of which 2 is that of animations.
EXTENDED_WEBP = r"\C{8}WEBPVP8X\C*"
_STILL = "".join(rf"\x{flags:02x}" for flags in range(128) if not flags & 2)
STILL_WEBP = r"\C{8}WEBPVP8X\C{4}" + f"[{_STILL}]"
# Where it is in PIL's `info`.
EXIF_KEYS = {"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"}
# What PIL raises on damaged files.
PIL_ERRORS = (
    *(OSError, EOFError, SyntaxError, ValueError, LookupError, struct.error),
    *(zlib.error, AttributeError, ArithmeticError, RuntimeError, TypeError),
    Image.DecompressionBombError,
)


def decode(encoded: Tensor) -> Tensor:
    """PNG, JPEG, BMP, WebP or GIF (its first frame) to uint8 [H, W, 1..4].

    Raises:
      tf.errors.InvalidArgumentError: when run on damaged files, or animated WebPs.
    """
    tf = tensorflow()
    # TensorFlow (2.21) writes all frames of a WebP into the memory of one.
    head = tf.strings.substr(encoded, 0, 21)
    still = tf.strings.regex_full_match(head, STILL_WEBP)
    safe = still | ~tf.strings.regex_full_match(head, EXTENDED_WEBP)
    with tf.control_dependencies([tf.debugging.Assert(safe, ["an animated WebP"])]):
        encoded = tf.identity(encoded)
    image = tf.io.decode_image(encoded, expand_animations=False)
    return tf.ensure_shape(image, [None, None, None])


def to_channels(image: Tensor, channels: int) -> Tensor:
    """Converts between grayscale, RGB and their variants with alpha.

    Transparent pixels are laid on white when alpha is dropped; grayscale is the luma
    of ITU-R 601, as in PIL and TensorFlow.

    Args:
      image: uint8 [H, W, 1..4]; 2 is grayscale with alpha.
      channels: 1, 3 or 4.

    Returns:
      uint8 [H, W, channels].
    """
    if image.shape[-1] == channels:
        return image
    tf = tensorflow()
    image = tf.cond(
        tf.equal(tf.shape(image)[-1], channels),
        lambda: image,
        lambda: _converted(image, channels),
    )
    return tf.ensure_shape(image, [None, None, channels])


def _converted(image: Tensor, channels: int) -> Tensor:
    tf = tensorflow()
    height, width, given = tf.unstack(tf.shape(image))
    has_alpha = tf.equal(given % 2, 0)
    color = image[..., : given - tf.cast(has_alpha, tf.int32)]
    if channels == 4:
        alpha = tf.cond(
            has_alpha,
            lambda: image[..., -1:],
            lambda: tf.fill([height, width, 1], tf.constant(255, tf.uint8)),
        )
        color = tf.broadcast_to(color, [height, width, 3])
        return tf.concat([color, alpha], -1)
    color = tf.cond(has_alpha, lambda: _on_white(color, image[..., -1:]), lambda: color)
    if channels == 3:
        return tf.broadcast_to(color, [height, width, 3])
    return tf.cond(tf.shape(color)[-1] > 1, lambda: _luma(color), lambda: color)


def box_average(image: Tensor, size: Size) -> Tensor:
    """Averages equal square boxes of pixels, rounding the exact mean half to even.

    Args:
      image: uint8 [F * H, F * W, C] with F a power of two.
      size: (H, W) of the result.

    Returns:
      uint8 [H, W, C].
    """
    tf = tensorflow()
    if tuple(image.shape[:2]) == size:
        return image
    height, width = size
    channels = image.shape[-1]
    factor = tf.shape(image)[0] // height

    def average() -> Tensor:
        boxes = tf.reshape(image, [height, factor, width, factor, channels])
        # Integer sums are exact, and so is the mean: the count is a power of two.
        total = tf.reduce_sum(tf.cast(boxes, tf.int32), [1, 3])
        mean = tf.cast(total, tf.float64) / tf.cast(factor * factor, tf.float64)
        return tf.cast(tf.round(mean), tf.uint8)

    out = tf.cond(tf.equal(factor, 1), lambda: image, average)
    return tf.ensure_shape(out, [height, width, channels])


def fit(image: Tensor, size: Size, how: str) -> Tensor:
    """Brings an image to the size of its source.

    Args:
      image: uint8 [any, any, C] with a static C.
      size: (H, W) that is wanted.
      how: "exact" averages power-of-two multiples of the size and fails on any other;
        "crop" cuts the center out, as large as the ratio of H to W allows, and resizes
        it, antialiased.

    Returns:
      uint8 [H, W, C].

    Raises:
      tf.errors.InvalidArgumentError: when run on a size that `size_problem` rejects.
    """
    if tuple(image.shape[:2]) == size:
        return image
    tf = tensorflow()
    image = tf.cond(
        tf.reduce_all(tf.equal(tf.shape(image)[:2], size)),
        lambda: image,
        lambda: _fitted(image, size, how),
    )
    return tf.ensure_shape(image, [*size, image.shape[-1]])


def _fitted(image: Tensor, size: Size, how: str) -> Tensor:
    tf = tensorflow()
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    usable = (height >= size[0]) & (width >= size[1])
    if how == "exact":
        factor = height // size[0]
        usable &= tf.equal(factor * size[0], height) & tf.equal(factor * size[1], width)
        usable &= tf.equal(tf.bitwise.bitwise_and(factor, factor - 1), 0)
    with tf.control_dependencies([tf.debugging.Assert(usable, [height, width])]):
        image = tf.identity(image)
    if how == "exact":
        return box_average(image, size)
    common = math.gcd(*size)
    h, w = size[0] // common, size[1] // common
    crop_height = tf.minimum(height, _rounded_ratio(width * h, w))
    crop_width = tf.minimum(width, _rounded_ratio(height * w, h))
    top, left = (height - crop_height) // 2, (width - crop_width) // 2
    center = image[top : top + crop_height, left : left + crop_width]
    small = tf.image.resize(center, size, method="lanczos3", antialias=True)
    return tf.cast(tf.round(tf.clip_by_value(small, 0.0, 255.0)), tf.uint8)


def size_problem(height: int, width: int, size: Size, how: str) -> str | None:
    """Why an image can't be brought to `size`; None if it can."""
    wanted = f"{size[0]}x{size[1]}"
    got = f"is {height}x{width} (height x width); `data.fit`={how!r}"
    if how == "crop":
        if height >= size[0] and width >= size[1]:
            return None
        return f"{got} takes images of at least {wanted}"
    factor = height // size[0]
    whole = (height, width) == (factor * size[0], factor * size[1])
    if whole and factor and factor & (factor - 1) == 0:
        return None
    return f"{got} takes {wanted}, or 2, 4, 8... times that"


def size_remedy(sizes: list[Size], data: config.Data) -> str:
    """What to do about images whose sizes do not fit `data`."""
    base_height, base_width = data.base_size
    smallest = min(min(4 * h // base_height, 4 * w // base_width) for h, w in sizes)
    if smallest >= data.resolution:
        remedy = "use `--config.data.fit=crop`, or another `--config.data.resolution`"
        other_shape = any(h * base_width != w * base_height for h, w in sizes)
        return remedy + " or `--config.data.base_size`" * other_shape
    fitting = 2 ** (smallest.bit_length() - 1)
    if fitting < 4:
        return f"remove these images, the networks start at {base_height}x{base_width}"
    crop = "" if data.fit == "crop" else " with `--config.data.fit=crop`"
    return f"use `--config.data.resolution={fitting}`{crop}, or remove these images"


def load_encoded(encoded: Tensor, size: Size, channels: int, how: str) -> Tensor:
    """A file's content to the image that the source yields, uint8 [H, W, C]."""
    return fit(to_channels(decode(encoded), channels), size, how)


def encoded_problem(encoded: bytes, size: Size, channels: int, how: str) -> str | None:
    """Why `load_encoded` fails on a file's content, for a person; None if it works."""
    tf = tensorflow()
    try:
        load_encoded(encoded, size, channels, how)
        return None
    except tf.errors.OpError as error:
        problem = re.sub(r"\{\{.*?\}\} ?| ?\[Op:.*", "", str(error.message))
    found = header(encoded)
    if isinstance(found, str):
        return found
    try:
        with Image.open(io.BytesIO(encoded)) as picture:
            picture.load()
    except PIL_ERRORS as error:
        return f"is damaged: {error}"
    special = header(encoded, plain=True)
    if isinstance(special, str):
        return special
    return size_problem(*found, size, how) or f"can't be decoded: {problem}"


def header(file: str | Path | bytes, plain: bool = False) -> Size | str:
    """(height, width) from an image's header, or a text: why it can't be used.

    Args:
      file: path or content.
      plain: whether to refuse what `decode` doesn't read as it is to be shown.
    """
    try:
        with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as image:
            if plain and image.format == "WEBP" and image.is_animated:
                return "is an animated WebP, of which no single image can be read"
            if plain and orientation(image) != 1:
                return f"is to be turned (EXIF orientation {orientation(image)})"
            return image.height, image.width
    except UnidentifiedImageError:
        return "is not an image, or its header is damaged"
    except PIL_ERRORS as error:
        return f"can't be opened: {error}"


def orientation(image: Image.Image) -> int:
    """How a camera says that an image is to be turned, from 1 (it isn't) to 8.

    Damaged EXIF says nothing. TIFFs are turned by Pillow itself.
    """
    # Asked for what it doesn't have at its beginning, a PNG is decoded whole.
    if image.format == "TIFF" or not image.info.keys() & EXIF_KEYS:
        return 1
    try:
        found = image.getexif().get(ORIENTATION)
    except PIL_ERRORS:
        return 1
    return found if found in range(2, 9) else 1


def _rounded_ratio(numerator: Tensor, denominator: int) -> Tensor:
    """The quotient of whole numbers, rounded half up."""
    return (2 * numerator + denominator) // (2 * denominator)


def _on_white(color: Tensor, alpha: Tensor) -> Tensor:
    tf = tensorflow()
    opacity = tf.cast(alpha, tf.float32) / 255.0
    mixed = tf.cast(color, tf.float32) * opacity + 255.0 * (1.0 - opacity)
    return tf.cast(tf.round(mixed), tf.uint8)


def _luma(color: Tensor) -> Tensor:
    tf = tensorflow()
    weights = tf.constant([0.299, 0.587, 0.114])
    gray = tf.reduce_sum(tf.cast(color, tf.float32) * weights, -1, keepdims=True)
    return tf.cast(tf.round(gray), tf.uint8)
