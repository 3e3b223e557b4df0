"""The emoji that come with the package; their groups are the classes."""

import dataclasses
import hashlib
import zipfile
from pathlib import Path

from stylegan_jax import config
from stylegan_jax.data import images, labels
from stylegan_jax.data.interface import Source
from stylegan_jax.data.sources.image_files import image_file_source
from stylegan_jax.runtime.tensorflow import tensorflow

EMOJI = Path(__file__).resolve().parent.parent / "assets" / "emoji64.zip"
EMOJI_RESOLUTION = 64


def open_builtin(data: config.Data) -> Source:
    """Open the emoji, at any resolution up to their own.

    Raises:
      ValueError: the resolution is too large.
    """
    data = dataclasses.replace(data, fit=_emoji_fit(data))
    digest = hashlib.sha256()
    with zipfile.ZipFile(EMOJI) as archive:
        entries = sorted(archive.infolist(), key=lambda entry: entry.filename)
        encoded = [archive.read(entry) for entry in entries]
    for entry in entries:
        digest.update(f"{entry.filename}\0{entry.CRC}\n".encode())
    tf = tensorflow()
    table = tf.constant(encoded)
    return image_file_source(
        data,
        labels.from_folders([entry.filename for entry in entries]),
        name="the built-in emoji",
        fingerprint=digest.hexdigest(),
        describe=lambda index: f"{EMOJI}/{entries[index].filename}",
        read=encoded.__getitem__,
        keys=lambda indices: tf.gather(table, indices),
    )


def _emoji_fit(data: config.Data) -> str:
    """Return how to bring the emoji to size: "exact" if possible, else `data.fit`."""
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
