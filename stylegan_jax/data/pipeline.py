"""Endless batches of real images in an order that is a function of the position.

Image number g of a run, counted over all processes and from its very beginning, is
image `shuffle_epoch(g mod N)` of the source in epoch g // N. No iterator state needs
to be saved: a run resumes from the number of images it has consumed.
"""

import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np

from stylegan_jax.config import image_size
from stylegan_jax.data.images import box_average, tensorflow
from stylegan_jax.data.interface import Source

Batch = tuple[np.ndarray, np.ndarray]
PADDING = 498247692  # what TensorFlow puts before the two numbers of a seed


class UnusableImage(ValueError):
    """An image of the source is damaged, or gone."""


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
    """This process's share of each batch, endlessly.

    Concatenated in the order of the processes, the shares are the batch that a single
    process would get, whatever `process_count` is.

    Args:
      source: the images.
      resolution: the source's, or that divided by a power of two; each image is
        averaged down from the source's size to the [h, w] of this resolution, or read
        in it where the source has such files.
      batch_size: images per batch over all processes.
      start_images: images consumed so far, over all processes.
      seed: of the order, not negative.
      process_index: which process this is.
      process_count: how many there are.
      prefetch_batches: batches that are made ahead.

    Returns:
      Iterator over (images uint8 [b, h, w, C], labels float32 [b, label_size]) with
      b = batch_size / process_count; classes are one-hot.

    Raises:
      ValueError: at once for unusable arguments.
      UnusableImage: while iterating, for an image that can't be decoded, naming it.
      OSError: while iterating, for one that can't be read, though it may be later.
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
    tf = tensorflow()
    size = image_size(source.base_size, resolution)
    stored = resolution in source.levels
    load = source.levels[resolution] if stored else source.load
    read_size = size if stored else source.size
    share = batch_size // process_count
    first = start_images + process_index * share

    # Their `if`s depend on no tensor; AutoGraph would look for some, for seconds.
    @tf.autograph.experimental.do_not_convert
    def fetch(batch: Any) -> Any:
        positions = first + batch * batch_size + tf.range(share, dtype=tf.int64)
        return load.fetch(_shuffled(positions, source.num_images, seed))

    # Not `unbatch`, which crashes on labels of no numbers (TensorFlow 2.21).
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
        .batch(share, drop_remainder=True)
        .prefetch(prefetch_batches)
    )

    def positions(batch: int) -> range:
        begin = first + batch * batch_size
        return range(begin, begin + share)

    iterators = [dataset.as_numpy_iterator()]
    shares = _iterate(iterators, source, positions, seed)
    # Its threads may run Python (tfds reads records so) and would then wait for ever
    # for an interpreter that is exiting; this drops, and so stops, them before.
    weakref.finalize(shares, iterators.clear)
    return shares


def first_images(source: Source, *, resolution: int, count: int, seed: int) -> Batch:
    """The first images of the shuffled order, e.g. for a grid of reals.

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


def image_index(position: int, num_images: int, seed: int) -> int:
    """Which image of the source has a position (see the top of this file)."""
    positions = tensorflow().constant([position], "int64")
    return int(_shuffled(positions, num_images, seed)[0])


def _shuffled(positions: Any, num_images: int, seed: int) -> Any:
    """Tensor version of `image_index`, int64 [n] -> int64 [n]."""
    tf = tensorflow()
    epochs = positions // num_images
    # The shuffle sees 31 bits of a seed; hashing first lets larger ones differ too.
    hashed = int(np.random.SeedSequence(seed).generate_state(1)[0]) & 0x7FFFFFFF
    # As `tf.random.experimental.index_shuffle`, which pads seeds of vectors wrongly.
    count = tf.shape(epochs)
    seeds = [tf.fill(count, tf.constant(n, tf.int64)) for n in (PADDING, hashed)]
    return tf.raw_ops.RandomIndexShuffle(
        index=positions % num_images,
        seed=tf.stack([*seeds, epochs], -1),
        max_index=tf.constant(num_images - 1, tf.int64),
        rounds=4,
    )


def _iterate(
    iterators: list[Any], source: Source, positions: Any, seed: int
) -> Iterator[Batch]:
    """Yields from `iterators[0]`, to which it keeps no reference of its own."""
    tf = tensorflow()
    batch = 0
    while True:
        try:
            images, labels = next(iterators[0])
        # Messages that quote a damaged record are no text, and fail for that.
        except (tf.errors.OpError, UnicodeDecodeError) as error:
            raise _explained(source, positions(batch), seed) from error
        yield images, labels
        batch += 1


def _explained(source: Source, positions: range, seed: int) -> Exception:
    """The error of a failed batch, with the image that is to blame."""
    for position in positions:
        index = image_index(position, source.num_images, seed)
        try:
            reason = source.check(index)
        except OSError as error:
            return OSError(
                f"{source.describe(index)} can't be read: {error.strerror or error}; "
                "start again to resume when it can"
            )
        if reason:
            return UnusableImage(
                f"{source.describe(index)} {reason}; repair, replace or remove it. "
                "Removing it changes the order of the images of a resumed run"
            )
    return RuntimeError(
        f"Reading images {positions.start} to {positions.stop - 1} of {source.name} "
        f"failed, yet each of them can be read now; start again to resume"
    )


def _check_resolution(source: Source, resolution: int) -> None:
    factor, rest = divmod(source.resolution, max(resolution, 1))
    usable = resolution >= 1 and factor and not rest and not factor & (factor - 1)
    if not usable or any(side % factor for side in source.size):
        raise ValueError(
            f"`resolution` (={resolution}) must be the {source.resolution} of "
            f"{source.name} or half of it, a quarter, an eighth..."
        )
