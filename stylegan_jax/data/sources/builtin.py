"""The images that come with the package: emoji, and the smileys of four emoji fonts."""

import dataclasses
import hashlib
import zipfile
from pathlib import Path, PurePosixPath

from stylegan_jax import config
from stylegan_jax.data import images, labels
from stylegan_jax.data.interface import Source
from stylegan_jax.data.sources.image_files import image_file_source
from stylegan_jax.runtime.tensorflow import tensorflow

ASSETS = Path(__file__).resolve().parent.parent / "assets"
EMOJI = ASSETS / "emoji64.zip"
SMILEYS = ASSETS / "smileys64.zip"
HELD_OUT = ASSETS / "smileys64_held_out.txt"  # entries of SMILEYS
SIDE = 64  # height and width of all images
# `data.builtin` -> archive, and the description of the images.
SETS = {
    "emoji": (EMOJI, "the built-in emoji"),
    "smileys": (SMILEYS, "the built-in smileys"),
    "smileys_training": (SMILEYS, "nine tenths of the built-in smileys"),
    "smileys_held_out": (SMILEYS, "a tenth of the built-in smileys"),
}


def open_builtin(data: config.Data) -> Source:
    """Open the images of `data.builtin`, at any resolution up to their own.

    Raises:
      ValueError: the resolution is too large.
    """
    data = dataclasses.replace(data, fit=_fit(data))
    path, name = SETS[data.builtin]
    digest = hashlib.sha256()
    with zipfile.ZipFile(path) as archive:
        entries = [
            entry
            for entry in sorted(archive.infolist(), key=lambda entry: entry.filename)
            if _belongs(entry.filename, data.builtin)
        ]
        encoded = [archive.read(entry) for entry in entries]
    for entry in entries:
        digest.update(f"{entry.filename}\0{entry.CRC}\n".encode())
    tf = tensorflow()
    table = tf.constant(encoded)
    return image_file_source(
        data,
        _labels([entry.filename for entry in entries], data.builtin_classes),
        name=name,
        fingerprint=digest.hexdigest(),
        describe=lambda index: f"{path}/{entries[index].filename}",
        read=encoded.__getitem__,
        keys=lambda indices: tf.gather(table, indices),
    )


def _belongs(name: str, builtin: str) -> bool:
    """Return True if an entry of the archive belongs to a set."""
    part = builtin.removeprefix("smileys_")
    if part not in ("training", "held_out"):
        return True
    return (name in HELD_OUT.read_text().split()) == (part == "held_out")


def _labels(names: list[str], classes: str) -> labels.Labels | None:
    """Return labels by folder, or by the expression that names a smiley's file."""
    if classes == "folder":
        return labels.from_folders(names)
    expressions = [PurePosixPath(name).stem for name in names]
    known = sorted(set(expressions))
    number = {expression: i for i, expression in enumerate(known)}
    return labels.from_class_numbers(known, [number[e] for e in expressions])


def _fit(data: config.Data) -> str:
    """Return how to fit the images to size: "exact" if possible, else `data.fit`."""
    base = max(data.base_size)
    largest = 2 ** ((4 * SIDE // base).bit_length() - 1)
    if data.resolution > largest:
        raise ValueError(
            f"`data.resolution` (={data.resolution}) must be at most {largest} for the "
            f"built-in images of {SIDE}x{SIDE}; use "
            f"`--config.data.resolution={largest}`, or your own images with "
            "`--config.data.source=folder --config.data.path=...`"
        )
    size = config.image_size(data.base_size, data.resolution)
    if images.size_problem(SIDE, SIDE, size, "exact") is None:
        return "exact"
    problem = images.size_problem(SIDE, SIDE, size, data.fit)
    if problem:
        raise ValueError(
            f"each of the built-in images {problem}; use `--config.data.fit=crop`"
        )
    return data.fit
