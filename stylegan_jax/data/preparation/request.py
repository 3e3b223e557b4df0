"""What `prepare` is asked to make, and the sizes that the networks can have."""

import dataclasses
from pathlib import Path

from stylegan_jax import config
from stylegan_jax.data.images import Size

FORMATS = ("tfrecord", "zip")
LABELS = ("auto", "folders", "dataset.json", "none")
MAX_BASE = 16  # of rectangles: height or width at resolution 4


@dataclasses.dataclass(frozen=True)
class Request:
    """What the result shall be; see `prepare --help`."""

    out: Path
    size: Size | None = None  # height and width; None for the images' own
    crop: str = "none"  # of transform.CROPS
    filter: str = "lanczos"  # of transform.FILTERS
    channels: int | None = None  # None: 1 if all images are gray, else 3
    multires: bool = False
    labels: str = "auto"  # of LABELS
    max_images: int | None = None
    format: str = "tfrecord"  # of FORMATS
    strict: bool = False
    resume: bool = False
    workers: int = 1


@dataclasses.dataclass(frozen=True)
class Geometry:
    """Size of the result, as training counts it; see `config.Data.base_size`."""

    size: Size
    base_size: Size
    resolution: int

    def levels(self, multires: bool) -> list[int]:
        """The resolutions that are stored, the full one first and 4 last."""
        full = self.resolution
        return [full >> i for i in range(full.bit_length() - 2 if multires else 1)]


def geometry_of(size: Size) -> Geometry:
    """How training counts images of a height and width.

    Raises:
      ValueError: the networks can't have this size.
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
            f"{size[1]}x{size[0]} (width x height) is no size for the networks: a "
            "square must have a power of two from 4 to 1024, and a rectangle one "
            f"times numbers up to {MAX_BASE // 4}; use --resolution={max(side, 4)} "
            "--crop=center"
        )
    return Geometry(size, (height, width), resolution)
