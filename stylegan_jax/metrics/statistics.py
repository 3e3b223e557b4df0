"""Statistics of an image set, collected in one pass over its images.

A `Statistic` defines how it is computed from a batch of images and how the batches are
accumulated. The statistics of features are below; a statistic that belongs to a single
formula is in the formula's file, such as `frechet.MOMENTS`.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import chex
import numpy as np

from stylegan_jax.metrics.networks.detector import Detector, Features
from stylegan_jax.runtime.image_io import rgb_on_white
from stylegan_jax.runtime.parallel import Parallel


class PerceptualDistance(Protocol):
    """A measure of the visual difference between two images, such as LPIPS.

    Attributes:
      name: name of the network.
      digest: SHA-256 of its weights.
    """

    name: str
    digest: str

    def __call__(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return the distances [B] between images [B,h,w,3] float32, about [-1, 1]."""


@dataclasses.dataclass(frozen=True)
class Networks:
    """The networks that metrics use; None if no metric needs one.

    Attributes:
      detector: the network that the user chose for the metrics of papers.
      lpips: the perceptual distance.
      efficientnet: EfficientNet-Lite0.
    """

    detector: Detector | None = None
    lpips: PerceptualDistance | None = None
    efficientnet: Detector | None = None


class ImageBatch:
    """This process's share of a batch of images.

    Attributes:
      images: [b,H,W,3] uint8, transparent pixels over white.
      classes: [b] numbers of the classes; zeros without labels.
      networks: the networks that statistics use.
    """

    def __init__(
        self, images_uint8: np.ndarray, labels: np.ndarray, networks: Networks
    ):
        """Convert the images to RGB and the labels to numbers.

        Args:
          images_uint8: [b,H,W,C] uint8, C of 1, 3 or 4; b even, for pairs of images.
          labels: [b,L], one-hot.
          networks: see `Networks`.
        """
        chex.assert_rank([images_uint8, labels], [4, 2])
        chex.assert_type(images_uint8, np.uint8)
        self.images = rgb_on_white(images_uint8)
        has_labels = labels.shape[1] > 0
        self.classes = labels.argmax(axis=1) if has_labels else np.zeros(len(labels))
        self.networks = networks

    @functools.cached_property
    def features(self) -> Features:
        """The features of the images, computed once for all statistics."""
        return self.networks.detector(self.images)


class Accumulator(Protocol):
    """The rows of a statistic, batch by batch."""

    def add(self, rows: np.ndarray) -> None:
        """Add the rows of a batch; raise ValueError if they are unusable."""

    def result(self) -> Any:
        """Return the statistic and release the rows."""


class Rows:
    """Accumulator that keeps every row [N, ...]."""

    def __init__(self, seed: int):
        """Start without rows; the seed is not used."""
        del seed
        self._parts: list[np.ndarray] = []

    def add(self, rows: np.ndarray) -> None:
        """See `Accumulator`."""
        self._parts.append(rows)

    def result(self) -> np.ndarray:
        """See `Accumulator`."""
        parts, self._parts = self._parts, []
        return np.concatenate(parts)


@dataclasses.dataclass(frozen=True)
class Statistic:
    """A quantity of an image set that metrics are computed from.

    Attributes:
      name: its name, which is also part of its file's name in the cache of reals.
      compute: (ImageBatch) -> rows, one per image [b, ...] or per pair [b / 2, ...].
        Statistics that share this function share its rows.
      accumulator: (seed) -> `Accumulator` of the rows of all processes.
      images_per_row: 1, or 2 for pairs of images.
      network: name of the field of `Networks` that `compute` uses, or None.
      cached: True if it is worth keeping on disk for real images.
      any_order: True if its value does not depend on the order of the images.
      value_type: type of its value: np.ndarray, or a dataclass of arrays.
    """

    name: str
    compute: Callable[[ImageBatch], np.ndarray]
    accumulator: Callable[[int], Accumulator] = Rows
    images_per_row: int = 1
    network: str | None = None
    cached: bool = True
    any_order: bool = False
    value_type: type = np.ndarray

    def to_arrays(self, value: Any) -> dict[str, np.ndarray]:
        """Return the named arrays of a value, for the cache of reals."""
        return {self.name: value} if self.value_type is np.ndarray else vars(value)

    def from_arrays(self, arrays: dict[str, np.ndarray]) -> Any:
        """Return the value that `to_arrays` was given."""
        if self.value_type is np.ndarray:
            return arrays[self.name]
        return self.value_type(**arrays)


