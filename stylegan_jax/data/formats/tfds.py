"""TensorFlow Datasets: one split with random access, for training and for `prepare`.

TFDS's own data sources (`builder.as_data_source`) are used where possible: they read
array_record, but by default TFDS prepares data sets as TFRecords, which
`tfrecord.Reader` reads. Both give serialized examples, which are decoded inside
`tf.data` like the images of all other sources.
"""

import dataclasses
import difflib
import hashlib
import importlib.util
import json
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from stylegan_jax import config
from stylegan_jax.data import labels
from stylegan_jax.data.formats import tfrecord
from stylegan_jax.data.interface import InvalidImage, RawDataset, identity
from stylegan_jax.runtime import processes, storage
from stylegan_jax.runtime.tensorflow import tensorflow

NO_CLASS = -1  # label of images without a class; often all of a test split


@dataclasses.dataclass(frozen=True)
class Split:
    """A split that is ready to be read.

    Attributes:
      name: name in messages.
      num_images: number of examples.
      read: index -> serialized example.
      describe: index -> the example's record and file, for messages.
      parse: serialized example, as a tensor -> the encoded image, and its class as an
        int32 []: 0 without classes, `NO_CLASS` where only the image has none.
      classes: names of the classes, even if this split's images have none.
      size: height and width of all images; None for a side that varies.
      fingerprint: hex digest of name, version and number of examples.
    """

    name: str
    num_images: int
    read: Callable[[int], bytes]
    describe: Callable[[int], str]
    parse: Callable[[Any], tuple[Any, Any]]
    classes: tuple[str, ...]
    size: tuple[int | None, int | None]
    fingerprint: str

    def encoded(self, index: int) -> bytes:
        """Return an image as it is stored."""
        return self.parse(tensorflow().constant(self.read(index)))[0].numpy()

    def labels(self, indices: Iterable[int]) -> labels.Labels:
        """Read the classes of some images; no labels if none of them has a class.

        Raises:
          ValueError: some images have a class, others have none.
        """
        if not self.classes:
            return labels.unlabeled(len(list(indices)))
        tf = tensorflow()
        examples = (self.read(index) for index in indices)
        signature = tf.TensorSpec([], tf.string)
        found = (
            tf.data.Dataset.from_generator(lambda: examples, output_signature=signature)
            .map(lambda example: self.parse(example)[1], num_parallel_calls=4)
            .batch(1024)
            .as_numpy_iterator()
        )
        numbers = np.concatenate(list(found))
        missing = int((numbers == NO_CLASS).sum())
        if missing == len(numbers):
            return labels.unlabeled(missing)
        if missing:
            raise ValueError(
                f"{missing} of the {len(numbers)} images checked in {self.name} have "
                f"no class (their label is {NO_CLASS}), the others have one; choose a "
                "`data.tfds_split` in which all images have a class, or none do"
            )
        return labels.from_class_numbers(self.classes, numbers)


def open_raw(name: str, split: str | None, data_dir: str | None) -> RawDataset:
    """Open a split for `prepare`, with its classes if it has them.

    Args:
      name: e.g. "cifar10"; TFDS downloads and prepares it if necessary.
      split: None for "train".
      data_dir: directory of TFDS; None for its default.

    Raises:
      ValueError: the split cannot be opened, or only some of its images have a class.
    """
    data = config.Data(
        source="tfds",
        tfds_name=name,
        tfds_split=split or "train",
        tfds_data_dir=data_dir,
    )
    try:
        opened = open_split(data)
        own_labels = opened.labels(range(opened.num_images))
    except ValueError as error:
        raise ValueError(
            f"`--source` (=tfds:{name}) cannot be opened: {error} (in `prepare`, use "
            "--split and --tfds_data_dir in place of these settings)"
        ) from error

    def read(index: int) -> bytes:
        try:
            return opened.encoded(index)
        except (OSError, tensorflow().errors.OpError) as error:
            raise InvalidImage(f"cannot be read: {error}") from error

    return RawDataset(
        name=opened.name,
        names=tuple(map(opened.describe, range(opened.num_images))),
        identity=identity([(opened.fingerprint, opened.num_images)]),
        read=read,
        own_labels=own_labels if own_labels.names else None,
    )


