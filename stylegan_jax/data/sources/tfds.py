"""Any TensorFlow Datasets image data set as a data source."""

from typing import Any

from stylegan_jax import config
from stylegan_jax.data import images, tfrecords
from stylegan_jax.data.interface import Load, Source
from stylegan_jax.data.sources.header_check import even_sample, prepare_command
from stylegan_jax.data.tfds_split import NO_CLASS, Split, open_split

MAX_HEADERS = 64  # records whose size is checked at opening
MAX_LABELS = 1000  # records whose labels are counted at opening


def open_tfds(data: config.Data) -> Source:
    """Opens split `data.tfds_split` of `data.tfds_name`, preparing it if allowed.

    Raises:
      ValueError: as `open_split`, images of an unusable size, or classes of only some.
    """
    split = open_split(data)
    _check_sizes(split, data)
    count = split.records.count
    counted = split.labels(even_sample(count, MAX_LABELS))
    tf = images.tensorflow()
    size = config.image_size(data.base_size, data.resolution)
    how = (size, data.channels, data.fit)

    def decode(record: Any) -> tuple[Any, Any]:
        encoded, label = split.parse(record)
        if counted.names:
            tf.debugging.assert_none_equal(label, NO_CLASS)
        label = tf.one_hot(label, len(counted.names))
        return images.load_encoded(encoded, *how), label

    def check(index: int) -> str | None:
        try:
            content = split.encoded(index)
            if counted.names and not split.labels([index]).names:
                return f"has no class (its label is {NO_CLASS}), others have one"
        except (FileNotFoundError, tf.errors.OpError) as error:
            return f"can't be read: {error}"
        return images.encoded_problem(content, *how)

    return Source(
        name=split.name,
        num_images=count,
        classes=counted.names,
        label_totals=counted.totals(),
        labels_counted=len(counted.values),
        base_size=data.base_size,
        resolution=data.resolution,
        channels=data.channels,
        fingerprint=split.fingerprint,
        load=Load(decode, tfrecords.fetcher(split.records.read)),
        describe=lambda index: f"{split.name}: {split.records.describe(index)}",
        check=check,
    )


def _check_sizes(split: Split, data: config.Data) -> None:
    """Raises on the first size that does not fit: the declared one, or a sample's."""
    wanted = config.image_size(data.base_size, data.resolution)
    if all(split.size):
        sizes = {split.name: split.size}
    else:
        sizes = {
            f"{split.name}: {split.records.describe(i)}": images.header(
                split.encoded(i)
            )
            for i in even_sample(split.records.count, MAX_HEADERS)
        }
    for place, size in sizes.items():
        if isinstance(size, str):
            raise ValueError(f"{place} {size}; prepare the data set again")
        problem = images.size_problem(*size, wanted, data.fit)
        if problem:
            raise ValueError(
                f"{place} {problem}; {images.size_remedy([size], data)}; or make a "
                f"data set of one size with `{prepare_command(data)}`"
            )