def pool_features(batch: ImageBatch) -> np.ndarray:
    """Return the features [b,F] float32 that distances are computed from."""
    return batch.features.pool


def efficientnet_features(batch: ImageBatch) -> np.ndarray:
    """Return the features [b,1280] float32 of EfficientNet-Lite0."""
    return batch.networks.efficientnet(batch.images).pool


def _logits(batch: ImageBatch) -> np.ndarray:
    if batch.features.logits is None:
        raise ValueError(
            f"the detector {batch.networks.detector.name} has no class logits, which "
            "the Inception Score needs; use the Inception-v3 of 2015-12-05"
        )
    return batch.features.logits


POOL = Statistic("pool", pool_features, network="detector")
EFFICIENTNET_POOL = Statistic(
    "efficientnet_pool", efficientnet_features, network="efficientnet"
)
LOGITS = Statistic("logits", _logits, network="detector", cached=False)
CLASSES = Statistic("classes", lambda batch: batch.classes)


@dataclasses.dataclass
class Statistics:
    """The statistics of the first `count` images of a set.

    Index it with a `Statistic` to get its value.

    Attributes:
      count: number of images.
      class_names: number -> name of every class of the data, including those that none
        of these images belongs to; empty for generated images.
      values: name -> value of the collected statistics.
      failures: name -> reason, for the statistics that could not be collected.
    """

    count: int
    class_names: dict[int, str] = dataclasses.field(default_factory=dict)
    values: dict[str, Any] = dataclasses.field(default_factory=dict)
    failures: dict[str, str] = dataclasses.field(default_factory=dict)

    def __getitem__(self, statistic: Statistic) -> Any:
        """Return the value of a statistic; raise ValueError if collecting it failed."""
        if statistic.name in self.failures:
            raise ValueError(self.failures[statistic.name])
        return self.values[statistic.name]


class StatisticsAccumulator:
    """Accumulator of several statistics of the first `limit` images of a set.

    A statistic that fails, for example on features that are not finite, does not stop
    the others.
    """

    def __init__(self, limit: int, statistics: Iterable[Statistic], seed: int):
        """Start before the first image.

        Args:
          limit: number of images.
          statistics: the statistics to collect.
          seed: seed of statistics that draw samples, such as patches.
        """
        self._limit, self._count = limit, 0
        self._accumulators = {s: s.accumulator(seed) for s in statistics}
        self._failures: dict[str, str] = {}

    @property
    def pending(self) -> tuple[Statistic, ...]:
        """The statistics that need more images."""
        return tuple(self._accumulators) if self._count < self._limit else ()

    def add(self, rows: Mapping[Callable, np.ndarray], count: int) -> None:
        """Add the next `count` images, of all processes; see `gather_rows`."""
        left = self._limit - self._count
        for statistic in self.pending:
            part = rows[statistic.compute][: left // statistic.images_per_row]
            self._try(statistic, lambda acc, part=part: acc.add(part))
        self._count = min(self._limit, self._count + count)

    def result(self) -> Statistics:
        """Return the statistics; call it once."""
        found = Statistics(self._count)
        for statistic in list(self._accumulators):  # each is released before the next
            value = self._try(statistic, lambda acc: acc.result())
            if self._accumulators.pop(statistic, None) is not None:
                found.values[statistic.name] = value
        found.failures = self._failures
        return found

    def _try(self, statistic: Statistic, action: Callable[[Accumulator], Any]) -> Any:
        try:
            return action(self._accumulators[statistic])
        except ValueError as error:
            self._failures[statistic.name] = str(error)
            del self._accumulators[statistic]


def gather_rows(
    batch: ImageBatch, statistics: Iterable[Statistic], devices: Parallel
) -> dict[Callable, np.ndarray]:
    """Compute the rows of statistics from a batch of images.

    Every process computes the rows of its own images; all must call this.

    Args:
      batch: this process's share.
      statistics: the statistics to compute.
      devices: the devices of all processes.

    Returns:
      `Statistic.compute` -> the rows of all processes, in the order of the processes.
    """
    gathered: dict[Callable, np.ndarray] = {}
    for statistic in by_name(statistics):
        if statistic.compute not in gathered:
            rows = np.asarray(statistic.compute(batch))
            gathered[statistic.compute] = devices.all_rows(rows)
    return gathered


def by_name(statistics: Iterable[Statistic]) -> list[Statistic]:
    """Return distinct statistics in an order that is the same on all processes."""
    return sorted(set(statistics), key=lambda statistic: statistic.name)
