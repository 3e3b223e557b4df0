"""One shard of a prepared data set: a range of images, processed in parallel."""

import contextlib
import dataclasses
import hashlib
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from stylegan_jax.data import decoding, images
from stylegan_jax.data.formats import tfrecord
from stylegan_jax.data.interface import InvalidImage, RawDataset
from stylegan_jax.data.labels import Labels
from stylegan_jax.data.preparation.options import OutputSize, PrepareOptions
from stylegan_jax.data.preparation.output import shard_name
from stylegan_jax.runtime.tensorflow import tensorflow


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A prepared image.

    Attributes:
      records: resolution -> serialized example.
      digest: SHA-256 of shape, label and pixels, as an integer.
      animated: True if it is the first frame of an animation.
    """

    records: dict[int, bytes]
    digest: int
    animated: bool


class Shard:
    """The preparation of a range of images, and their counts."""

    def __init__(
        self,
        raw: RawDataset,
        labels: Labels,
        options: PrepareOptions,
        size: OutputSize,
        channels: int,
    ):
        self._raw = raw
        self._labels = labels
        self._options = options
        self._size = size
        self._channels = channels
        self._skipped: list[tuple[str, str]] = []
        self._digest = self._animated = 0
        self._used: list[int] = []  # indices of the images that are not skipped

    def write(self, folder: Path, number: int, count: int, indices: range) -> None:
        """Write the file of the shard, or with `multires` one per resolution.

        Args:
          folder: folder of the data set.
          number: index of the shard.
          count: number of shards.
          indices: the images.
        """
        resolutions = self._size.levels(self._options.multires)
        with contextlib.ExitStack() as stack:
            writers = {
                resolution: stack.enter_context(
                    tfrecord.Writer(folder / shard_name(resolution, number, count))
                )
                for resolution in resolutions
            }
            for records in self._records(indices):
                for resolution in resolutions:
                    writers[resolution].write(records[resolution])

    def summary(self) -> dict:
        """Return the counts that `output.dataset_info` adds up."""
        used = Labels(self._labels.names, self._labels.values[self._used])
        return {
            "count": len(self._used),
            "skipped": self._skipped,
            "animated": self._animated,
            "digest": f"{self._digest % 2**256:064x}",
            "label_totals": used.counts().totals,
        }

    def _records(self, indices: range) -> Iterator[dict[int, bytes]]:
        ahead = 4 * self._options.workers
        with ThreadPoolExecutor(self._options.workers) as pool:
            for start in range(indices.start, indices.stop, ahead):
                chunk = range(start, min(start + ahead, indices.stop))
                # Read in this thread, because archives have a single reader.
                contents = map(self._read, chunk)
                for index, done in zip(
                    chunk, pool.map(self._prepare, chunk, contents), strict=True
                ):
                    if isinstance(done, InvalidImage):
                        self._skip(index, done)
                        continue
                    self._used.append(index)
                    self._digest += done.digest
                    self._animated += done.animated
                    yield done.records

    def _skip(self, index: int, problem: InvalidImage) -> None:
        name = self._raw.names[index]
        if self._options.strict:
            raise ValueError(
                f"{name} of {self._raw.name} {problem}; repair or remove it, "
                "or omit --strict to skip it"
            )
        self._skipped.append((name, str(problem)))

    def _read(self, index: int) -> bytes | np.ndarray | InvalidImage:
        try:
            return self._raw.read(index)
        except InvalidImage as problem:
            return problem

    def _prepare(
        self, index: int, content: bytes | np.ndarray | InvalidImage
    ) -> Prepared | InvalidImage:
        if isinstance(content, InvalidImage):
            return content
        try:
            return self._prepared(index, content)
        except InvalidImage as problem:
            return problem

    def _prepared(self, index: int, content: bytes | np.ndarray) -> Prepared:
        options, size = self._options, self._size
        target = options.size or size.size
        animated = decoding.read_header(content, options.max_pixels).animated
        image = decoding.decode_pil(content, options.max_pixels)
        own = image.height, image.width
        problem = images.size_problem_pil(own, target, options.crop)
        if problem:
            raise InvalidImage(problem)
        image = images.to_channels_pil(image, self._channels)
        image = images.fit_pil(image, target, options.crop, options.filter)
        pixels = np.asarray(image).reshape(*size.size, self._channels)
        label = self._labels.values[index] if self._labels.names else -1
        resolutions = size.levels(options.multires)
        # "center-wide" pads to a square, and so changes even images of its size.
        keep_jpeg = (
            own == target == size.size
            and options.format == "tfrecord"
            and decoding.is_plain_jpeg(content, self._channels, options.max_pixels)
        )
        compress_level = 0 if options.format == "zip" else 6
        records = {
            resolution: _record(
                content if keep_jpeg and not level else _png(smaller, compress_level),
                label,
            )
            for level, (resolution, smaller) in enumerate(
                zip(
                    resolutions,
                    images.pyramid(pixels, len(resolutions) - 1),
                    strict=True,
                )
            )
        }
        shape = f"{pixels.shape} {np.asarray(label).tolist()}\n".encode()
        digest = hashlib.sha256(shape + pixels.tobytes()).digest()
        return Prepared(records, int.from_bytes(digest, "big"), animated)


def _record(encoded: bytes, label: int | np.ndarray) -> bytes:
    train = tensorflow().train
    feature = {"image": train.Feature(bytes_list=train.BytesList(value=[encoded]))}
    if np.ndim(label):
        feature["label"] = train.Feature(float_list=train.FloatList(value=label))
    elif label >= 0:
        feature["label"] = train.Feature(int64_list=train.Int64List(value=[label]))
    example = train.Example(features=train.Features(feature=feature))
    return example.SerializeToString(deterministic=True)


def _png(pixels: np.ndarray, compress_level: int) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    image.save(file, "PNG", compress_level=compress_level)
    return file.getvalue()
