"""Images as files: conversion to bytes, grids, and PNG."""

import io
import os

import numpy as np

from stylegan_jax.runtime.storage import write_atomically

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
# The text chunk that marks a PNG as a grid of images; data sets leave it out.
_GRID_KEY, _GRID_TEXT = "stylegan_jax", "grid of images"
_GRID_CHUNK = f"tEXt{_GRID_KEY}\0{_GRID_TEXT}".encode()


def image_grid(images_uint8: np.ndarray, columns: int) -> np.ndarray:
    """Arrange images in rows; the last row is padded with white.

    Args:
      images_uint8: [N,H,W,C] uint8, N at least 1.
      columns: images per row, at least 1.

    Returns:
      [rows * H, columns * W, C] uint8.
    """
    images = np.asarray(images_uint8)
    if images.ndim != 4 or images.dtype != np.uint8 or not len(images):
        raise ValueError(
            f"images must be [N,H,W,C] uint8 with at least one image, got "
            f"{list(images.shape)} {images.dtype}; see `to_uint8`"
        )
    if columns < 1:
        raise ValueError(f"`columns` (={columns}) must be at least 1")
    n, h, w, c = images.shape
    rows = -(-n // columns)
    cells = np.full((rows * columns, h, w, c), 255, np.uint8)
    cells[:n] = images
    cells = cells.reshape(rows, columns, h, w, c).transpose(0, 2, 1, 3, 4)
    return cells.reshape(rows * h, columns * w, c)


def enlarge(images_uint8: np.ndarray, scale_to: int | None) -> np.ndarray:
    """Repeat the pixels of [N,H,W,C] images until both sides reach `scale_to`."""
    images = np.asarray(images_uint8)
    if scale_to is None:
        return images
    factor = max(1, -(-scale_to // min(images.shape[1:3])))
    return images.repeat(factor, axis=1).repeat(factor, axis=2)


def shrink(image_uint8: np.ndarray, longest_side: int) -> np.ndarray:
    """Average the pixels of an image [H,W,3] in squares until no side is longer."""
    factor = -(-max(image_uint8.shape[:2]) // longest_side)
    if factor == 1:
        return image_uint8
    from PIL import Image  # only needed to write images

    return np.asarray(Image.fromarray(image_uint8).reduce(factor))


def save_png(
    path: str | os.PathLike,
    image_uint8: np.ndarray,
    compress_level: int = 6,
    *,
    grid: bool = False,
) -> None:
    """Write a [H,W,C] uint8 image with C of 1, 3 or 4 atomically.

    Args:
      path: the file.
      image_uint8: the image.
      compress_level: zlib's, from 1 (fast) to 9 (small).
      grid: True to mark the file as a grid of images; see `is_grid`.
    """
    write_atomically(path, encode_png(image_uint8, compress_level, grid=grid))


def encode_png(
    image_uint8: np.ndarray, compress_level: int = 6, *, grid: bool = False
) -> bytes:
    """Return an image as the content of a PNG; see `save_png`."""
    pixels = _pixels(image_uint8)
    from PIL import Image, PngImagePlugin  # only needed to write images

    text = PngImagePlugin.PngInfo()
    if grid:
        text.add_text(_GRID_KEY, _GRID_TEXT)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(
        buffer, format="PNG", compress_level=compress_level, pnginfo=text
    )
    return buffer.getvalue()


def save_webp(path: str | os.PathLike, image_uint8: np.ndarray) -> None:
    """Write a [H,W,C] uint8 image with C of 1, 3 or 4 atomically, without loss."""
    from PIL import Image  # only needed to write images

    buffer = io.BytesIO()
    Image.fromarray(_pixels(image_uint8)).save(buffer, format="WEBP", lossless=True)
    write_atomically(path, buffer.getvalue())


def _pixels(image_uint8: np.ndarray) -> np.ndarray:
    """Return an image as Pillow takes it, or raise ValueError."""
    image = np.asarray(image_uint8)
    if image.ndim != 3 or image.dtype != np.uint8 or image.shape[2] not in _MODES:
        raise ValueError(
            f"an image must be [H,W,C] uint8 with C of {list(_MODES)}, got "
            f"{list(image.shape)} {image.dtype}"
        )
    return image[:, :, 0] if image.shape[2] == 1 else image


def is_grid(head: bytes) -> bool:
    """Return True for the first 512 bytes of a PNG that `save_png` marked as a grid."""
    return head.startswith(b"\x89PNG") and _GRID_CHUNK in head[:512]


def as_floats(images_uint8: np.ndarray) -> np.ndarray:
    """Return images in [-1,1] float32."""
    return images_uint8.astype(np.float32) / np.float32(127.5) - 1


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Map floats in [-1,1] to uint8: trunc(127.5 x + 128), clamped; NaN is black.

    Reference: Karras et al. 2019, official code, convert_images_to_uint8.
    """
    images = np.clip(np.asarray(images, np.float32), -2, 2)
    scaled = np.nan_to_num(images, nan=-1.0) * np.float32(127.5) + np.float32(128)
    return np.clip(scaled, 0, 255).astype(np.uint8)


def composite_on_white(images_uint8: np.ndarray) -> np.ndarray:
    """Blend images with an alpha channel over white, and drop that channel.

    Args:
      images_uint8: [..., C] uint8; the last of 2 or 4 channels is alpha. Images of 1 or
        3 channels are returned as they are.

    Returns:
      [..., 1 or 3] uint8, rounded half to even.
    """
    if images_uint8.shape[-1] % 2:
        return images_uint8
    alpha = images_uint8[..., -1:].astype(np.float32) / 255
    blended = images_uint8[..., :-1] * alpha + 255 * (1 - alpha)
    return np.rint(blended).astype(np.uint8)


def rgb_on_white(images_uint8: np.ndarray) -> np.ndarray:
    """Convert [..., C] uint8 images to RGB; transparency shows white."""
    images = composite_on_white(images_uint8)
    return np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images
