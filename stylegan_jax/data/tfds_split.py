"""One split of a TensorFlow Datasets image data set, with random access."""

import dataclasses
import difflib
import hashlib
import importlib.util
import json
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from stylegan_jax import config
from stylegan_jax.data import images, labels, tfrecords
from stylegan_jax.runtime import storage

NO_CLASS = -1  # as the label of an image; in test splits often of all


@dataclasses.dataclass(frozen=True)
class Records:
    """The serialized examples of a split: `read` gives one, `describe` its place."""

    count: int
    read: Callable[[int], bytes]
    describe: Callable[[int], str]


@dataclasses.dataclass(frozen=True)
class Split:
    """A split that is ready to be read.

    Attributes:
      name: what messages call it.
      records: its serialized examples.
      parse: one of them, as a tensor, to the encoded image and its class, int32 [],
        0 without classes; `NO_CLASS` where only the image has none.
      classes: their names, also if this split's images have none.
      size: height and width of all images; either is None where it differs.
      fingerprint: hex digest of name, version and number of records.
    """

    name: str
    records: Records
    parse: Callable[[Any], tuple[Any, Any]]
    classes: tuple[str, ...]
    size: tuple[int | None, int | None]
    fingerprint: str

    def encoded(self, index: int) -> bytes:
        """The image as it is stored."""
        record = images.tensorflow().constant(self.records.read(index))
        return self.parse(record)[0].numpy()

    def labels(self, indices: Iterable[int]) -> labels.Labels:
        """The classes of some images; none if all of them are -1.

        Reads their records.

        Raises:
          ValueError: some have a class, others none.
        """
        if not self.classes:
            return labels.none(len(list(indices)))
        tf = images.tensorflow()
        records = (self.records.read(index) for index in indices)
        signature = tf.TensorSpec([], tf.string)
        found = (
            tf.data.Dataset.from_generator(lambda: records, output_signature=signature)
            .map(lambda record: self.parse(record)[1], num_parallel_calls=4)
            .batch(1024)
            .as_numpy_iterator()
        )
        numbers = np.concatenate(list(found))
        missing = int((numbers == NO_CLASS).sum())
        if missing == len(numbers):
            return labels.none(missing)
        if missing:
            raise ValueError(
                f"{missing} of the {len(numbers)} images looked at in {self.name} have "
                f"no class (their label is {NO_CLASS}), the others have one; choose a "
                "`data.tfds_split` in which all have one, or none"
            )
        return labels.of_classes(self.classes, numbers)


def open_split(data: config.Data) -> Split:
    """Opens split `data.tfds_split` of `data.tfds_name`, preparing it if allowed.

    Raises:
      ValueError: unknown name or split, not prepared, or no single image feature.
    """
    tf, tfds = images.tensorflow(), _tfds()
    builder = _prepared_builder(data)
    records = _records(builder, data)
    image_key = _image_feature(builder, data)
    label_key = _label_feature(builder, data)
    keys = [key for key in (image_key, label_key) if key]
    features = tfds.decode.PartialDecoding(dict.fromkeys(keys, True)).extract_features(
        builder.info.features
    )

    def parse(record: Any) -> tuple[Any, Any]:
        decoders = {image_key: tfds.decode.SkipDecoding()}
        example = features.deserialize_example(record, decoders=decoders)
        label = example[label_key] if label_key else tf.constant(0)
        return example[image_key], tf.cast(label, tf.int32)

    return Split(
        name=f"tfds {builder.info.full_name} {data.tfds_split}",
        records=records,
        parse=parse,
        classes=_class_names(builder.info.features[label_key]) if label_key else (),
        size=builder.info.features[image_key].shape[:2],
        fingerprint=_fingerprint(builder, data, records.count),
    )


def _tfds() -> Any:
    images.tensorflow()  # first, so that it is imported quietly
    import tensorflow_datasets as tfds

    return tfds


