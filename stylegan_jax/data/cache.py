"""In-memory cache of the decoded images of a data set.

A small data set is decoded once per stage of the schedule. Its images are then kept as
uint8 on the devices, where a batch is a gather, or in host memory. The batches equal
those of `pipeline.batches`, bit for bit; TensorFlow is only used for decoding.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from stylegan_jax.config import image_size
from stylegan_jax.data import order, pipeline
from stylegan_jax.data.interface import Source
from stylegan_jax.runtime.parallel import Parallel

# Limits of "auto" on the size of the images at full resolution, because stages at lower
# resolutions decode the same files.
MAX_AUTO_BYTES = 2**31
MAX_AUTO_SHARE = 0.1  # of the memory of one device


def place(
    cache: str,
    num_bytes: int,
    platform: str,
    num_devices: int,
    device_bytes: float | None,
) -> str:
    """Choose where to cache the decoded images of a data set.

    Args:
      cache: the setting `data.cache`; all values but "auto" are returned as they are.
      num_bytes: size of the images at full resolution.
      platform: platform of the devices, such as "cpu" or "gpu".
      num_devices: number of devices that share the images.
      device_bytes: memory of a device; None if it is unknown.

    Returns:
      "device", "host" or "none".
    """
    if cache != "auto":
        return cache
    if num_bytes > MAX_AUTO_BYTES:
        return "none"
    if platform == "cpu":
        return "host"  # the same memory, without a program for the gather
    share = num_bytes / num_devices
    fits = device_bytes is not None and share <= MAX_AUTO_SHARE * device_bytes
    return "device" if fits else "host"


def image_bytes(source: Source, resolution: int) -> int:
    """Return the size of all images at a resolution, decoded."""
    size = image_size(source.base_size, resolution)
    return source.num_images * math.prod(size) * source.channels


class ImageCache:
    """The decoded images of a data set at one resolution at a time."""

    def __init__(self, source: Source, parallel: Parallel, where: str, seed: int):
        """Create an empty cache.

        Args:
          source: the images.
          parallel: the devices.
          where: "device", to keep each image on one device, or "host", to keep all
            images in the memory of each process.
          seed: seed of the order.

        Raises:
          ValueError: if `where` is neither.
        """
        if where not in ("device", "host"):
            raise ValueError(f"`where` (={where!r}) must be 'device' or 'host'")
        self._source, self._parallel = source, parallel
        self._where, self._seed = where, seed
        self._resolution: int | None = None
        self._arrays: Any = None
        self._gather = parallel.jit_batched(
            lambda arrays, rows: jax.tree.map(lambda x: x[rows], arrays)
        )

    @property
    def on_devices(self) -> bool:
        """True if the images are in the memory of the devices."""
        return self._where == "device"

    def batches(
        self, *, resolution: int, batch_size: int, start_images: int
    ) -> Iterator[pipeline.Batch]:
        """Return an endless iterator over batches, see `pipeline.batches`.

        The images are decoded before this returns, unless they are cached. All
        processes must call it.

        Returns:
          Iterator over (images, labels): global arrays for "device"; for "host", this
          process's share as NumPy arrays.
        """
        if resolution != self._resolution:
            self._arrays = None  # freed before the new ones are decoded
            load = self._load_on_devices if self.on_devices else self._load_on_host
            self._arrays = load(resolution)
            self._resolution = resolution
        take = self._take_global if self.on_devices else self._take_share
        return self._endless(self._arrays, take, batch_size, start_images)

    def _endless(
        self, arrays: Any, take: Callable, batch_size: int, start_images: int
    ) -> Iterator[pipeline.Batch]:
        for begin in itertools.count(start_images, batch_size):
            positions = begin + np.arange(batch_size)
            rows = order.shuffled(positions, self._source.num_images, self._seed)
            yield take(arrays, rows)

    def _take_global(self, arrays: Any, rows: np.ndarray) -> pipeline.Batch:
        return self._gather(arrays, self._parallel.replicate(rows.astype(np.int32)))

    def _take_share(self, arrays: Any, rows: np.ndarray) -> pipeline.Batch:
        share = len(rows) // self._parallel.process_count
        begin = self._parallel.process_index * share
        return tuple(x[rows[begin : begin + share]] for x in arrays)

    def _load_on_host(self, resolution: int) -> pipeline.Batch:
        return _decoded(self._source, resolution, 0, self._source.num_images)

    def _load_on_devices(self, resolution: int) -> tuple[jax.Array, jax.Array]:
        """Return images and labels, sharded over the devices along the first axis."""
        source, shards = self._source, self._parallel.batch_shards
        # The images are padded with zeros to a multiple of the number of shards.
        rows = math.ceil(source.num_images / shards) * shards
        size = image_size(source.base_size, resolution)
        shapes = (rows, *size, source.channels), (rows, source.label_size)

        def load(start: int, stop: int) -> pipeline.Batch:
            decoded = _decoded(source, resolution, start, min(stop, source.num_images))
            padding = stop - start - len(decoded[0])
            return tuple(
                np.pad(x, [(0, padding)] + [(0, 0)] * (x.ndim - 1)) for x in decoded
            )

        return self._parallel.put_rows(load, shapes)


def _decoded(source: Source, resolution: int, start: int, stop: int) -> pipeline.Batch:
    """Return the images and labels from `start` to `stop` in the source's order."""
    size = image_size(source.base_size, resolution)
    count = max(stop - start, 0)
    images = np.empty((count, *size, source.channels), np.uint8)
    labels = np.empty((count, source.label_size), np.float32)
    done = 0
    read = pipeline.in_order(source, resolution=resolution, start=start, stop=stop)
    for some_images, some_labels in read:
        rows = slice(done, done + len(some_images))
        images[rows], labels[rows] = some_images, some_labels
        done += len(some_images)
    return images, labels
