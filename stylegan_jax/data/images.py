"""Image geometry: channels, crops and sizes; the only place that computes them.

`prepare` works on Pillow images and NumPy arrays. Training does, too, for files that
Pillow decodes, and it resizes all images with Pillow. What TensorFlow decodes remains
a uint8 tensor inside its graph. The functions for tensors give the same bits as their
counterparts, whose names end in `_pil`, or which take arrays.
"""

import dataclasses
import math
from typing import Any

import numpy as np
from PIL import Image

from stylegan_jax import config
from stylegan_jax.runtime.image_io import composite_on_white
from stylegan_jax.runtime.messages import sides
from stylegan_jax.runtime.tensorflow import tensorflow

Tensor = Any  # tf.Tensor; TensorFlow is imported on first use
Size = tuple[int, int]  # height and width in pixels
CROPS = ("none", "center", "center-wide")  # `--crop` of `prepare`
FILTERS = ("lanczos", "box", "area")  # `--filter` of `prepare`
LUMA = (0.299, 0.587, 0.114)  # weights of R, G and B in ITU-R BT.601
_LUMA = np.float32(LUMA)


@dataclasses.dataclass(frozen=True)
class ImageSpec:
    """The image that training needs.

    Attributes:
      size: height and width in pixels.
      channels: 1 grayscale, 3 RGB, 4 RGBA.
      fit: "exact" or "crop"; see `fit`.
    """

    size: Size
    channels: int
    fit: str

    @classmethod
    def from_config(cls, data: config.Data) -> "ImageSpec":
        """Return the image at the full resolution of the config."""
        size = config.image_size(data.base_size, data.resolution)
        return cls(size, data.channels, data.fit)


# Channels


def to_channels(image: Tensor, channels: int) -> Tensor:
    """Convert between grayscale, RGB and their variants with alpha.

    Transparent pixels are composited on white where alpha is dropped; grayscale is the
    luma of ITU-R BT.601, as in Pillow and TensorFlow.

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


def _on_white(color: Tensor, alpha: Tensor) -> Tensor:
    """Graph form of `runtime.image_io.composite_on_white`."""
    tf = tensorflow()
    opacity = tf.cast(alpha, tf.float32) / 255.0
    mixed = tf.cast(color, tf.float32) * opacity + 255.0 * (1.0 - opacity)
    return tf.cast(tf.round(mixed), tf.uint8)


def _luma(color: Tensor) -> Tensor:
    """Graph form of `luma`."""
    tf = tensorflow()
    red, green, blue = tf.unstack(tf.cast(color, tf.float32), 3, -1)
    gray = (red * LUMA[0] + green * LUMA[1]) + blue * LUMA[2]
    return tf.cast(tf.round(gray), tf.uint8)[..., None]


def luma(color: np.ndarray) -> np.ndarray:
    """Convert RGB [..., 3] to gray [...], both uint8.

    The order of the sums is fixed, because it decides ties in float32.
    """
    red, green, blue = np.moveaxis(color.astype(np.float32), -1, 0)
    gray = (red * _LUMA[0] + green * _LUMA[1]) + blue * _LUMA[2]
    return np.rint(gray).astype(np.uint8)


def to_channels_pil(image: Image.Image, channels: int) -> Image.Image:
    """Convert a Pillow image as `to_channels` converts tensors.

    Args:
      image: mode L, LA, RGB or RGBA.
      channels: 1, 3 or 4.

    Returns:
      Image of mode L, RGB or RGBA.
    """
    if channels == 4:
        return image.convert("RGBA")
    if image.mode in ("LA", "RGBA"):
        color = composite_on_white(np.asarray(image))
        image = Image.fromarray(color[..., 0] if image.mode == "LA" else color)
    if channels == 3:
        return image.convert("RGB")
    if image.mode == "L":
        return image
    return Image.fromarray(luma(np.asarray(image)))


# Means over square boxes: the levels of detail of an image


def box_average(image: Tensor, size: Size) -> Tensor:
    """Average equal square boxes of pixels; round the exact mean half to even.

    Args:
      image: uint8 [F * H, F * W, C], F a power of two.
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


def pyramid(pixels: np.ndarray, halvings: int) -> list[np.ndarray]:
    """Return an image and its `box_average` over 2x2, 4x4, ... pixels.

    Args:
      pixels: uint8 [H, W, C], H and W multiples of 2^halvings.
      halvings: number of smaller levels.

    Returns:
      halvings + 1 uint8 arrays, from [H, W, C] to [H / 2^halvings, W / 2^halvings, C].
    """
    levels, total = [pixels], pixels.astype(np.int64)
    for level in range(1, halvings + 1):
        total = total[0::2] + total[1::2]
        total = total[:, 0::2] + total[:, 1::2]
        levels.append(np.rint(total / 4**level).astype(np.uint8))
    return levels


# Crop and resize


