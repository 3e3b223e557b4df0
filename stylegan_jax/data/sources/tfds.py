"""Any image data set of TensorFlow Datasets as a data source."""

from typing import Any

from stylegan_jax import config
from stylegan_jax.data import decoding, images
from stylegan_jax.data.formats import tfrecord
from stylegan_jax.data.formats.tfds import NO_CLASS, Split, open_split
from stylegan_jax.data.images import ImageSpec
from stylegan_jax.data.interface import Loader, Source
from stylegan_jax.data.sources.image_files import evenly_spaced, prepare_command
from stylegan_jax.runtime.tensorflow import tensorflow

MAX_HEADERS = 64  # examples whose size is checked at opening
MAX_LABELS = 1000  # examples whose labels are counted at opening


def open_tfds(data: config.Data) -> Source:
    """Open split `data.tfds_split` of `data.tfds_name`; download it if allowed.

    Raises:
      ValueError: the split cannot be opened (see `open_split`), images have an unusable
        size, or only some of them have a class.
    """
    split = open_split(data)
    spec = ImageSpec.from_config(data)
    _check_sizes(split, data, spec)
    counts = split.labels(evenly_spaced(split.num_images, MAX_LABELS)).counts()
    tf = tensorflow()

    def decode(record: Any) -> tuple[Any, Any]:
        encoded, label = split.parse(record)
        if counts.names:
            tf.debugging.assert_none_equal(label, NO_CLASS)
        label = tf.one_hot(label, len(counts.names))
        return decoding.load_encoded(encoded, spec), label

    def check(index: int) -> str | None:
        try:
            content = split.encoded(index)
            if counts.names and not split.labels([index]).names:
                return f"has no class (its label is {NO_CLASS}), others have one"
        except (FileNotFoundError, tf.errors.OpError) as error:
            return f"cannot be read: {error}"
        return decoding.encoded_problem(content, spec)

    return Source.create(
        data,
        counts,
        num_images=split.num_images,
        name=split.name,
        fingerprint=split.fingerprint,
        load=Loader(decode, tfrecord.fetcher(split.read)),
        describe=lambda index: f"{split.name}: {split.describe(index)}",
        check=check,
    )


def _check_sizes(split: Split, data: config.Data, spec: ImageSpec) -> None:
    """Raise ValueError for the first unusable size, declared or found in a sample."""
    if all(split.size):
        sizes = {split.name: split.size}
    else:
        sizes = {
            f"{split.name}: {split.describe(i)}": decoding.size_or_problem(
                split.encoded(i)
            )
            for i in evenly_spaced(split.num_images, MAX_HEADERS)
        }
    for place, size in sizes.items():
        if isinstance(size, str):
            raise ValueError(f"{place} {size}; prepare the data set again")
        problem = images.size_problem(*size, spec.size, spec.fit)
        if problem:
            raise ValueError(
                f"{place} {problem}; {images.size_remedy([size], data)}; or make a "
                f"data set of one size with `{prepare_command(data)}`"
            )
