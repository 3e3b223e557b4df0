"""Image sets under evaluation: their interface, and the images of a data set."""

import dataclasses
from collections.abc import Iterator
from operator import attrgetter
from typing import Any, Protocol

import numpy as np

from stylegan_jax.data import decoding, pipeline
from stylegan_jax.data.interface import Source
from stylegan_jax.runtime.parallel import Parallel

Batch = tuple[np.ndarray, np.ndarray]  # this process's images and labels


class ImageSet(Protocol):
    """Images in a fixed order.

    Attributes:
      name: name for messages and results.
      fingerprint: fingerprint of the content; None for generated images.
      count: number of images; None if unlimited.
      size: height and width.
      classes: number of classes, 0 without labels.
      class_names: names of the classes; None for a generator, which has those of its
        data.
      label_vectors: True for continuous label vectors.
    """

    name: str
    fingerprint: str | None
    count: int | None
    size: tuple[int, int]
    classes: int
    class_names: tuple[str, ...] | None
    label_vectors: bool

    def conditions(self) -> dict[str, Any]:
        """Return the fields of a `MetricResult` that describe these images."""

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """Yield this process's share of each batch, endlessly.

        Images [b,H,W,C] uint8 and labels [b,L] float32; the shares of all processes,
        in their order, are the batch.
        """


@dataclasses.dataclass(frozen=True)
class RealImages:
    """A data set in the order of training's first epoch with this seed; an `ImageSet`.

    Attributes:
      source: the data set.
      devices: the devices of all processes.
      seed: seed of the order, and of the images to flip.
      fit: method that brought images to their size, as `data.fit`.
      mirror: True to flip half of the images left-right.
    """

    source: Source
    devices: Parallel
    seed: int
    fit: str
    mirror: bool = False

    name = property(attrgetter("source.name"))
    fingerprint = property(attrgetter("source.fingerprint"))
    count = property(attrgetter("source.num_images"))
    size = property(attrgetter("source.size"))
    classes = property(attrgetter("source.label_size"))
    class_names = property(attrgetter("source.classes"))
    label_vectors = property(attrgetter("source.label_vectors"))

    @property
    def present_classes(self) -> dict[int, str]:
        """Number -> name of the classes that have images."""
        totals = zip(self.source.classes, self.source.label_totals, strict=True)
        return {i: name for i, (name, total) in enumerate(totals) if total}

    def conditions(self) -> dict[str, Any]:
        """See `ImageSet`."""
        return {
            "generated": self.name,
            "generated_fingerprint": self.fingerprint,
            "generated_fit": self.fit,
            "decoder": decoding.VERSION,
        }

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """See `ImageSet`."""
        batches = pipeline.batches(
            self.source,
            resolution=self.source.resolution,
            batch_size=batch_size,
            start_images=0,
            seed=self.seed,
            process_index=self.devices.process_index,
            process_count=self.devices.process_count,
            prefetch_batches=2,
        )
        return self._mirrored(batches, batch_size) if self.mirror else batches

    def _mirrored(self, batches: Iterator[Batch], batch_size: int) -> Iterator[Batch]:
        rng = np.random.RandomState(self.seed)
        for images, labels in batches:
            first = self.devices.process_index * len(images)
            flip = rng.rand(batch_size)[first : first + len(images)] < 0.5
            flip = flip[:, None, None, None]
            yield np.where(flip, images[:, :, ::-1], images), labels
