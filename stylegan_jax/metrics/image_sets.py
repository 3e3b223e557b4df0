"""Sets of images to be measured, and real ones of a data set."""

import dataclasses
from collections.abc import Iterator
from typing import Protocol

import numpy as np

from stylegan_jax.data import pipeline
from stylegan_jax.data.interface import Source
from stylegan_jax.runtime.parallel import Parallel

Batch = tuple[np.ndarray, np.ndarray]  # this process's images and labels


class ImageSet(Protocol):
    """Images in a fixed order.

    Attributes:
      name: what results call it.
      fingerprint: of the content; None of what is generated.
      count: how many there are; None for any number.
      size: height and width.
      classes: how many there are, 0 without labels.
      class_names: of all of them; None of a generator, whose are those of its data.
      label_vectors: whether the labels are no classes.
      fit: how images were brought to their size, as `data.fit` has it; None of what
        is generated.
    """

    name: str
    fingerprint: str | None
    count: int | None
    size: tuple[int, int]
    classes: int
    class_names: tuple[str, ...] | None
    label_vectors: bool
    fit: str | None

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """This process's share of each batch, endlessly.

        Images [b,H,W,C] uint8 and labels [b,L] float32; the shares of all processes,
        in their order, are the batch.
        """


@dataclasses.dataclass(frozen=True)
class RealImages:
    """A data set in the order of training's first epoch with this seed.

    `fit` is how its images were brought to their size, as `data.fit` has it; with
    `mirror` half of them, which ones by the seed, are flipped left-right.
    """

    source: Source
    devices: Parallel
    seed: int
    fit: str
    mirror: bool = False

    @property
    def name(self) -> str:
        """The source's."""
        return self.source.name

    @property
    def fingerprint(self) -> str:
        """The source's."""
        return self.source.fingerprint

    @property
    def count(self) -> int:
        """The source's number of images."""
        return self.source.num_images

    @property
    def size(self) -> tuple[int, int]:
        """The source's."""
        return self.source.size

    @property
    def classes(self) -> int:
        """The source's."""
        return self.source.label_size

    @property
    def class_names(self) -> tuple[str, ...]:
        """The source's."""
        return self.source.classes

    @property
    def present_classes(self) -> dict[int, str]:
        """Number -> name of the classes that have images."""
        totals = zip(self.source.classes, self.source.label_totals, strict=True)
        return {i: name for i, (name, total) in enumerate(totals) if total}

    @property
    def label_vectors(self) -> bool:
        """The source's."""
        return self.source.label_vectors

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