def open_split(data: config.Data) -> Split:
    """Open split `data.tfds_split` of `data.tfds_name`; download it if allowed.

    Raises:
      ValueError: the name or split is unknown, the data set is not prepared, or it
        does not have exactly one feature of uint8 images.
    """
    tf, tfds = tensorflow(), _tfds()
    # Otherwise every process would write the data set, and only one could rename it.
    builder = processes.in_turns("tfds", lambda: _open_builder(data))
    count, read, describe = _examples(builder, data)
    image_key = _image_feature(builder, data)
    label_key = _label_feature(builder, data)
    keys = [key for key in (image_key, label_key) if key]
    features = tfds.decode.PartialDecoding(dict.fromkeys(keys, True)).extract_features(
        builder.info.features
    )
    classes = ()
    if label_key:
        feature = builder.info.features[label_key]
        classes = tuple(feature.names or map(str, range(feature.num_classes or 0)))

    def parse(record: Any) -> tuple[Any, Any]:
        decoders = {image_key: tfds.decode.SkipDecoding()}
        example = features.deserialize_example(record, decoders=decoders)
        label = example[label_key] if label_key else tf.constant(0)
        return example[image_key], tf.cast(label, tf.int32)

    content = json.dumps([builder.info.full_name, data.tfds_split, count])
    return Split(
        name=f"tfds {builder.info.full_name} {data.tfds_split}",
        num_images=count,
        read=read,
        describe=describe,
        parse=parse,
        classes=classes,
        size=builder.info.features[image_key].shape[:2],
        fingerprint=hashlib.sha256(content.encode()).hexdigest(),
    )


def _tfds() -> Any:
    tensorflow()  # first, so that it is imported quietly
    import tensorflow_datasets as tfds

    return tfds


def _open_builder(data: config.Data) -> Any:
    """Return the builder of a prepared data set; download and prepare it if needed."""
    tfds = _tfds()
    directory = None
    if data.tfds_data_dir:
        directory = str(storage.local_path(data.tfds_data_dir, "data.tfds_data_dir"))
    try:
        builder = tfds.builder(data.tfds_name, data_dir=directory, try_gcs=False)
    except tfds.core.registered.DatasetNotFoundError as error:
        known = tfds.list_builders(with_community_datasets=False)
        close = difflib.get_close_matches(data.tfds_name, known, n=3)
        guess = f" (did you mean {' or '.join(close)}?)" if close else ""
        raise ValueError(
            f"`data.tfds_name` (={data.tfds_name!r}) is neither a data set that tfds "
            f"knows nor one prepared in {directory or tfds.core.constants.DATA_DIR}"
            f"{guess}; see https://www.tensorflow.org/datasets/catalog for the names, "
            "or set `--config.data.tfds_data_dir`"
        ) from error
    except ValueError as error:
        raise ValueError(
            f"`data.tfds_name` (={data.tfds_name!r}) cannot be opened: {error}"
        ) from error
    if builder.is_prepared():
        return builder
    if not data.tfds_download:
        command = f"tfds build {data.tfds_name}"
        if directory:
            command += f" --data_dir={directory}"
        raise ValueError(
            f"`data.tfds_name` (={data.tfds_name!r}) is not prepared in "
            f"{builder.data_dir} and `data.tfds_download` is False; prepare it with "
            f"`{command}`, set `--config.data.tfds_data_dir` to its directory, or "
            "allow the download with `--config.data.tfds_download=True`"
        )
    settings = tfds.download.DownloadConfig(try_download_gcs=False)
    try:
        builder.download_and_prepare(download_config=settings)
    except Exception as error:
        error.add_note(
            f"This happened while downloading `data.tfds_name` (={data.tfds_name!r}) "
            f"to {builder.data_dir}; a data set that is prepared needs no download."
        )
        raise
    return builder


