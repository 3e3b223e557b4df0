"""The two views of a data set: `RawDataset` for `prepare`, `Source` for training."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from stylegan_jax import config
from stylegan_jax.data.label_file import LabelFile
from stylegan_jax.data.labels import LabelCounts, Labels

MAX_LISTED_CLASSES = 20  # of a histogram; more are only summarized
MAX_BAR_LENGTH = 40  # characters of the longest bar
MAX_FILE_BYTES = 2**28  # larger files and archive entries are rejected unread


class InvalidImage(Exception):
    """Error for an unusable image; its message follows the name of the image."""


@dataclasses.dataclass(frozen=True)
class RawDataset:
    """Images of any size in a fixed order, as `prepare` reads them.

    Attributes:
      name: name for messages.
      names: names of the images, with forward slashes.
      identity: hex digest of names and sizes; equal for the same files.
      read: index -> the content of an encoded file, or uint8 [H, W] or [H, W, C]. Fast
        for increasing indices. Raises InvalidImage.
      label_file: a dataset.json as NVIDIA's tools write it; None if there is none.
      own_labels: labels that the format itself stores; None if there are none.
      notes: sentences for the user, mainly about files that are left out.
    """

    name: str
    names: tuple[str, ...]
    identity: str
    read: Callable[[int], bytes | np.ndarray]
    label_file: LabelFile | None = None
    own_labels: Labels | None = None
    notes: tuple[str, ...] = ()


def identity(entries: Iterable[tuple[str, int]]) -> str:
    """Return the hex digest of (name, size in bytes) pairs."""
    text = json.dumps([list(entry) for entry in entries])
    return hashlib.sha256(text.encode()).hexdigest()


def check_bytes(size: int) -> None:
    """Raise InvalidImage for a file or entry that is empty or far too large."""
    if size > MAX_FILE_BYTES:
        raise InvalidImage(
            f"takes {size:,} bytes; at most {MAX_FILE_BYTES:,} are read, in case it is "
            "a decompression bomb"
        )
    if not size:
        raise InvalidImage("is empty")


def _identity(indices: Any) -> Any:
    return indices


@dataclasses.dataclass(frozen=True)
class Loader:
    """The two steps from indices to images inside `tf.data`.

    Attributes:
      decode: the result of `fetch` for one index -> (uint8 tensor [H, W, C], float32
        tensor [label_size], one-hot for classes). Runs in parallel over images.
      fetch: int64 tensor [n] of indices in [0, num_images) -> a tensor or a tuple of
        tensors, each [n, ...]. Holds the work that is faster for many images at once,
        such as a call to Python.
    """

    decode: Callable[..., tuple[Any, Any]]
    fetch: Callable[[Any], Any] = _identity

    def __call__(self, index: Any) -> tuple[Any, Any]:
        """Load one image and its label; `index` is an int64 tensor []."""
        fetched = self.fetch(index[None])
        parts = fetched if isinstance(fetched, tuple) else (fetched,)
        return self.decode(*(part[0] for part in parts))


@dataclasses.dataclass(frozen=True)
class Source:
    """A fixed, ordered set of labeled images of one size, with random access.

    Attributes:
      name: name for messages.
      num_images: number of images.
      classes: names of the classes in the order of their numbers, or names of the
        components of label vectors; () without labels.
      label_totals: number of images of each class, or sum of each component.
      base_size: height and width at resolution 4; (4, 4) for squares.
      resolution: R; `load` returns images R/4 times as large as `base_size`.
      channels: C of the images; 1 grayscale, 3 RGB, 4 RGBA.
      fingerprint: hex digest of the content, independent of where it is stored.
      load: reads an image and its label at full resolution.
      describe: index -> the file or record of the image, for messages.
      check: index -> the reason why the image is unusable, or None. Slow. Raises
        OSError for an image that exists but cannot be read at the moment.
      label_vectors: True for continuous label vectors.
      labels_counted: number of images that `label_totals` sums over; None for all.
      levels: lower resolution -> loader of images that are stored at that resolution.
        They equal `images.box_average` of the full images, up to the rounding of a
        JPEG decoder.
      notes: sentences for the user, mainly about files that are left out.
    """

    name: str
    num_images: int
    classes: tuple[str, ...]
    label_totals: tuple[float, ...]
    base_size: tuple[int, int]
    resolution: int
    channels: int
    fingerprint: str
    load: Loader
    describe: Callable[[int], str]
    check: Callable[[int], str | None]
    label_vectors: bool = False
    labels_counted: int | None = None
    levels: Mapping[int, Loader] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def create(
        cls,
        data: config.Data,
        labels: LabelCounts,
        *,
        num_images: int | None = None,
        **fields: Any,
    ) -> "Source":
        """Build a source of the image size and channels that the config asks for.

        Args:
          data: the config, which sets `base_size`, `resolution` and `channels`.
          labels: counts over all images or, with `num_images`, over a sample.
          num_images: number of images; None if the labels of all were counted.
          **fields: name, fingerprint, load, describe, check, and levels and notes if
            any.
        """
        return cls(
            num_images=labels.images if num_images is None else num_images,
            classes=labels.names,
            label_totals=labels.totals,
            label_vectors=labels.are_vectors,
            labels_counted=None if num_images is None else labels.images,
            base_size=data.base_size,
            resolution=data.resolution,
            channels=data.channels,
            **fields,
        )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images that `load` returns, in pixels."""
        return config.image_size(self.base_size, self.resolution)

    @property
    def label_size(self) -> int:
        """Length of a label vector; 0 without labels."""
        return len(self.classes)

    def label_histogram(self) -> list[str]:
        """Return lines of text: `label_summary`, then one line for each label.

        A class has its count and a bar, a component of label vectors its mean. More
        than `MAX_LISTED_CLASSES` labels are only summarized.
        """
        lines = [self.label_summary()]
        if self.label_size > MAX_LISTED_CLASSES:
            return lines
        width, highest = max(map(len, self.classes)), max(self.label_totals)
        for name, total in zip(self.classes, self.label_totals, strict=True):
            if self.label_vectors:
                value = f"{total / self._num_counted:.3g}"
            else:
                bar = "#" * round(MAX_BAR_LENGTH * total / highest)
                value = f"{total:9,} {bar}".rstrip()
            lines.append(f"  {name:{width}s} {value}")
        return lines

    def label_summary(self) -> str:
        """Return one line with the rarest and the most frequent label."""
        counted = self._num_counted
        sample = "" if counted == self.num_images else f" in a sample of {counted:,}"
        order = sorted(range(self.label_size), key=self.label_totals.__getitem__)
        (least, rarest), (most, commonest) = (
            (self.label_totals[i], self.classes[i]) for i in (order[0], order[-1])
        )
        if self.label_vectors:
            return (
                f"label vectors of {self.label_size}, means from "
                f"{least / counted:.3g} ({rarest}) to {most / counted:.3g} "
                f"({commonest}){sample}"
            )
        return (
            f"{self.label_size:,} classes of {least:,} ({rarest}) to {most:,} "
            f"({commonest}) images{sample}"
        )

    @property
    def _num_counted(self) -> int:
        return self.num_images if self.labels_counted is None else self.labels_counted
