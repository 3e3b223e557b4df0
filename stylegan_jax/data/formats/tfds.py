"""A TensorFlow Datasets name as a source of `prepare`."""

from stylegan_jax import config
from stylegan_jax.data.formats.collection import Collection, Unusable, identity
from stylegan_jax.data.tfds_split import open_split
from stylegan_jax.runtime.tensorflow import tensorflow


def open_tfds_collection(
    name: str, split: str | None, data_dir: str | None
) -> Collection:
    """The images of a split in their order, and their classes if they have some.

    Args:
      name: e.g. "cifar10"; downloaded and prepared by TFDS if it isn't yet.
      split: None is "train".
      data_dir: where TFDS keeps its data; None is its own default.

    Raises:
      ValueError: as `open_split`, or only some images have a class.
    """
    data = config.Data(
        source="tfds",
        tfds_name=name,
        tfds_split=split or "train",
        tfds_data_dir=data_dir,
    )
    try:
        opened = open_split(data)
        own_labels = opened.labels(range(opened.records.count))
    except ValueError as error:
        raise ValueError(
            f"`--source` (=tfds:{name}) can't be opened. {error} (In `prepare`, "
            "--split and --tfds_data_dir take the place of these settings.)"
        ) from error
    count = opened.records.count

    def read(index: int) -> bytes:
        try:
            return opened.encoded(index)
        except (OSError, tensorflow().errors.OpError) as error:
            raise Unusable(f"can't be read: {error}") from error

    return Collection(
        name=opened.name,
        names=tuple(map(opened.records.describe, range(count))),
        identity=identity([(opened.fingerprint, count)]),
        read=read,
        own_labels=own_labels if own_labels.names else None,
    )
