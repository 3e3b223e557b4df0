"""Opens whatever `prepare --source` names; a new format is a line in here."""

from pathlib import Path

from stylegan_jax.data import archives, cifar, mnist, nvidia_tfrecords
from stylegan_jax.data.collection import Collection

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


def open_collection(source: str) -> Collection:
    """Opens a folder, a zip, a tar, or one of the archives that people have.

    CIFAR-10's tar and NVIDIA's TFRecords are recognised by what they hold, MNIST's
    files by their names.

    Raises:
      ValueError: it is none of them, is damaged, or has no images.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        records = nvidia_tfrecords.find(path)
        return (
            nvidia_tfrecords.open_records(records)
            if records
            else (archives.open_folder(path))
        )
    if not path.is_file():
        raise ValueError(
            f"`--source` (={source!r}) does not exist; it must be a folder with "
            "images, a zip or a tar"
        )
    name = path.name.lower()
    if name.endswith(".zip"):
        return archives.open_zip(path)
    if name.endswith(TAR_SUFFIXES):
        return cifar.open_cifar(path) or archives.open_tar(path)
    if name.endswith(mnist.SUFFIXES):
        return mnist.open_mnist(path)
    if name.endswith(nvidia_tfrecords.SUFFIX):
        return nvidia_tfrecords.open_records(path)
    raise ValueError(
        f"`--source` (={source!r}) must be a folder, or a file ending in .zip, "
        f"{', '.join((*TAR_SUFFIXES, *mnist.SUFFIXES, nvidia_tfrecords.SUFFIX))}"
    )