def _prepared_builder(data: config.Data) -> Any:
    tfds = _tfds()
    directory = None
    if data.tfds_data_dir:
        directory = str(storage.local_path(data.tfds_data_dir, "data.tfds_data_dir"))
    try:
        builder = tfds.builder(data.tfds_name, data_dir=directory, try_gcs=False)
    except tfds.core.registered.DatasetNotFoundError as error:
        known = tfds.list_builders(with_community_datasets=False)
        close = difflib.get_close_matches(data.tfds_name, known, n=3)
        guess = f"did you mean {' or '.join(close)}? " if close else ""
        raise ValueError(
            f"`data.tfds_name` (={data.tfds_name!r}) is neither a data set that tfds "
            f"knows nor one prepared in {directory or tfds.core.constants.DATA_DIR}; "
            f"{guess}See https://www.tensorflow.org/datasets/catalog for the names, or "
            "set `--config.data.tfds_data_dir`"
        ) from error
    except ValueError as error:
        raise ValueError(
            f"`data.tfds_name` (={data.tfds_name!r}) can't be opened: {error}"
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
            f"`{command}`, set `--config.data.tfds_data_dir` to where it is, or allow "
            "the download with `--config.data.tfds_download=True`"
        )
    settings = tfds.download.DownloadConfig(try_download_gcs=False)
    try:
        builder.download_and_prepare(download_config=settings)
    except Exception as error:
        error.add_note(
            f"While downloading `data.tfds_name` (={data.tfds_name!r}) to "
            f"{builder.data_dir}; a data set that is prepared already is used as it is."
        )
        raise
    return builder


def _records(builder: Any, data: config.Data) -> Records:
    try:
        shards = builder.info.splits[data.tfds_split].file_instructions
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"`data.tfds_split` (={data.tfds_split!r}) must be one of "
            f"{sorted(builder.info.splits)} of {builder.info.full_name}, or a slice "
            "such as 'train[:90%]'"
        ) from error
    if not sum(shard.take for shard in shards):
        raise ValueError(
            f"`data.tfds_split` (={data.tfds_split!r}) of {builder.info.full_name} in "
            f"{builder.data_dir} holds no images; choose another split"
        )
    file_format = getattr(builder.info.file_format, "value", None)
    if file_format not in _READERS:
        raise ValueError(
            f"{builder.info.full_name} in {builder.data_dir} is stored as "
            f"{file_format!r}; supported are {tuple(_READERS)}. Prepare it again with "
            "`tfds build --file_format=array_record`"
        )
    return _READERS[file_format](shards)


def _array_record_reader(shards: list[Any]) -> Records:
    if importlib.util.find_spec("array_record") is None:
        raise ValueError(
            "The data set is stored as array_record, but the package is not installed; "
            "run `pip install array_record`, or prepare the data set with "
            "`tfds build --file_format=tfrecord`"
        )
    from array_record.python.array_record_data_source import ArrayRecordDataSource

    reader = ArrayRecordDataSource(shards)
    return Records(
        count=len(reader),
        read=lambda index: reader[int(index)],
        describe=lambda index: _place(shards, index),
    )


def _tfrecord_reader(shards: list[Any]) -> Records:
    files = [shard.filename for shard in shards]
    takes, skips = [s.take for s in shards], [s.skip for s in shards]
    try:
        reader = tfrecords.Reader(files, takes, skips)
    except ValueError as error:
        raise ValueError(
            f"{error}; its split says it has more. Prepare the data set again"
        ) from error
    return Records(len(reader), reader.read, reader.place)


_READERS = {"array_record": _array_record_reader, "tfrecord": _tfrecord_reader}


def _place(shards: list[Any], index: int) -> str:
    for shard in shards:
        if index < shard.take:
            return f"record {shard.skip + index} of {shard.filename}"
        index -= shard.take
    raise IndexError(index)


def _image_feature(builder: Any, data: config.Data) -> str:
    feature_type = _tfds().features.Image
    keys = [k for k, f in builder.info.features.items() if isinstance(f, feature_type)]
    supervised = builder.info.supervised_keys or ()
    preferred = [k for k in keys if k in ("image", *supervised)]
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
    feature_type = _tfds().features.ClassLabel
    keys = [k for k, f in builder.info.features.items() if isinstance(f, feature_type)]
    supervised = builder.info.supervised_keys or ()
    preferred = [k for k in keys if k in supervised] or [
        k for k in keys if k == "label"
    ]
    candidates = keys if len(keys) == 1 else preferred
    if len(candidates) == 1:
        return candidates[0]
    if data.conditional and keys:
        raise ValueError(
            f"`data.tfds_name` (={data.tfds_name!r}) has several labels, {keys}, and "
            "none is its main one; unset `data.conditional`"
        )
    return None


def _class_names(feature: Any) -> tuple[str, ...]:
    count = feature.num_classes or 0
    return tuple(feature.names or map(str, range(count)))


def _fingerprint(builder: Any, data: config.Data, count: int) -> str:
    identity = [builder.info.full_name, data.tfds_split, count]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()