def _center_window(height: int, width: int, size: Size) -> tuple[int, int, int, int]:
    """Return top, left, height and width of the largest center crop shaped as `size`.

    Args:
      height: height of the image.
      width: width of the image.
      size: height and width whose ratio the crop has, rounded half up.
    """
    common = math.gcd(*size)
    h, w = size[0] // common, size[1] // common
    rows = min(height, (2 * width * h + w) // (2 * w))
    columns = min(width, (2 * height * w + h) // (2 * h))
    return (height - rows) // 2, (width - columns) // 2, rows, columns


def fit(image: Tensor, size: Size, how: str) -> Tensor:
    """Fit an image to the size that training needs.

    Args:
      image: uint8 [h, w, C] of a static shape that `size_problem` accepts.
      size: (H, W) of the result.
      how: "exact" averages power-of-two multiples of the size; "crop" is the crop
        "center" with the filter "lanczos" of `fit_pil`.

    Returns:
      uint8 [H, W, C].
    """
    if tuple(image.shape[:2]) == size:
        return image
    if how == "exact":
        return box_average(image, size)
    tf = tensorflow()
    channels = image.shape[-1]

    def crop(pixels: np.ndarray) -> np.ndarray:
        picture = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
        fitted = fit_pil(picture, size, "center", "lanczos")
        return np.asarray(fitted).reshape(*size, channels)

    return tf.ensure_shape(
        tf.numpy_function(crop, [image], tf.uint8), [*size, channels]
    )


def fit_pil(image: Image.Image, size: Size, crop: str, filter_: str) -> Image.Image:
    """Fit a Pillow image to a size.

    Args:
      image: mode L, RGB or RGBA.
      size: height and width.
      crop: "none" resizes the whole image; "center" first crops to the largest center
        of the aspect ratio of `size`; "center-wide" is NVIDIA's crop, which pads its
        result with black to a square as wide as `size`.
      filter_: "lanczos" or "box", Pillow's filters; or "area", the exact mean.

    Returns:
      Image of the same mode.
    """
    height, width = size
    rows, columns = image.height, image.width
    top = left = 0
    if crop == "center":
        top, left, rows, columns = _center_window(rows, columns, size)
    elif crop == "center-wide":
        rows = min(rows, _wide_rows((rows, columns), size))
        top = (image.height - rows) // 2
    image = image.crop((left, top, left + columns, top + rows))
    image = _resize(image, size, filter_)
    if crop == "center-wide":
        canvas = Image.new(image.mode, (width, width))
        canvas.paste(image, (0, (width - height) // 2))
        return canvas
    return image


def _wide_rows(size: Size, target: Size) -> int:
    """Return the number of rows that center-wide keeps, by NVIDIA's rule."""
    return round(target[1] * size[0] / size[1])


def _resize(image: Image.Image, size: Size, filter_: str) -> Image.Image:
    if (image.height, image.width) == size:
        return image
    if filter_ != "area":
        resample = {"lanczos": Image.Resampling.LANCZOS, "box": Image.Resampling.BOX}
        return image.resize(size[::-1], resample[filter_])
    pixels = np.asarray(image).reshape(image.height, image.width, -1) / 1.0
    if image.mode == "RGBA":
        pixels[..., :3] *= pixels[..., 3:]  # weight colors by opacity
    pixels = _overlaps(image.height, size[0]) @ pixels.reshape(image.height, -1)
    pixels = pixels.reshape(size[0], image.width, -1).swapaxes(0, 1)
    pixels = _overlaps(image.width, size[1]) @ pixels.reshape(image.width, -1)
    pixels = pixels.reshape(size[1], size[0], -1).swapaxes(0, 1)
    if image.mode == "RGBA":
        pixels[..., :3] /= np.maximum(pixels[..., 3:], 1e-9)
    pixels = np.rint(pixels.clip(0, 255)).astype(np.uint8)
    return Image.fromarray(pixels[..., 0] if image.mode == "L" else pixels)


def _overlaps(old: int, new: int) -> np.ndarray:
    """Return [new, old]: the share of each new pixel that each old pixel covers."""
    edges = np.arange(new + 1) * (old / new)
    begin, end = edges[:-1, None], edges[1:, None]
    pixel = np.arange(old)
    covered = np.minimum(end, pixel + 1) - np.maximum(begin, pixel)
    return np.maximum(covered, 0) * (new / old)


# Messages about sizes that do not fit


def size_problem(height: int, width: int, size: Size, how: str) -> str | None:
    """Return the reason why training cannot fit an image to `size`; None if it can."""
    needed = sides(size)
    got = f"is {width}x{height} (width x height); `data.fit`={how!r}"
    if how == "crop":
        if height >= size[0] and width >= size[1]:
            return None
        return f"{got} takes images of at least {needed}"
    factor = height // size[0]
    is_multiple = (height, width) == (factor * size[0], factor * size[1])
    if is_multiple and factor and factor & (factor - 1) == 0:
        return None
    return f"{got} takes {needed}, or 2, 4, 8... times that"


def size_problem_pil(size: Size, target: Size, crop: str) -> str | None:
    """Return the reason why `fit_pil` should not fit `size` to `target`, if any."""
    (height, width), (target_height, target_width) = size, target
    got = f"is {width}x{height} (width x height)"
    if crop == "center-wide":
        if width < target_width or _wide_rows(size, target) < target_height:
            return f"{got}, too small or narrow for {target_width}x{target_height}"
    elif height < target_height or width < target_width:
        return f"{got}, smaller than {target_width}x{target_height}"
    elif crop == "none" and height * target_width != width * target_height:
        return (
            f"{got} and would be distorted to {target_width}x{target_height}; "
            "--crop=center crops instead"
        )
    return None


def size_remedy(sizes: list[Size], data: config.Data) -> str:
    """Return advice about images whose sizes do not fit `data`."""
    base_height, base_width = data.base_size
    smallest = min(min(4 * h // base_height, 4 * w // base_width) for h, w in sizes)
    if smallest >= data.resolution:
        remedy = "use `--config.data.fit=crop`, or another `--config.data.resolution`"
        other_shape = any(h * base_width != w * base_height for h, w in sizes)
        return remedy + " or `--config.data.base_size`" * other_shape
    fitting = 2 ** (smallest.bit_length() - 1)
    if fitting < 4:
        return f"remove these images; the networks start at {sides(data.base_size)}"
    crop = "" if data.fit == "crop" else " with `--config.data.fit=crop`"
    return f"use `--config.data.resolution={fitting}`{crop}, or remove these images"
