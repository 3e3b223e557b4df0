"""Opens the data set that a configuration names.

A new kind of source is a function `Data -> Source`, a line in `SOURCES` and a name in
`config._CHOICES`.
"""

import hashlib
import zipfile
from pathlib import Path
from typing import Any

from stylegan_jax import config
from stylegan_jax.data import images
from stylegan_jax.data.folder_source import open_folder
from stylegan_jax.data.interface import Source
from stylegan_jax.data.tfds_source import open_tfds

EMOJI = Path(__file__).resolve().parent / "assets" / "emoji64.zip"
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
    if data.resolution > EMOJI_RESOLUTION:
        raise ValueError(
            f"`data.resolution` (={data.resolution}) must be at most "
            f"{EMOJI_RESOLUTION} for the built-in images; use "
            f"`--config.data.resolution={EMOJI_RESOLUTION}`, or your own images with "
            "`--config.data.source=folder --config.data.path=...`"
        )
    digest = hashlib.sha256()
    with zipfile.ZipFile(EMOJI) as archive:
        entries = sorted(archive.infolist(), key=lambda entry: entry.filename)
        encoded = [archive.read(entry) for entry in entries]
    for entry in entries:
        digest.update(f"{entry.filename}\0{entry.CRC}\n".encode())
    groups = [entry.filename.split("/")[0] for entry in entries]
    classes = tuple(sorted(set(groups)))
    how = (data.resolution, data.channels, "exact")

    tf = images.tensorflow()
    file_table = tf.constant(encoded)
    label_table = tf.constant([classes.index(group) for group in groups], tf.int32)

    def load(index: Any) -> tuple[Any, Any]:
        return images.load_encoded(file_table[index], *how), label_table[index]

    return Source(
        name="the built-in emoji",
        num_images=len(entries),
        classes=classes,
        resolution=data.resolution,
        channels=data.channels,
        fingerprint=digest.hexdigest(),
        load=load,
        describe=lambda index: f"{EMOJI}/{entries[index].filename}",
        check=lambda index: images.encoded_problem(encoded[index], *how),
    )


SOURCES = {"builtin": open_builtin, "folder": open_folder, "tfds": open_tfds}
