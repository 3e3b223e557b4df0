"""Image arithmetic of the input pipeline, as TensorFlow graphs on uint8 tensors."""

import functools
import io
import os
import re
import struct
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

Tensor = Any  # tf.Tensor, which is not imported until it is needed
# What PIL raises on damaged files.
PIL_ERRORS = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    IndexError,
    struct.error,
    Image.DecompressionBombError,
)


@functools.cache
def tensorflow() -> Any:
    """Imports TensorFlow on first use: quietly, and away from JAX's accelerators."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    import tensorflow as tf

    if tf.config.get_visible_devices("GPU"):
        tf.config.set_visible_devices([], "GPU")
    return tf


def decode(encoded: Tensor) -> Tensor:
    """PNG, JPEG, BMP, WebP or GIF (its first frame) to uint8 [H, W, 1..4]."""
    tf = tensorflow()
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
        return tf.ensure_shape(tf.concat([color, alpha], -1), [None, None, 4])
    color = tf.cond(has_alpha, lambda: _on_white(color, image[..., -1:]), lambda: color)
    if channels == 3:
        return tf.ensure_shape(
            tf.broadcast_to(color, [height, width, 3]), [None, None, 3]
        )
    gray = tf.cond(tf.shape(color)[-1] > 1, lambda: _luma(color), lambda: color)
    return tf.ensure_shape(gray, [None, None, 1])


def box_average(image: Tensor, resolution: int) -> Tensor:
    """Averages equal boxes of pixels, rounding the exact mean half to even.

    Args:
      image: uint8 [H, W, C]; H = W, a multiple of `resolution`.
      resolution: R, the side of the result in pixels.

    Returns:
      uint8 [R, R, C].
    """
    tf = tensorflow()
    if image.shape[0] == image.shape[1] == resolution:
        return image
    channels = image.shape[-1]
    side = tf.shape(image)[0]
    factor = side // resolution

    def average() -> Tensor:
        boxes = tf.reshape(image, [resolution, factor, resolution, factor, channels])
        # Integer sums are exact, and so is the mean: the count is a power of two.
        total = tf.reduce_sum(tf.cast(boxes, tf.int32), [1, 3])
        mean = tf.cast(total, tf.float64) / tf.cast(factor * factor, tf.float64)
        return tf.cast(tf.round(mean), tf.uint8)

    out = tf.cond(tf.equal(factor, 1), lambda: image, average)
    return tf.ensure_shape(out, [resolution, resolution, channels])


def fit(image: Tensor, resolution: int, how: str) -> Tensor:
    """Brings an image to the resolution of its source.

    Args:
      image: uint8 [H, W, C] with a static C.
      resolution: R, in pixels.
      how: "exact" averages square power-of-two multiples of R and fails on any other
        size; "crop" cuts out the central square and resizes it, antialiased.

    Returns:
      uint8 [R, R, C].

    Raises:
      tf.errors.InvalidArgumentError: when run on a size that `size_problem` rejects.
    """
    tf = tensorflow()
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    short = tf.minimum(height, width)
    usable = short >= resolution
    if how == "exact":
        factor = height // resolution
        usable &= tf.equal(height, width) & tf.equal(factor * resolution, height)
        usable &= tf.equal(tf.bitwise.bitwise_and(factor, factor - 1), 0)
    with tf.control_dependencies([tf.debugging.Assert(usable, [height, width])]):
        image = tf.identity(image)
    if how == "exact":
        return box_average(image, resolution)
    top, left = (height - short) // 2, (width - short) // 2
    square = image[top : top + short, left : left + short]
    small = tf.image.resize(
        square, [resolution, resolution], method="lanczos3", antialias=True
    )
    return tf.cast(tf.round(tf.clip_by_value(small, 0.0, 255.0)), tf.uint8)


def size_problem(height: int, width: int, resolution: int, how: str) -> str | None:
    """Why an image of this size can't be brought to `resolution`; None if it can."""
    if how == "crop":
        if min(height, width) >= resolution:
            return None
        return (
            f"is {width}x{height}; `data.fit`='crop' takes images of at least "
            f"{resolution}x{resolution}"
        )
    factor, rest = divmod(height, resolution)
    if height == width and factor and not rest and factor & (factor - 1) == 0:
        return None
    return (
        f"is {width}x{height}; `data.fit`='exact' takes squares of "
        f"{resolution} x 1, 2, 4, 8... pixels"
    )


def size_remedy(smallest: int, resolution: int, how: str) -> str:
    """What to do about sizes that do not fit; `smallest` is the shortest side."""
    if smallest >= resolution:
        return "use `--config.data.fit=crop`, or another `--config.data.resolution`"
    fitting = 2 ** (smallest.bit_length() - 1)
    if fitting < 4:
        return "remove these images, the networks start at 4x4"
    crop = "" if how == "crop" else " with `--config.data.fit=crop`"
    return f"use `--config.data.resolution={fitting}`{crop}, or remove these images"


def load_encoded(encoded: Tensor, resolution: int, channels: int, how: str) -> Tensor:
    """A file's content to the image that the source yields, uint8 [R, R, C]."""
    return fit(to_channels(decode(encoded), channels), resolution, how)


def encoded_problem(
    encoded: bytes, resolution: int, channels: int, how: str
) -> str | None:
    """Why `load_encoded` fails on a file's content, for a person; None if it works."""
    tf = tensorflow()
    try:
        load_encoded(encoded, resolution, channels, how)
        return None
    except tf.errors.OpError as error:
        problem = re.sub(r"\{\{.*?\}\} ?| ?\[Op:.*", "", str(error.message))
    size = header(encoded)
    if isinstance(size, str):
        return size
    try:
        with Image.open(io.BytesIO(encoded)) as picture:
            picture.load()
    except PIL_ERRORS as error:
        return f"is damaged: {error}"
    return size_problem(*size, resolution, how) or f"can't be decoded: {problem}"


def header(file: str | Path | bytes) -> tuple[int, int] | str:
    """(height, width) from an image's header, or a text: why there is none."""
    try:
        with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as image:
            return image.height, image.width
    except UnidentifiedImageError:
        return "is not an image, or its header is damaged"
    except PIL_ERRORS as error:
        return f"can't be opened: {error}"


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
