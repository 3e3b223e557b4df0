"""NVIDIA's multi-resolution TFRecords as a data source, without preparation."""

import hashlib
import os
from pathlib import Path
from typing import Any

from stylegan_jax import config
from stylegan_jax.data import images, labels, tfrecords
from stylegan_jax.data.formats import nvidia_tfrecords
from stylegan_jax.data.formats.collection import Unusable
from stylegan_jax.data.interface import Load, Source
from stylegan_jax.data.sources.header_check import prepare_command
from stylegan_jax.runtime import storage

PIECES, PIECE_BYTES = 256, 64  # of each file, in the fingerprint


def open_tfrecords(data: config.Data) -> Source:
    """The images of the folder `data.path`, each resolution from its own file.

    Their labels are those of the `.labels` file beside them. The crc of records is
    looked at when something fails, not in every read: it would take longer than the
    rest of the work.

    Raises:
      ValueError: no such files, damaged ones, or images that don't fit.
    """
    found = _find(data)
    size = config.image_size(data.base_size, data.resolution)
    larger = [r for r in found if r >= min(data.resolution, max(found))]
    files = {r: found[r] for r in found if r <= larger[0]}
    levels = {r: _Level(path, r) for r, path in files.items()}
    full = levels[larger[0]]
    problem = images.size_problem(full.resolution, full.resolution, size, data.fit)
    if problem:
        remedy = images.size_remedy([(full.resolution, full.resolution)], data)
        raise ValueError(
            f"Each image of {full.path} {problem}; {remedy}; or make a data set of "
            f"that size with `{prepare_command(data)}`"
        )
    count = len(full.reader)
    for level in levels.values():
        channels = level.shape[2]
        if (len(level.reader), channels) != (count, full.shape[2]):
            raise ValueError(
                f"{level.path} holds {len(level.reader)} images of {channels} "
                f"channels, {full.path} {count} of {full.shape[2]}; copy them again"
            )
    own = nvidia_tfrecords.read_labels(full.path, count) or labels.none(count)
    # Images of other channels or shapes are made of the full ones, as they would be
    # without levels.
    same = (data.base_size, data.channels) == ((4, 4), full.shape[2])
    label_of = own.lookup()

    def loader(level: "_Level", how: tuple[images.Size, int, str]) -> Load:
        fetch = tfrecords.fetcher(level.reader.read)
        return Load(
            lambda record, label: (level.decode(record, *how), label),
            lambda indices: (fetch(indices), label_of(indices)),
        )

    def check(index: int) -> str | None:
        for level in levels.values():
            problem = level.check(index)
            if problem:
                return problem
        return None

    return Source(
        name=f"tfrecords {data.path}",
        num_images=count,
        classes=own.names,
        label_totals=own.totals(),
        label_vectors=own.are_vectors,
        base_size=data.base_size,
        resolution=data.resolution,
        channels=data.channels,
        fingerprint=_fingerprint(found, levels[min(levels)].reader, own),
        load=loader(full, (size, data.channels, data.fit)),
        describe=full.reader.place,
        check=check,
        levels={
            r: loader(level, ((r, r), data.channels, "exact"))
            for r, level in levels.items()
            if same and r < data.resolution
        },
    )


class _Level:
    """The images of one resolution."""

    def __init__(self, path: Path, resolution: int):
        self.path, self.resolution = path, resolution
        try:
            self.reader = tfrecords.Reader([path])
            if not len(self.reader):
                raise ValueError(f"{path} has no records")
            first = nvidia_tfrecords.decode(self.reader.read_checked(0))
        except (OSError, ValueError, Unusable) as error:
            raise ValueError(
                f"{path} can't be read ({error}); copy it again"
            ) from error
        if first.shape[:2] != (resolution, resolution):
            raise ValueError(
                f"{path} holds images of {first.shape[0]}x{first.shape[1]}; by its "
                f"name they are {resolution}x{resolution}"
            )
        self.shape = first.shape

    def decode(self, record: Any, size: images.Size, channels: int, how: str) -> Any:
        """uint8 [H, W, C], in `tf.data`."""
        tf = images.tensorflow()
        features = {
            "shape": tf.io.FixedLenFeature([3], tf.int64),
            "data": tf.io.FixedLenFeature([], tf.string),
        }
        example = tf.io.parse_single_example(record, features)
        planes = tf.io.decode_raw(example["data"], tf.uint8)
        image = tf.transpose(tf.reshape(planes, example["shape"]), [1, 2, 0])
        image = tf.ensure_shape(image, self.shape)
        return images.fit(images.to_channels(image, channels), size, how)

    def check(self, index: int) -> str | None:
        """Why an image can't be used; None if it can."""
        try:
            image = nvidia_tfrecords.decode(self.reader.read_checked(index))
        except FileNotFoundError as error:
            return f"can't be read: {error}"
        except (ValueError, Unusable) as problem:
            return str(problem)
        if image.shape != self.shape:
            return f"in {self.path} is of shape {image.shape}, not {self.shape}"
        return None


def _find(data: config.Data) -> dict[int, Path]:
    root = storage.local_path(data.path, "data.path")
    found = nvidia_tfrecords.levels(root) if root.is_dir() else {}
    if not found:
        raise ValueError(
            f"`data.path` (={data.path!r}) must be a folder with NVIDIA's "
            "NAME-r02.tfrecords, NAME-r03.tfrecords and so on; a folder that `prepare` "
            "made is of `--config.data.source=prepared`"
        )
    return found


def _fingerprint(
    files: dict[int, Path], smallest: tfrecords.Reader, own: labels.Labels
) -> str:
    """Digest of labels and content, the same whatever resolution is trained at.

    Of the content it sees the checksum of every image of the smallest resolution, which
    the other images determine; and the size and evenly spread pieces of each file.
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
