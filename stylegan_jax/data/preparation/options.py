"""The options of `prepare`, and the image sizes that the networks support."""

import dataclasses
import shlex
from pathlib import Path

from stylegan_jax import config
from stylegan_jax.data import decoding
from stylegan_jax.data.images import Size
from stylegan_jax.runtime import outputs

FORMATS = ("tfrecord", "zip")
LABELS = ("auto", "folders", "dataset.json", "none")
MAX_BASE = 16  # largest height or width at resolution 4 of rectangles


@dataclasses.dataclass(frozen=True)
class PrepareOptions:
    """The flags of `prepare`; see `prepare --help`."""

    out: Path
    size: Size | None = None  # height and width; None for the images' own size
    crop: str = "none"  # one of images.CROPS
    filter: str = "lanczos"  # one of images.FILTERS
    channels: int | None = None  # None: 1 if all images are gray, else 3
    multires: bool = False
    labels: str = "auto"  # one of LABELS
    max_images: int | None = None
    max_pixels: int = decoding.MAX_PIXELS
    format: str = "tfrecord"  # one of FORMATS
    strict: bool = False
    resume: bool = False
    workers: int = 1


def choose_format(wanted: str, out: Path) -> str:
    """Return the format that `--format` and the extension of `--out` select.

    Args:
      wanted: one of FORMATS, or "auto".
      out: the path to write.

    Raises:
      ValueError: they contradict each other, or a folder would have the extension of a
        file.
    """
    ending = out.suffix.lower()
    is_zip = ending == ".zip"
    if wanted == "zip" and not is_zip:
        better = shlex.quote(str(out.with_suffix(".zip"))) if out.name else "NAME.zip"
        raise ValueError(
            f"`--out` (={out}) must end in .zip with --format=zip; try --out={better}"
        )
    if wanted == "tfrecord" and is_zip:
        raise ValueError(
            f"`--out` (={out}) must be a folder with --format=tfrecord, not a .zip; "
            "omit --format to write a zip"
        )
    if not is_zip and ending in outputs.FILE_ENDINGS:
        raise ValueError(
            f"`--out` (={out}) must be a folder or end in .zip; {ending} is not a "
            "supported format"
        )
    return "zip" if is_zip else "tfrecord"


@dataclasses.dataclass(frozen=True)
class OutputSize:
    """The size of the prepared images in the terms of the config.

    Attributes:
      size: height and width in pixels.
      base_size: height and width at resolution 4; see `config.Data.base_size`.
      resolution: 4 times a power of two.
    """

    size: Size
    base_size: Size
    resolution: int

    def levels(self, multires: bool) -> list[int]:
        """Return the resolutions to store, from the full one down to 4."""
        full = self.resolution
        return [full >> i for i in range(full.bit_length() - 2 if multires else 1)]


def output_size(size: Size) -> OutputSize:
    """Split a height and width into base size and resolution.

    Raises:
      ValueError: the networks do not support this size.
    """
    height, width = size
    resolution = 4
    while height % 2 == width % 2 == 0 and min(height, width) > 4:
        height, width, resolution = height // 2, width // 2, resolution * 2
    usable = (height, width) == (4, 4) or (
        height != width and max(height, width) <= MAX_BASE
    )
    if not usable or not config.is_resolution(resolution):
        side = 2 ** (min(*size, 1024).bit_length() - 1)
        raise ValueError(
            f"the networks do not support {size[1]}x{size[0]} (width x height): the "
            "side of a square must be a power of two from 4 to 1024, and the sides of "
            f"a rectangle such a power times numbers up to {MAX_BASE // 4}; use "
            f"--resolution={max(side, 4)} --crop=center"
        )
    return OutputSize(size, (height, width), resolution)
