"""NVIDIA's multi-resolution TFRecords as a data source, without preparation."""

import hashlib
import os
from pathlib import Path
from typing import Any

from stylegan_jax import config
from stylegan_jax.data import images, labels
from stylegan_jax.data.formats import nvidia_tfrecords, tfrecord
from stylegan_jax.data.images import ImageSpec
from stylegan_jax.data.interface import InvalidImage, Loader, Source
from stylegan_jax.data.sources.image_files import prepare_command
from stylegan_jax.runtime import storage
from stylegan_jax.runtime.tensorflow import tensorflow

PIECES, PIECE_BYTES = 256, 64  # of each file, in the fingerprint


def open_tfrecords(data: config.Data) -> Source:
    """Open the images of the folder `data.path`, each resolution from its own file.

    Their labels are those of the `.labels` file next to them. The CRC of a record is
    checked only when something fails, not on every read.

    Raises:
      ValueError: there are no such files, they are damaged, or their images do not fit.
    """
    found = _find(data)
    spec = ImageSpec.from_config(data)
    larger = [r for r in found if r >= min(data.resolution, max(found))]
    levels = {r: _Level(path, r) for r, path in found.items() if r <= larger[0]}
    full = levels[larger[0]]
    count = len(full.reader)
    _check_levels(data, spec, full, levels)
    own = nvidia_tfrecords.read_labels(full.path, count) or labels.unlabeled(count)
    label_of = own.lookup()
    # Images with other channels or shapes are made from those of full resolution.
    as_stored = (data.base_size, data.channels) == ((4, 4), full.shape[2])

    def loader(level: "_Level", spec: ImageSpec) -> Loader:
        fetch = tfrecord.fetcher(level.reader.read)
        return Loader(
            lambda record, label: (level.decode(record, spec), label),
            lambda indices: (fetch(indices), label_of(indices)),
        )

    def check(index: int) -> str | None:
        problems = (level.check(index) for level in levels.values())
        return next(filter(None, problems), None)

    return Source.create(
        data,
        own.counts(),
        name=f"tfrecords {data.path}",
        fingerprint=_fingerprint(found, levels[min(levels)].reader, own),
        load=loader(full, spec),
        describe=full.reader.describe,
        check=check,
        levels={
            r: loader(level, ImageSpec((r, r), data.channels, "exact"))
            for r, level in levels.items()
            if as_stored and r < data.resolution
        },
    )


class _Level:
    """The images of one resolution."""

    def __init__(self, path: Path, resolution: int):
        self.path, self.resolution = path, resolution
        try:
            self.reader = tfrecord.Reader([path])
            if not len(self.reader):
                raise ValueError(f"{path} has no records")
            first = nvidia_tfrecords.decode(self.reader.read_checked(0))
        except (OSError, ValueError, InvalidImage) as error:
            raise ValueError(
                f"{path} cannot be read ({error}); copy it again"
            ) from error
        if first.shape[:2] != (resolution, resolution):
            raise ValueError(
                f"{path} holds images of {first.shape[0]}x{first.shape[1]}; by its "
                f"name, they are {resolution}x{resolution}"
            )
        self.shape = first.shape

    def decode(self, record: Any, spec: ImageSpec) -> Any:
        """Decode a record inside `tf.data` to uint8 [H, W, C]."""
        tf = tensorflow()
        features = {
            "shape": tf.io.FixedLenFeature([3], tf.int64),
            "data": tf.io.FixedLenFeature([], tf.string),
        }
        example = tf.io.parse_single_example(record, features)
        planes = tf.io.decode_raw(example["data"], tf.uint8)
        image = tf.transpose(tf.reshape(planes, example["shape"]), [1, 2, 0])
        image = tf.ensure_shape(image, self.shape)
        return images.fit(images.to_channels(image, spec.channels), spec.size, spec.fit)

    def check(self, index: int) -> str | None:
        """Return the reason why an image cannot be used; None if it can."""
        try:
            image = nvidia_tfrecords.decode(self.reader.read_checked(index))
        except FileNotFoundError as error:
            return f"cannot be read: {error}"
        except (ValueError, InvalidImage) as problem:
            return str(problem)
        if image.shape != self.shape:
            return f"in {self.path} has shape {image.shape}, not {self.shape}"
        return None


def _find(data: config.Data) -> dict[int, Path]:
    root = storage.local_path(data.path, "data.path")
    found = nvidia_tfrecords.levels(root) if root.is_dir() else {}
    if not found:
        raise ValueError(
            f"`data.path` (={data.path!r}) must be a folder with NVIDIA's "
            "NAME-r02.tfrecords, NAME-r03.tfrecords and so on; for a folder that "
            "`prepare` made use `--config.data.source=prepared`"
        )
    return found


def _check_levels(
    data: config.Data, spec: ImageSpec, full: _Level, levels: dict[int, _Level]
) -> None:
    """Raise ValueError if the images do not fit the config, or the levels differ."""
    stored_size = full.resolution, full.resolution
    problem = images.size_problem(*stored_size, spec.size, spec.fit)
    if problem:
        raise ValueError(
            f"each image of {full.path} {problem}; "
            f"{images.size_remedy([stored_size], data)}; or make a data set of that "
            f"size with `{prepare_command(data)}`"
        )
    count, channels = len(full.reader), full.shape[2]
    for level in levels.values():
        if (len(level.reader), level.shape[2]) != (count, channels):
            raise ValueError(
                f"{level.path} holds {len(level.reader)} images of {level.shape[2]} "
                f"channels, {full.path} {count} of {channels}; copy them again"
            )


def _fingerprint(
    files: dict[int, Path], smallest: tfrecord.Reader, own: labels.Labels
) -> str:
    """Return the digest of labels and content, the same for every training resolution.

    It covers the checksum of every image of the smallest resolution, which the larger
    images determine, and the size and evenly spaced pieces of each file.
    """
    digest = hashlib.sha256(own.digest().encode())
    digest.update(smallest.checksums().tobytes())
    for resolution, path in files.items():
        size = path.stat().st_size
        digest.update(f"{resolution}\0{size}\n".encode())
        with open(path, "rb", buffering=0) as file:
            last = max(size - PIECE_BYTES, 0)
            for piece in range(PIECES):
                begin = last * piece // (PIECES - 1)
                digest.update(os.pread(file.fileno(), PIECE_BYTES, begin))
    return digest.hexdigest()
