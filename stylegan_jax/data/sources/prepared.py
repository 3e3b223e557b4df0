"""A folder that `prepare` made as a data source."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stylegan_jax import config
from stylegan_jax.data import images, tfrecords
from stylegan_jax.data.interface import Load, Source
from stylegan_jax.data.preparation import FORMAT_VERSION, INFO
from stylegan_jax.data.sources.header_check import prepare_command
from stylegan_jax.runtime import storage

Parse = Callable[[Any], tuple[Any, Any]]  # records to encoded images and labels
Stored = tuple[int, int, int]  # height, width and channels


def open_prepared(data: config.Data) -> Source:
    """The images of `data.path` in the order in which they were prepared.

    With `--multires`, each resolution is read from files of its own, if neither
    `data.base_size` nor `data.channels` asks for other images than are stored.

    Raises:
      ValueError: the folder is none that `prepare` made, or its images don't fit.
    """
    root = storage.local_path(data.path, "data.path")
    info = read_info(root, data)
    size = config.image_size(data.base_size, data.resolution)
    stored = info["height"], info["width"]
    problem = images.size_problem(*stored, size, data.fit)
    if problem:
        raise ValueError(
            f"Each image of `data.path` (={data.path!r}) {problem}; "
            f"{images.size_remedy([stored], data)}; or prepare the originals again "
            f"with --resolution={size[1]}x{size[0]}"
        )
    same = (tuple(info["base_size"]), info["channels"]) == (
        data.base_size,
        data.channels,
    )
    usable = [r for r in info["resolutions"] if same and r <= data.resolution]
    full = data.resolution if data.resolution in usable else info["resolution"]
    files = {r: _open_level(root, r, info) for r in {full, *usable}}
    fits = {
        r: (config.image_size(data.base_size, r), data.channels, "exact")
        for r in usable
    } | {full: (size, data.channels, data.fit)}

    parse = _parser(len(info["classes"]), info["label_vectors"])

    def loader(resolution: int) -> Load:
        stored = config.image_size(tuple(info["base_size"]), resolution)
        size = (*stored, info["channels"])
        return _loader(files[resolution], parse, size, fits[resolution])

    tf = images.tensorflow()

    def check(index: int) -> str | None:
        for resolution, level in files.items():
            try:
                (encoded,) = parse([level.read_checked(index)])[0].numpy()
            except ValueError as error:
                return str(error)
            except (FileNotFoundError, tf.errors.OpError) as error:
                return f"can't be read: {error}"
            problem = images.encoded_problem(encoded, *fits[resolution])
            if problem:
                return problem
        return None

    return Source(
        name=f"prepared {data.path}",
        num_images=info["num_images"],
        classes=tuple(info["classes"]),
        label_totals=tuple(info["label_totals"]),
        label_vectors=info["label_vectors"],
        base_size=data.base_size,
        resolution=data.resolution,
        channels=data.channels,
        fingerprint=info["fingerprint"],
        load=loader(full),
        describe=files[full].place,
        check=check,
        levels={r: loader(r) for r in usable if r != full},
    )


def read_info(root: Path, data: config.Data) -> dict:
    """What the folder says of itself.

    Raises:
      ValueError: it is none that `prepare` made, is damaged, or of another version.
    """
    if not (root / INFO).is_file():
        raise ValueError(
            f"`data.path` (={data.path!r}) must be a folder that `prepare` made, with "
            f"{INFO} in it; make one of your images with `{prepare_command(data)}`"
        )
    try:
        info = json.loads((root / INFO).read_text("utf-8"))
        version = info["format_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{root / INFO} is damaged ({error!r}); prepare the images again"
        ) from error
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{root / INFO} is of version {version}, this program reads version "
            f"{FORMAT_VERSION}; prepare the images again"
        )
    return info


def _open_level(root: Path, resolution: int, info: dict) -> tfrecords.Reader:
    counts = info["images_of_shard"]
    names = [
        f"r{resolution:04d}-{shard:05d}-of-{len(counts):05d}.tfrecord"
        for shard in range(len(counts))
    ]
    try:
        return tfrecords.Reader([root / name for name in names], counts)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"`data.path` (={str(root)!r}) is damaged: {error}; prepare the images "
            "again"
        ) from error


def _loader(level: tfrecords.Reader, parse: Parse, stored: Stored, how: tuple) -> Load:
    tf = images.tensorflow()
    fetch = tfrecords.fetcher(level.read)
    *size, channels = stored

    def decode(encoded: Any, label: Any) -> tuple[Any, Any]:
        # What `prepare` stores needs none of the questions that other files do.
        image = tf.io.decode_image(encoded, channels, expand_animations=False)
        image = tf.ensure_shape(image, [*size, channels])
        return images.fit(images.to_channels(image, how[1]), how[0], how[2]), label

    return Load(decode, lambda indices: parse(fetch(indices)))


def _parser(label_size: int, vectors: bool) -> Parse:
    tf = images.tensorflow()
    if vectors:
        label = tf.io.FixedLenFeature([label_size], tf.float32)
    else:
        label = tf.io.FixedLenFeature([], tf.int64, default_value=0)
    features = {"image": tf.io.FixedLenFeature([], tf.string), "label": label}

    def parse(records: Any) -> tuple[Any, Any]:
        example = tf.io.parse_example(records, features)
        labels = example["label"]
        return example["image"], labels if vectors else tf.one_hot(labels, label_size)

    return parse
