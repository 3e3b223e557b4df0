"""Alignment of faces by their landmarks, as in FFHQ.

Reference: Karras et al. 2019, "A Style-Based Generator Architecture for GANs", appendix
A, and Karras et al. 2018, "Progressive Growing of GANs", appendix C.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from stylegan_jax.data.images import Size
from stylegan_jax.data.interface import InvalidImage
from stylegan_jax.runtime import json_files

COUNTS = (4, 5, 68)  # allowed numbers of landmarks
OVERSAMPLING = 4  # side of the rotated image, relative to the network's images
MAX_OUTSIDE = 4  # how far a square may reach beyond the image, in sides of the image

Points = Sequence[Sequence[float]]


def square(points: Points) -> np.ndarray:
    """Return the square around a face.

        x = eyes - rotated(mouth), scaled to length max(2 |eyes|, 1.8 |mouth|)
        corners = c -+ x -+ rotated(x), c a tenth of the way from the eyes to the mouth

    where `eyes` is the vector from the left eye to the right one, and `mouth` the
    vector from the midpoint of the eyes to the middle of the mouth.

    Args:
      points: (x, y) in pixels from the center of the top-left pixel. 4 points are the
        eyes and the corners of the mouth, each from left to right in the image; 5 have
        the nose in third place; 68 are in the order of iBUG.

    Returns:
      Corners [4,2]: top left, bottom left, bottom right, top right.
    """
    p = np.asarray(points, np.float64)
    if len(p) == 68:
        left, right = p[36:42].mean(0), p[42:48].mean(0)
        corners = p[[48, 54]]
    else:
        left, right, corners = p[0], p[1], p[-2:]
    middle = (left + right) / 2
    eyes, mouth = right - left, corners.mean(0) - middle
    x = eyes - _rotated(mouth)
    x *= max(2 * np.hypot(*eyes), 1.8 * np.hypot(*mouth)) / np.hypot(*x)
    y, c = _rotated(x), middle + 0.1 * mouth
    return np.stack([c - x - y, c - x + y, c + x + y, c + x - y])


def aligned(image: Image.Image, points: Points, size: Size) -> Image.Image:
    """Crop the square around a face, and rotate it upright.

    Where the square reaches beyond the image, the image is padded by reflection.

    Args:
      image: an image of mode L, LA, RGB or RGBA.
      points: see `square`.
      size: height and width of the network's images; the result's sides are at least
        as long.

    Raises:
      InvalidImage: the points do not span a square near the image.
    """
    corners = square(points)
    side = np.hypot(*(corners[3] - corners[0]))
    low, high = np.floor(corners.min(0)), np.ceil(corners.max(0))
    ends = np.array([image.width, image.height])
    outside = np.maximum([-low, high - ends], 0).max()
    if not 1 <= side <= 2 * MAX_OUTSIDE * max(ends) or (
        outside > MAX_OUTSIDE * min(ends)
    ):
        raise InvalidImage(
            "has landmarks that do not belong to it: the square around the face is "
            f"{corners.round().tolist()}, and the image {image.width}x{image.height}"
        )
    begins = np.maximum(low, 0).astype(int)
    stops = np.minimum(high, ends).astype(int)
    if np.any(stops <= begins + 1):
        raise InvalidImage("has landmarks that are outside of it")
    pixels = np.asarray(image.crop((*begins, *stops)))
    before = np.maximum(-low, 0).astype(int)
    after = np.maximum(high - ends, 0).astype(int)
    padding = [(before[1], after[1]), (before[0], after[0])]
    padding += [(0, 0)] * (pixels.ndim - 2)
    padded = Image.fromarray(np.pad(pixels, padding, mode="reflect"))
    corners = corners - low + 0.5  # Pillow measures from the pixel's corner
    target = max(size)
    shrink = int(side / target / OVERSAMPLING)
    if shrink > 1:
        padded, corners = padded.reduce(shrink), corners / shrink
    sides = (OVERSAMPLING * target,) * 2
    return padded.transform(
        sides, Image.Transform.QUAD, corners.ravel(), Image.Resampling.BILINEAR
    )


def read_landmarks(path: Path) -> dict[str, Points]:
    """Read a JSON object that maps file names to facial landmarks.

    Raises:
      ValueError: the file does not hold such an object.
      OSError: the file cannot be read.
    """
    remedy = (
        'it must be like {"photo.png": [[x, y], ...]} with 4 points of each face (eyes '
        "and corners of the mouth), 5 (with the nose between them) or 68"
    )
    found = json_files.read_object(path, remedy)
    for name, points in found.items():
        try:
            array = np.asarray(points, np.float64)
        except (TypeError, ValueError):
            array = np.zeros(0)
        fits = array.ndim == 2 and len(array) in COUNTS and array.shape[1] == 2
        if not fits or not np.isfinite(array).all():
            raise ValueError(
                f"{path}: the landmarks of {name} are {points!r:.80}; {remedy}"
            )
    return found


def _rotated(vector: np.ndarray) -> np.ndarray:
    """Return the vector (x, y) rotated by 90 degrees: (-y, x)."""
    return np.array([-vector[1], vector[0]])
