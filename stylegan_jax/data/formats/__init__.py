"""The file formats that `prepare` reads, one module per format.

To add a format, write a module here with a function that opens it as a `RawDataset`,
and add a line where `open_raw_dataset` recognizes it: in `_open_file` by the file's
name, or in `_open_folder` by a folder's content.
"""

import tarfile
import zipfile
from pathlib import Path

from stylegan_jax.data.formats import (
    archives,
    cifar,
    folder,
    lsun,
    mnist,
    nvidia_tfrecords,
    parquet,
    tfds,
)
from stylegan_jax.data.interface import RawDataset
from stylegan_jax.runtime import storage

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
SUFFIXES = (
    *(".zip", *TAR_SUFFIXES, *mnist.SUFFIXES),
    *(nvidia_tfrecords.SUFFIX, lsun.SUFFIX, parquet.SUFFIX),
)
TFDS = "tfds:"
INFO = "dataset_info.json"  # of a folder that `prepare` made


def open_raw_dataset(
    source: str, split: str | None = None, tfds_data_dir: str | None = None
) -> RawDataset:
    """Open a folder, an archive, or one of the common data set formats.

    Folders of NVIDIA's TFRecords, parquet files or LSUN's LMDB and the tar of CIFAR-10
    are recognized by their content, other files by their names, or as zip or tar.

    Args:
      source: a path, or tfds:NAME.
      split: split of TFDS or parquet.
      tfds_data_dir: directory of TFDS.

    Raises:
      ValueError: the source is none of these, is damaged, or has no images.
    """
    is_tfds = source.startswith(TFDS)
    path = Path(source) if is_tfds else storage.local_path(source, "--source")
    tables = [path] if path.name.lower().endswith(parquet.SUFFIX) else []
    if path.is_dir() and not is_tfds:
        tables = parquet.find(path)
    if split is not None and not (is_tfds or tables):
        raise ValueError(f"`--split` (={split}) needs {TFDS}NAME or parquet files")
    if tfds_data_dir is not None and not is_tfds:
        raise ValueError(f"`--tfds_data_dir` (={tfds_data_dir}) needs {TFDS}NAME")
    if is_tfds:
        return tfds.open_raw(source.removeprefix(TFDS), split, tfds_data_dir)
    if not path.exists():
        raise ValueError(
            f"`--source` (={source!r}) does not exist; it must be a folder with "
            f"images, {TFDS}NAME, or a file ending in {', '.join(SUFFIXES)}"
        )
    if tables:
        return parquet.open_parquet(tables, split)
    return _open_folder(path) if path.is_dir() else _open_file(path)


def _open_folder(path: Path) -> RawDataset:
    levels = nvidia_tfrecords.levels(path)
    if levels:
        return nvidia_tfrecords.open_records(levels[max(levels)])
    if (path / lsun.FILE).is_file():
        return lsun.open_lsun(path / lsun.FILE)
    if (path / INFO).is_file() and any(path.glob("r*-of-*.tfrecord")):
        raise ValueError(
            f"`--source` (={str(path)!r}) was made by `prepare`; train on it, or "
            "prepare the original images again"
        )
    return folder.open_folder(path)


def _open_file(path: Path) -> RawDataset:
    name = path.name.lower()
    if name.endswith(".zip"):
        return archives.open_zip(path)
    if name.endswith(TAR_SUFFIXES):
        return cifar.open_cifar(path) or archives.open_tar(path)
    if name.endswith(mnist.SUFFIXES):
        return mnist.open_mnist(path)
    if name.endswith(nvidia_tfrecords.SUFFIX):
        return nvidia_tfrecords.open_records(path)
    if name.endswith(lsun.SUFFIX):
        return lsun.open_lsun(path)
    # Archives with another extension, or none.
    if zipfile.is_zipfile(path):
        return archives.open_zip(path)
    if tarfile.is_tarfile(path):
        return cifar.open_cifar(path) or archives.open_tar(path)
    raise ValueError(
        f"`--source` (={str(path)!r}) must be a folder, {TFDS}NAME, or a file ending "
        f"in {', '.join(SUFFIXES)}"
    )
