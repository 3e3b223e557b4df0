"""The data sets that training reads: `data.source` names one of `SOURCES`.

To add a kind of data set, write a function `config.Data -> Source` in a file here, add
a line to `SOURCES`, and select it in a config (`c.data.source = "..."`). `zip.py` is a
short example for encoded images: it calls `image_file_source` with functions that read
them. The function raises ValueError if it cannot provide what `config.Data` asks for.
docs/how_it_works.md lists the optional steps, such as checks and documentation.
"""

from stylegan_jax import config
from stylegan_jax.data.interface import Source
from stylegan_jax.data.sources.builtin import open_builtin
from stylegan_jax.data.sources.folder import open_folder
from stylegan_jax.data.sources.prepared import open_prepared
from stylegan_jax.data.sources.tfds import open_tfds
from stylegan_jax.data.sources.tfrecords import open_tfrecords
from stylegan_jax.data.sources.zip import open_zip_source

SOURCES = {
    "builtin": open_builtin,  # the emoji that come with the package
    "folder": open_folder,  # a directory of images, searched recursively
    "prepared": open_prepared,  # output of `python -m stylegan_jax.prepare`
    "tfds": open_tfds,  # TensorFlow Datasets
    "tfrecords": open_tfrecords,  # NVIDIA's multi-resolution TFRecords
    "zip": open_zip_source,  # a zip of images
}


def open_source(data: config.Data) -> Source:
    """Open the data set of a config, and check everything that is quick to check.

    Raises:
      ValueError: the data cannot be used as configured; the message says why,
        and what to change.
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
            "subfolders, one per class)"
        )
    return source
