"""The data sets that training reads: `data.source` names one of `SOURCES`.

To add a kind of data set, write a function `config.Data -> Source` in a file here, add
a line to `SOURCES`, and select it in a config (`c.data.source = "..."`). `zip.py` is a
short example for encoded images: it calls `image_file_source` with functions that read
them. The function raises ValueError if it cannot provide what `config.Data` asks for.
docs/code.md lists the optional steps, such as checks and documentation.
"""

import dataclasses

from stylegan_jax import config
from stylegan_jax.data import held_out
from stylegan_jax.data.interface import Source
from stylegan_jax.data.sources import path_kinds
from stylegan_jax.data.sources.builtin import SETS, open_builtin
from stylegan_jax.data.sources.folder import open_folder
from stylegan_jax.data.sources.prepared import open_prepared
from stylegan_jax.data.sources.tfds import open_tfds
from stylegan_jax.data.sources.tfrecords import open_tfrecords
from stylegan_jax.data.sources.zip import open_zip_source
from stylegan_jax.runtime import storage

SOURCES = {
    "builtin": open_builtin,  # images that come with the package
    "folder": open_folder,  # a directory of images, searched recursively
    "prepared": open_prepared,  # output of `python -m stylegan_jax.prepare`
    "tfds": open_tfds,  # TensorFlow Datasets
    "tfrecords": open_tfrecords,  # NVIDIA's multi-resolution TFRecords
    "zip": open_zip_source,  # a zip of images
}


PATH_SOURCES = ("folder", "prepared", "tfrecords", "zip")
AUTO = "auto"  # infer the source from the path; see `resolve`


def open_source(data: config.Data) -> Source:
    """Open the images that a config trains on; see `open_split`."""
    return open_split(data)[0]


def open_split(data: config.Data) -> tuple[Source, Source | None]:
    """Open the data set of a config, and check everything that is quick to check.

    Returns:
      The images for training, and those that `data.held_out` holds out, if any.

    Raises:
      ValueError: the data cannot be used as configured; the message says why,
        and what to change.
    """
    data, _ = resolve(data)
    if data.source not in SOURCES:
        raise ValueError(
            f"`data.source` (={data.source!r}) must be one of {(AUTO, *SOURCES)}"
        )
    try:
        source = SOURCES[data.source](data)
    except ValueError as error:
        if problem := _other_kind(data, str(error)):
            raise ValueError(problem) from error
        raise
    if data.conditional and not source.classes:
        raise ValueError(
            f"`data.conditional` is set, but {source.name} has no class labels; unset "
            f"it, or {_how_to_label(data.source)}"
        )
    return held_out.split(source, data.held_out)


def resolve(data: config.Data) -> tuple[config.Data, str | None]:
    """Return the config with the source that `data.source=auto` stands for.

    It is the one that reads `data.path`; without a path, it is `tfds` if there is a
    `data.tfds_name`, else `builtin`.

    Returns:
      The config, and a sentence about the choice; None if the source was not "auto".

    Raises:
      ValueError: no source reads the path.
    """
    if data.source != AUTO:
        return data, None
    if data.path is not None:
        kind = path_kinds.find_reader(data.path, "data.path")
        source, reason = kind.reader, f"`data.path` (={data.path!r}) is {kind.what}"
    elif data.tfds_name is not None:
        source, reason = "tfds", f"`data.tfds_name` is {data.tfds_name!r}"
    else:
        source = "builtin"
        reason = f"without `data.path`, {SETS[data.builtin][1]} are used"
    note = f"{reason} (`data.source` {source!r}, chosen by {AUTO!r})"
    return dataclasses.replace(data, source=source), note


def _other_kind(data: config.Data, problem: str) -> str | None:
    """Return a better message if the source does not read this kind of path, else None.

    Args:
      data: the config.
      problem: the message of the source.
    """
    if data.source not in PATH_SOURCES or storage.scheme_of(data.path) is not None:
        return None
    kind = path_kinds.kind_of(data.path)
    if kind is None:
        return f"`data.path` (={data.path!r}) {path_kinds.missing(data.path)}"
    if kind.reader == data.source or kind.what == path_kinds.FOLDER:
        return None
    if (data.source, kind.reader) == ("prepared", "folder"):
        return (
            f"{problem}; or train on it as it is: {path_kinds.advice(kind, data.path)}"
        )
    return (
        f"`data.path` (={data.path!r}) is {kind.what}, which `data.source` "
        f"{data.source!r} does not read; {path_kinds.advice(kind, data.path)}"
    )


def _how_to_label(source: str) -> str:
    """Return advice on how to label a data set of this source."""
    if source == "prepared":
        return (
            "prepare the images again: with --labels=folders if they are in one folder "
            "per class, or with a dataset.json next to them"
        )
    if source in ("folder", "zip"):
        return (
            "put all images into at least two subfolders, one per class, or write a "
            "dataset.json"
        )
    return "choose a data set with labels"