def _examples(
    builder: Any, data: config.Data
) -> tuple[int, Callable[[int], bytes], Callable[[int], str]]:
    """Return the number of serialized examples, and their `read` and `describe`."""
    info = builder.info
    try:
        shards = info.splits[data.tfds_split].file_instructions
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"`data.tfds_split` (={data.tfds_split!r}) must be one of "
            f"{sorted(info.splits)} of {info.full_name}, or a slice such as "
            "'train[:90%]'"
        ) from error
    count = sum(shard.take for shard in shards)
    if not count:
        raise ValueError(
            f"`data.tfds_split` (={data.tfds_split!r}) of {info.full_name} in "
            f"{builder.data_dir} holds no images; choose another split"
        )
    match getattr(info.file_format, "value", None):
        case "tfrecord":
            names = [shard.filename for shard in shards]
            takes, skips = [s.take for s in shards], [s.skip for s in shards]
            try:
                reader = tfrecord.Reader(names, takes, skips)
            except ValueError as error:
                raise ValueError(
                    f"{error}; its split declares more records; prepare the data set "
                    "again"
                ) from error
            return count, reader.read, reader.describe
        case "array_record":
            if importlib.util.find_spec("array_record") is None:
                raise ValueError(
                    "the data set is stored as array_record, but that package is not "
                    "installed; run `pip install array_record`, or prepare the data "
                    "set with `tfds build --file_format=tfrecord`"
                )
            records = builder.as_data_source(
                data.tfds_split,
                deserialize_method=_tfds().decode.DeserializeMethod.RAW_BYTES,
            )
            return count, records.__getitem__, lambda index: _place(shards, index)
        case other:
            raise ValueError(
                f"{info.full_name} in {builder.data_dir} is stored as {other!r}; "
                "supported are 'array_record' and 'tfrecord'; prepare it again with "
                "`tfds build --file_format=array_record`"
            )


def _place(shards: list[Any], index: int) -> str:
    for shard in shards:
        if index < shard.take:
            return f"record {shard.skip + index} of {shard.filename}"
        index -= shard.take
    raise IndexError(index)


def _image_feature(builder: Any, data: config.Data) -> str:
    keys = _keys(builder, _tfds().features.Image)
    supervised = builder.info.supervised_keys or ()
    preferred = [key for key in keys if key in ("image", *supervised)]
    candidates = keys if len(keys) == 1 else preferred
    if len(candidates) != 1:
        raise ValueError(
            f"`data.tfds_name` (={data.tfds_name!r}) must have one image feature; it "
            f"has {keys or 'none'} among {sorted(builder.info.features)}"
        )
    dtype = builder.info.features[candidates[0]].np_dtype
    if dtype != np.uint8:
        raise ValueError(
            f"`data.tfds_name` (={data.tfds_name!r}) has images of type "
            f"{np.dtype(dtype).name}; only uint8 images are supported"
        )
    return candidates[0]


def _label_feature(builder: Any, data: config.Data) -> str | None:
    keys = _keys(builder, _tfds().features.ClassLabel)
    supervised = builder.info.supervised_keys or ()
    preferred = [key for key in keys if key in supervised]
    candidates = keys if len(keys) == 1 else preferred or [*{"label"} & {*keys}]
    if len(candidates) == 1:
        return candidates[0]
    if data.conditional and keys:
        raise ValueError(
            f"`data.tfds_name` (={data.tfds_name!r}) has several labels, {keys}, and "
            "none is its supervised key; unset `data.conditional`"
        )
    return None


def _keys(builder: Any, feature_type: type) -> list[str]:
    """Return the names of all features of a type."""
    return [k for k, f in builder.info.features.items() if isinstance(f, feature_type)]
