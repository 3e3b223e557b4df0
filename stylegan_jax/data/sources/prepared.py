"""A folder that `prepare` made, as a data source."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from stylegan_jax import config
from stylegan_jax.data import decoding, images
from stylegan_jax.data.formats import tfrecord
from stylegan_jax.data.images import ImageSpec
from stylegan_jax.data.interface import Loader, Source
from stylegan_jax.data.labels import LabelCounts
from stylegan_jax.data.preparation.output import FORMAT_VERSION, INFO, shard_name
from stylegan_jax.data.sources.image_files import prepare_command, size_settings
from stylegan_jax.runtime import json_files, storage
from stylegan_jax.runtime.messages import listed
from stylegan_jax.runtime.tensorflow import tensorflow

# The keys of dataset_info.json that training reads.
_INFO_TYPES = {
    **dict.fromkeys(("num_images", "height", "width", "resolution", "channels"), int),
    **dict.fromkeys(("base_size", "classes", "label_totals", "resolutions"), list),
    "images_of_shard": list,
    "label_vectors": bool,
    "fingerprint": str,
}
Parse = Callable[[Any], tuple[Any, Any]]  # records [n] -> encoded images, labels


def open_prepared(data: config.Data) -> Source:
    """Open the images of `data.path` in the order in which they were prepared.

    After `prepare --multires` each resolution is read from its own files, if
    `data.base_size` and `data.channels` are those of the stored images.

    Raises:
      ValueError: `prepare` did not make the folder, or its images do not fit.
    """
    root = storage.local_path(data.path, "data.path")
    info = read_info(root, data)
    spec = ImageSpec.from_config(data)
    stored_size = info["height"], info["width"]
    problem = images.size_problem(*stored_size, spec.size, spec.fit)
    if problem:
        fitting = size_settings(info["base_size"], info["resolution"])
        raise ValueError(
            f"each image of `data.path` (={data.path!r}) {problem}; "
            f"{images.size_remedy([stored_size], data)}; all of them fit {fitting}; "
            "or prepare the originals again with "
            f"--resolution={spec.size[1]}x{spec.size[0]}"
        )

    # The resolutions that are read from their own files, with the images that they
    # give.
    base_size, channels = tuple(info["base_size"]), info["channels"]
    as_stored = (base_size, channels) == (data.base_size, data.channels)
    usable = [r for r in info["resolutions"] if as_stored and r <= data.resolution]
    full = data.resolution if data.resolution in usable else info["resolution"]
    levels = {r: _open_level(root, r, info) for r in {full, *usable}}
    specs = {
        r: ImageSpec(config.image_size(data.base_size, r), data.channels, "exact")
        for r in usable
    } | {full: spec}
    parse = _parser(len(info["classes"]), info["label_vectors"])

    def loader(resolution: int) -> Loader:
        shape = (*config.image_size(base_size, resolution), channels)
        return _loader(levels[resolution], parse, shape, specs[resolution])

    def check(index: int) -> str | None:
        for resolution, level in levels.items():
            try:
                (encoded,) = parse([level.read_checked(index)])[0].numpy()
            except ValueError as error:
                return str(error)
            except (FileNotFoundError, tensorflow().errors.OpError) as error:
                return f"cannot be read: {error}"
            problem = decoding.encoded_problem(encoded, specs[resolution])
            if problem:
                return problem
        return None

    counts = LabelCounts(
        names=tuple(info["classes"]),
        totals=tuple(info["label_totals"]),
        images=info["num_images"],
        are_vectors=info["label_vectors"],
    )
    return Source.create(
        data,
        counts,
        name=f"prepared {data.path}",
        fingerprint=info["fingerprint"],
        load=loader(full),
        describe=levels[full].describe,
        check=check,
        levels={r: loader(r) for r in usable if r != full},
    )


def read_info(root: Path, data: config.Data) -> dict:
    """Return the content of the folder's dataset_info.json.

    Raises:
      ValueError: `prepare` did not make the folder, or another version did; or the file
        is damaged.
    """
    if not (root / INFO).is_file():
        raise ValueError(
            f"`data.path` (={data.path!r}) must be a folder that `prepare` made, with "
            f"{INFO} in it; make one of your images with `{prepare_command(data)}`"
        )
    info = json_files.read_object(root / INFO, "prepare the images again")
    version = info.get("format_version")
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{root / INFO} has format version {version}, this program reads version "
            f"{FORMAT_VERSION}; prepare the images again"
        )
    wrong = [k for k, kind in _INFO_TYPES.items() if not isinstance(info.get(k), kind)]
    if wrong:
        raise ValueError(
            f"{root / INFO} is damaged: {listed(wrong)} must be there and have the "
            "right type; prepare the images again"
        )
    return info


def _open_level(root: Path, resolution: int, info: dict) -> tfrecord.Reader:
    counts = info["images_of_shard"]
    names = [shard_name(resolution, i, len(counts)) for i in range(len(counts))]
    try:
        return tfrecord.Reader([root / name for name in names], counts)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"`data.path` (={str(root)!r}) is damaged: {error}; prepare the images "
            "again"
        ) from error


def _loader(
    level: tfrecord.Reader, parse: Parse, shape: tuple[int, int, int], spec: ImageSpec
) -> Loader:
    """Return the loader of a level whose images are stored in a shape [H, W, C]."""
    fetch = tfrecord.fetcher(level.read)

    def decode(encoded: Any, label: Any) -> tuple[Any, Any]:
        image = decoding.load_stored(encoded, shape)
        image = images.to_channels(image, spec.channels)
        return images.fit(image, spec.size, spec.fit), label

    return Loader(decode, lambda indices: parse(fetch(indices)))


def _parser(label_size: int, vectors: bool) -> Parse:
    tf = tensorflow()
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
