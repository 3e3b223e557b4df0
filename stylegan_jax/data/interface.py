"""What a data source offers to the pipeline: random access to uint8 images."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from stylegan_jax.config import image_size


@dataclasses.dataclass(frozen=True)
class Source:
    """A fixed, ordered set of labelled images, all of one size.

    Attributes:
      name: what messages call it.
      num_images: how many there are.
      classes: class names, in the order of the labels; () without labels.
      base_size: height and width at resolution 4; (4, 4) for squares.
      resolution: R; what `load` yields is R/4 times as large as `base_size`.
      channels: C of what `load` yields; 1 grayscale, 3 RGB, 4 RGBA.
      fingerprint: hex digest that identifies the content wherever it is stored.
      load: int64 tensor [], an index in [0, num_images) -> (uint8 tensor [H, W, C],
        int32 tensor [], the class or 0 without classes). Runs inside `tf.data`.
      describe: the file or record that an index stands for, for messages.
      check: why the image at an index can't be used; None when it can. Slow.
      levels: smaller resolution -> like `load`, for images stored in that size;
        they are what `images.box_average` makes of `load`'s, up to the rounding of a
        JPEG decoder.
    """

    name: str
    num_images: int
    classes: tuple[str, ...]
    base_size: tuple[int, int]
    resolution: int
    channels: int
    fingerprint: str
    load: Callable[[Any], tuple[Any, Any]]
    describe: Callable[[int], str]
    check: Callable[[int], str | None]
    levels: Mapping[int, Callable[[Any], tuple[Any, Any]]] = dataclasses.field(
        default_factory=dict
    )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what `load` yields, in pixels."""
        return image_size(self.base_size, self.resolution)

    @property
    def label_size(self) -> int:
        """The number of classes, 0 without labels."""
        return len(self.classes)
