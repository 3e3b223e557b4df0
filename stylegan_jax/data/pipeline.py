"""Endless batches of real images in an order that is a function of the position.

Image number g of a run, counted over all processes from its start, is image
`shuffle_epoch(g mod N)` of the source's N images, in epoch g // N. No iterator state
needs to be saved: a run resumes from the number of images it has consumed.
"""

import itertools
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from stylegan_jax.config import image_size
from stylegan_jax.data import order
from stylegan_jax.data.images import box_average
from stylegan_jax.data.interface import Source
from stylegan_jax.runtime.tensorflow import tensorflow

Batch = tuple[np.ndarray, np.ndarray]


class UnusableImage(ValueError):
    """An image of the source is damaged or missing."""


def batches(
    source: Source,
    *,
    resolution: int,
    batch_size: int,
    start_images: int,
    seed: int,
    process_index: int,
    process_count: int,
    prefetch_batches: int,
) -> Iterator[Batch]:
    """Return an endless iterator over this process's share of each batch.

    For any `process_count`, the shares concatenated in the order of the processes are
    the batch of a single process.

    Args:
      source: the images.
      resolution: that of the source, or that divided by a power of two. Each image is
        averaged down to the height and width at this resolution, or read at this
        resolution if the source stores it.
      batch_size: images per batch over all processes.
      start_images: images consumed so far over all processes.
      seed: non-negative seed of the order.
      process_index: index of this process.
      process_count: number of processes.
      prefetch_batches: number of batches to prefetch.

    Returns:
      Iterator over (images uint8 [b, h, w, C], labels float32 [b, label_size]) with
      b = batch_size / process_count; classes are one-hot.

    Raises:
      ValueError: immediately, for unusable arguments.
      UnusableImage: while iterating, for an image that cannot be decoded, which it
        names.
      OSError: while iterating, for an image that cannot be read at the moment.
    """
    _check_resolution(source, resolution)
    if batch_size < 1 or batch_size % process_count:
        raise ValueError(
            f"`batch_size` (={batch_size}) must be a positive multiple of the "
            f"{process_count} processes"
        )
    if not 0 <= process_index < process_count:
        raise ValueError(
            f"`process_index` (={process_index}) must be in [0, {process_count})"
        )
    for name, value in (("start_images", start_images), ("seed", seed)):
        if value < 0:
            raise ValueError(f"`{name}` (={value}) must not be negative")
    if source.num_images < 1:
        raise ValueError(f"{source.name} has no images")
    share = batch_size // process_count
    first = start_images + process_index * share

    def indices(batch: Any) -> Any:
        tf = tensorflow()
        positions = first + batch * batch_size + tf.range(share, dtype=tf.int64)
        return _shuffled(positions, source.num_images, seed)

    def explain(batch: int) -> Exception:
        begin = first + batch * batch_size
        return _explained(
            source, order.shuffled(begin + np.arange(share), source.num_images, seed)
        )

    return _read(source, resolution, indices, share, prefetch_batches, explain)


def in_order(
    source: Source, *, resolution: int, start: int, stop: int, batch_size: int = 64
) -> Iterator[Batch]:
    """Yield images and labels in the order of the source, as `batches` yields them.

    Args:
      source: the images.
      resolution: resolution of the images, as in `batches`.
      start: index of the first image.
      stop: index after the last image.
      batch_size: images per batch; the last batch may have fewer.

    Raises:
      ValueError, UnusableImage, OSError: as `batches`, while iterating.
    """
    _check_resolution(source, resolution)

    def indices(batch: Any) -> Any:
        tf = tensorflow()
        begin = start + batch * batch_size
        return tf.minimum(begin + tf.range(batch_size, dtype=tf.int64), stop - 1)

    def explain(batch: int) -> Exception:
        begin = start + batch * batch_size
        return _explained(source, np.arange(begin, min(begin + batch_size, stop)))

    read = _read(source, resolution, indices, batch_size, 1, explain)
    for begin in range(start, stop, batch_size):
        images, labels = next(read)
        yield images[: stop - begin], labels[: stop - begin]


