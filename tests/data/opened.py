"""Data sets for tests, prepared, opened and read."""

import io
import itertools

import chex
import numpy as np
import pytest
from PIL import Image

from stylegan_jax import config
from stylegan_jax.data import formats, pipeline, preparation
from stylegan_jax.data.preparation.options import PrepareOptions
from stylegan_jax.data.sources import open_source
from stylegan_jax.runtime.tensorflow import tensorflow


def data(source, path, **changes) -> config.Data:
    """Config of a data set of 16x16."""
    settings = {"source": source, "path": str(path), "resolution": 16} | changes
    return config.Data(**settings)


def folder(path, **changes) -> config.Data:
    return data(**{"source": "folder", "path": path} | changes)


def open_failure(data) -> str:
    """Message with which a source is refused."""
    with pytest.raises(ValueError) as error:
        open_source(data)
    return str(error.value)


def read(source, index=0):
    """An image, and its class; 0 without classes."""
    tf = tensorflow()
    image, label = source.load(tf.constant(index, tf.int64))
    label = label.numpy()
    assert label.dtype == np.float32 and label.shape == (source.label_size,)
    if not source.label_size:
        return image.numpy(), 0
    assert sorted(label) == [0] * (len(label) - 1) + [1]
    return image.numpy(), int(label.argmax())


def start(source, **changes):
    """Iterator over batches of 4."""
    settings = {
        "resolution": source.resolution,
        "batch_size": 4,
        "start_images": 0,
        "seed": 0,
        "process_index": 0,
        "process_count": 1,
        "prefetch_batches": 2,
    }
    return pipeline.batches(source, **(settings | changes))


def take(source, count, **changes):
    """The first `count` batches, concatenated: (images, labels)."""
    parts = list(itertools.islice(start(source, **changes), count))
    share = changes.get("batch_size", 4) // changes.get("process_count", 1)
    size = config.image_size(
        source.base_size, changes.get("resolution", source.resolution)
    )
    for images, labels in parts:
        chex.assert_shape(images, (share, *size, source.channels))
        chex.assert_shape(labels, (share, source.label_size))
        chex.assert_type([images, labels], [np.uint8, np.float32])
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def prepare(source, out, **changes) -> dict:
    """Run `prepare` on a path; return the content of dataset_info.json."""
    raw = formats.open_raw_dataset(str(source))
    return preparation.prepare(raw, PrepareOptions(out, **changes), lambda *_: None)


def prepare_failure(source, out, **changes) -> str:
    """Message with which `prepare` refuses a path."""
    with pytest.raises(ValueError) as error:
        prepare(source, out, **changes)
    return str(error.value)


def records(path) -> list[tuple[np.ndarray, int | None]]:
    """Images and labels of a shard, read by TensorFlow, which checks every CRC."""
    found = []
    for record in tensorflow().data.TFRecordDataset(str(path)).as_numpy_iterator():
        feature = tensorflow().train.Example.FromString(record).features.feature
        image = Image.open(io.BytesIO(feature["image"].bytes_list.value[0]))
        found.append((np.asarray(image), *feature["label"].int64_list.value))
    return found


def contents(folder) -> dict[str, bytes]:
    """Content of every file in a folder."""
    return {p.name: p.read_bytes() for p in folder.iterdir()}
