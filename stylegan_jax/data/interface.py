"""What a data source offers to the pipeline: random access to uint8 images."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from stylegan_jax.config import image_size

MAX_LISTED = 20  # classes that a histogram has a line for
BAR = 40  # characters of the longest bar


def _identity(indices: Any) -> Any:
    return indices


@dataclasses.dataclass(frozen=True)
class Load:
    """From indices to images, inside `tf.data`, in two steps.

    Attributes:
      decode: what `fetch` gives of one index -> (uint8 tensor [H, W, C], float32 tensor
        [label_size], one-hot of classes). Many run at once.
      fetch: int64 tensor [n], indices in [0, num_images) -> a tensor, or tuple of them,
        [n, ...]. What is quicker for many images at once, such as a call of Python.
    """

    decode: Callable[..., tuple[Any, Any]]
    fetch: Callable[[Any], Any] = _identity

    def __call__(self, index: Any) -> tuple[Any, Any]:
        """One image and its label, of an int64 tensor []."""
        fetched = self.fetch(index[None])
        parts = fetched if isinstance(fetched, tuple) else (fetched,)
        return self.decode(*(part[0] for part in parts))


@dataclasses.dataclass(frozen=True)
class Source:
    """A fixed, ordered set of labelled images, all of one size.

    Attributes:
      name: what messages call it.
      num_images: how many there are.
      classes: names of the classes, in the order of their numbers, or of the components
        of label vectors; () without labels.
      label_totals: how many images have each class, or the sum of each component.
      base_size: height and width at resolution 4; (4, 4) for squares.
      resolution: R; what `load` yields is R/4 times as large as `base_size`.
      channels: C of what `load` yields; 1 grayscale, 3 RGB, 4 RGBA.
      fingerprint: hex digest that identifies the content wherever it is stored.
      load: reads images and labels.
      describe: the file or record that an index stands for, for messages.
      check: why the image at an index can't be used; None when it can. Slow. Raises
        OSError when it can't be read but is there.
      label_vectors: whether the labels are no classes.
      labels_counted: of a sample that `label_totals` is of; None for all images.
      levels: smaller resolution -> like `load`, for images stored in that size;
        they are what `images.box_average` makes of `load`'s, up to the rounding of a
        JPEG decoder.
    """

    name: str
    num_images: int
    classes: tuple[str, ...]
    label_totals: tuple[float, ...]
    base_size: tuple[int, int]
    resolution: int
    channels: int
    fingerprint: str
    load: Load
    describe: Callable[[int], str]
    check: Callable[[int], str | None]
    label_vectors: bool = False
    labels_counted: int | None = None
    levels: Mapping[int, Load] = dataclasses.field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what `load` yields, in pixels."""
        return image_size(self.base_size, self.resolution)

    def label_histogram(self) -> list[str]:
        """How the labels are distributed: `label_summary`, and then the labels.

        Up to `MAX_LISTED` classes have a line with a bar, components of vectors one
        with their mean.
        """
        lines = [self.label_summary()]
        if self.label_size > MAX_LISTED:
            return lines
        width, most = max(map(len, self.classes)), max(self.label_totals)
        for name, total in zip(self.classes, self.label_totals, strict=True):
            if self.label_vectors:
                value = f"{total / self._counted:.3g}"
            else:
                value = f"{total:9,} {'#' * round(BAR * total / most)}".rstrip()
            lines.append(f"  {name:{width}s} {value}")
        return lines

    @property
    def _counted(self) -> int:
        """Of how many images `label_totals` is."""
        return self.num_images if self.labels_counted is None else self.labels_counted

    def label_summary(self) -> str:
        """How the labels are distributed, in a line."""
        counted = self._counted
        sample = "" if counted == self.num_images else f" of {counted:,} looked at"
        order = sorted(range(self.label_size), key=self.label_totals.__getitem__)
        least, most = (
            (self.label_totals[i], self.classes[i]) for i in (order[0], order[-1])
        )
        if self.label_vectors:
            return (
                f"label vectors of {self.label_size}, means from "
                f"{least[0] / counted:.3g} ({least[1]}) to {most[0] / counted:.3g} "
                f"({most[1]}){sample}"
            )
        return (
            f"{self.label_size:,} classes of {least[0]:,} ({least[1]}) to {most[0]:,} "
            f"({most[1]}) images{sample}"
        )

    @property
    def label_size(self) -> int:
        """Length of a label vector; 0 without labels."""
        return len(self.classes)