def _read(
    source: Source,
    resolution: int,
    indices: Callable[[Any], Any],
    batch_size: int,
    prefetch_batches: int,
    explain: Callable[[int], Exception],
) -> Iterator[Batch]:
    """Return an endless iterator over batches of images and labels.

    Args:
      source: the images.
      resolution: resolution of the images.
      indices: number of the batch, int64 tensor [] -> indices of its images [b].
      batch_size: number of images, b.
      prefetch_batches: number of batches to prefetch.
      explain: number of a batch that could not be read -> the error to raise.
    """
    tf = tensorflow()
    size = image_size(source.base_size, resolution)
    stored = resolution in source.levels
    load = source.levels[resolution] if stored else source.load
    read_size = size if stored else source.size

    # AutoGraph would take seconds, and no Python `if` below depends on a tensor.
    @tf.autograph.experimental.do_not_convert
    def fetch(batch: Any) -> Any:
        return load.fetch(indices(batch))

    # `unbatch` crashes on labels of length 0 (TensorFlow 2.21).
    @tf.autograph.experimental.do_not_convert
    def one_by_one(*fetched: Any) -> Any:
        return tf.data.Dataset.from_tensor_slices(fetched)

    @tf.autograph.experimental.do_not_convert
    def decode(*fetched: Any) -> tuple[Any, Any]:
        image, label = load.decode(*fetched)
        image = tf.ensure_shape(image, [*read_size, source.channels])
        return box_average(image, size), tf.ensure_shape(label, [source.label_size])

    dataset = (
        tf.data.Dataset.counter()
        .map(fetch, num_parallel_calls=2, deterministic=True)
        .flat_map(one_by_one)
        .map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .batch(batch_size, drop_remainder=True)
        .prefetch(prefetch_batches)
    )
    iterators = [dataset.as_numpy_iterator()]
    read = _iterate(iterators, explain)
    # The data set's threads may run Python, to read records. At exit they would wait
    # forever for the interpreter; dropping the iterator before that stops them.
    weakref.finalize(read, iterators.clear)
    return read


def first_images(source: Source, *, resolution: int, count: int, seed: int) -> Batch:
    """Return the first images of the shuffled order, e.g. for a grid of real images.

    Returns:
      (uint8 [count, h, w, C], float32 [count, label_size]).
    """
    iterator = batches(
        source,
        resolution=resolution,
        batch_size=count,
        start_images=0,
        seed=seed,
        process_index=0,
        process_count=1,
        prefetch_batches=1,
    )
    return next(iterator)


def _shuffled(positions: Any, num_images: int, seed: int) -> Any:
    """Compute `order.shuffled` of a tensor, int64 [n], with TensorFlow."""
    tf = tensorflow()
    epochs = positions // num_images
    # `tf.random.experimental.index_shuffle` does the same, but pads vectors of seeds
    # incorrectly.
    count = tf.shape(epochs)
    seeds = [
        tf.fill(count, tf.constant(n, tf.int64))
        for n in (order.SEED_PADDING, order.hashed_seed(seed))
    ]
    return tf.raw_ops.RandomIndexShuffle(
        index=positions % num_images,
        seed=tf.stack([*seeds, epochs], -1),
        max_index=tf.constant(num_images - 1, tf.int64),
        rounds=order.ROUNDS,
    )


def _iterate(
    iterators: list[Any], explain: Callable[[int], Exception]
) -> Iterator[Batch]:
    """Yield from `iterators[0]` without holding a reference to it."""
    tf = tensorflow()
    for batch in itertools.count():
        try:
            images, labels = next(iterators[0])
        # A message that quotes a damaged record may not be UTF-8.
        except (tf.errors.OpError, UnicodeDecodeError) as error:
            raise explain(batch) from error
        yield images, labels


def _explained(source: Source, indices: np.ndarray) -> Exception:
    """Return an error that names the image at fault among those of a failed batch."""
    for index in map(int, indices):
        try:
            reason = source.check(index)
        except OSError as error:
            return OSError(
                f"{source.describe(index)} cannot be read: {error.strerror or error}; "
                "run the same command again once it can"
            )
        if reason:
            return UnusableImage(
                f"{source.describe(index)} {reason}; repair, replace or remove it "
                "(removing it changes the order of the images of a resumed run)"
            )
    return RuntimeError(
        f"reading {len(indices)} images of {source.name}, from "
        f"{source.describe(int(indices[0]))} on, failed, yet each of them can be read "
        "now; run the same command again"
    )


def _check_resolution(source: Source, resolution: int) -> None:
    factor, rest = divmod(source.resolution, max(resolution, 1))
    usable = resolution >= 1 and factor and not rest and not factor & (factor - 1)
    if not usable or any(side % factor for side in source.size):
        raise ValueError(
            f"`resolution` (={resolution}) must be the {source.resolution} of "
            f"{source.name}, or that divided by a power of two"
        )
