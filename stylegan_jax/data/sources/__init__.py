"""Opens the data set that a configuration names.

A new kind of source is a function `Data -> Source`, a line in `SOURCES` and one of the
choices of `data.source` in `config/schema.py`.
"""

import hashlib
import zipfile
from pathlib import Path
from typing import Any

from stylegan_jax import config
from stylegan_jax.data import images, labels
from stylegan_jax.data.interface import Load, Source
from stylegan_jax.data.sources.folder import open_folder
from stylegan_jax.data.sources.prepared import open_prepared
from stylegan_jax.data.sources.tfds import open_tfds
from stylegan_jax.data.sources.tfrecords import open_tfrecords
from stylegan_jax.data.sources.zip import open_zip_source

EMOJI = Path(__file__).resolve().parent.parent / "assets" / "emoji64.zip"
EMOJI_RESOLUTION = 64


def open_source(data: config.Data) -> Source:
    """Opens the data set of `data`; checks what can be checked quickly.

    Raises:
      ValueError: the data can't be used as configured; says why and what to do.
    """
    if data.source not in SOURCES:
        raise ValueError(
            f"`data.source` (={data.source!r}) must be one of {tuple(SOURCES)}"
        )
    source = SOURCES[data.source](data)
    if data.conditional and not source.classes:
        raise ValueError(
            f"`data.conditional` is set, but {source.name} has no class labels; unset "
            "it, or provide labels (a folder has them when all images lie in "
            "sub-folders, one per class)"
        )
    return source


def open_builtin(data: config.Data) -> Source:
    """The emoji that come with the package; their groups are the classes."""
    fit = _emoji_fit(data)
    digest = hashlib.sha256()
    with zipfile.ZipFile(EMOJI) as archive:
        entries = sorted(archive.infolist(), key=lambda entry: entry.filename)
        encoded = [archive.read(entry) for entry in entries]
    for entry in entries:
        digest.update(f"{entry.filename}\0{entry.CRC}\n".encode())
    groups = labels.from_folders([entry.filename for entry in entries])
    how = (config.image_size(data.base_size, data.resolution), data.channels, fit)

    tf = images.tensorflow()
    file_table = tf.constant(encoded)
    label_of = groups.lookup()

    def decode(encoded: Any, label: Any) -> tuple[Any, Any]:
        return images.load_encoded(encoded, *how), label

    return Source(
        name="the built-in emoji",
        num_images=len(entries),
        classes=groups.names,
        label_totals=groups.totals(),
        base_size=data.base_size,
        resolution=data.resolution,
        channels=data.channels,
        fingerprint=digest.hexdigest(),
        load=Load(
            decode, lambda indices: (tf.gather(file_table, indices), label_of(indices))
        ),
        describe=lambda index: f"{EMOJI}/{entries[index].filename}",
        check=lambda index: images.encoded_problem(encoded[index], *how),
    )


def _emoji_fit(data: config.Data) -> str:
    """How the emoji are brought to size: "exact" where it can be, else `data.fit`."""
    side = EMOJI_RESOLUTION
    base = max(data.base_size)
    largest = 2 ** ((4 * side // base).bit_length() - 1)
    if data.resolution > largest:
        raise ValueError(
            f"`data.resolution` (={data.resolution}) must be at most {largest} for the "
            f"built-in images of {side}x{side}; use "
            f"`--config.data.resolution={largest}`, or your own images with "
            "`--config.data.source=folder --config.data.path=...`"
        )
    size = config.image_size(data.base_size, data.resolution)
    if images.size_problem(side, side, size, "exact") is None:
        return "exact"
    problem = images.size_problem(side, side, size, data.fit)
    if problem:
        raise ValueError(
            f"each of the built-in images {problem}; use `--config.data.fit=crop`"
        )
    return data.fit


SOURCES = {
    "builtin": open_builtin,
    "folder": open_folder,
    "prepared": open_prepared,
    "tfds": open_tfds,
    "tfrecords": open_tfrecords,
    "zip": open_zip_source,
}
