"""One shard of a prepared data set: a range of images, worked on in parallel."""

import contextlib
import dataclasses
import hashlib
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from stylegan_jax.data import tfrecords
from stylegan_jax.data.formats.collection import Collection, Unusable
from stylegan_jax.data.labels import Labels
from stylegan_jax.data.preparation import transform
from stylegan_jax.data.preparation.request import Geometry, Request
from stylegan_jax.runtime.tensorflow import tensorflow


@dataclasses.dataclass(frozen=True)
class Prepared:
    """One finished image: its record for each resolution and what is counted."""

    records: dict[int, bytes]
    digest: int
    animated: bool


class Shard:
    """Prepares a range of images and remembers what it met."""

    def __init__(
        self,
        collection: Collection,
        labels: Labels,
        request: Request,
        geometry: Geometry,
        channels: int,
    ):
        self._collection = collection
        self._labels = labels
        self._request = request
        self._geometry = geometry
        self._channels = channels
        self._skipped: list[tuple[str, str]] = []
        self._digest = self._animated = 0
        self._used: list[int] = []  # indices of the images that are not skipped

    def write(self, folder: Path, stem: str, indices: range) -> None:
        """Writes the shard's file, with multires one for each resolution."""
        resolutions = self._geometry.levels(self._request.multires)
        with contextlib.ExitStack() as stack:
            writers = {
                resolution: stack.enter_context(
                    tfrecords.Writer(folder / f"r{resolution:04d}-{stem}")
                )
                for resolution in resolutions
            }
            for records in self._records(indices):
                for resolution in resolutions:
                    writers[resolution].write(records[resolution])

    def note(self) -> dict:
        """What `_info` sums up."""
        used = Labels(self._labels.names, self._labels.values[self._used])
        return {
            "count": len(self._used),
            "skipped": self._skipped,
            "animated": self._animated,
            "digest": f"{self._digest % 2**256:064x}",
            "label_totals": used.totals(),
        }

    def _records(self, indices: range) -> Iterator[dict[int, bytes]]:
        ahead = 4 * self._request.workers
        with ThreadPoolExecutor(self._request.workers) as pool:
            for start in range(indices.start, indices.stop, ahead):
                chunk = range(start, min(start + ahead, indices.stop))
                contents = map(self._read, chunk)  # here: archives have one reader
                for index, done in zip(
                    chunk, pool.map(self._prepare, chunk, contents), strict=True
                ):
                    if isinstance(done, Unusable):
                        self._skip(index, done)
                        continue
                    self._used.append(index)
                    self._digest += done.digest
                    self._animated += done.animated
                    yield done.records

    def _skip(self, index: int, problem: Unusable) -> None:
        name = self._collection.names[index]
        if self._request.strict:
            raise ValueError(
                f"{name} of {self._collection.name} {problem}; repair or remove it, "
                "or leave out --strict to skip it"
            )
        self._skipped.append((name, str(problem)))

    def _read(self, index: int) -> bytes | np.ndarray | Unusable:
        try:
            return self._collection.read(index)
        except Unusable as problem:
            return problem

    def _prepare(
        self, index: int, content: bytes | np.ndarray | Unusable
    ) -> Prepared | Unusable:
        if isinstance(content, Unusable):
            return content
        try:
            return self._prepared(index, content)
        except Unusable as problem:
            return problem

    def _prepared(self, index: int, content: bytes | np.ndarray) -> Prepared:
        request, geometry = self._request, self._geometry
        wanted = request.size or geometry.size
        animated = transform.header(content).animated
        image = transform.decode(content)
        own = image.height, image.width
        problem = transform.size_problem(own, wanted, request.crop)
        if problem:
            raise Unusable(problem)
        image = transform.to_channels(image, self._channels)
        image = transform.fit(image, wanted, request.crop, request.filter)
        pixels = np.asarray(image).reshape(*geometry.size, self._channels)
        label = self._labels.values[index] if self._labels.names else -1
        resolutions = geometry.levels(request.multires)
        # "center-wide" makes a square of what it is asked for, and so changes it.
        keep = (
            own == wanted == geometry.size
            and request.format == "tfrecord"
            and transform.is_plain_jpeg(content, self._channels)
        )
        compress = 0 if request.format == "zip" else 6
        records = {
            resolution: _record(
                content if keep and not halved else _png(smaller, compress), label
            )
            for halved, (resolution, smaller) in enumerate(
                zip(
                    resolutions,
                    transform.halvings(pixels, len(resolutions) - 1),
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
