"""The images that a network was trained on, or others in their place."""

import os

from stylegan_jax import workdir
from stylegan_jax.config import Data, image_size
from stylegan_jax.data import sources
from stylegan_jax.data.interface import Source
from stylegan_jax.data.sources import from_path
from stylegan_jax.networks.network import Network
from stylegan_jax.runtime import storage


def open_real_images(network: Network, path: str | None, fit: str) -> Source | None:
    """Open the images of --data, or else the training images of a network.

    Args:
      network: the network.
      path: value of --data: images in place of the training data.
      fit: see `from_path.open_path`; for `path` only.

    Returns:
      The data set; None without a path for a network whose training data are unknown.

    Raises:
      ValueError: the data cannot be opened, or are not those of the run.
    """
    if path is not None:
        size = image_size(network.generator.base_size, network.generator.resolution)
        return from_path.open_path(path, size, fit, "--data")
    if network.step is None:
        return None
    data = network.experiment.data
    try:
        source = sources.open_source(data)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"the data of the run cannot be opened: {error}{_where_from(data)}\n"
            "if the images are elsewhere now, name them with --data"
        ) from error
    now = workdir.DataInfo(
        source.name, source.num_images, source.classes, source.fingerprint
    )
    directory, _ = workdir.split(network.reference)
    difference = workdir.data_difference(directory, network.data, now)
    if difference is not None:
        raise ValueError(
            f"the data are not those that {network.reference} was trained on: "
            f"{difference}{_where_from(data)}\nname the images of the run with --data; "
            "or, to compare with these anyway, pass them as --data"
        )
    return source


def _where_from(data: Data) -> str:
    """Return a sentence if `data.path` depends on the current directory, else ""."""
    relative = (
        data.path is not None
        and storage.scheme_of(data.path) is None
        and not os.path.isabs(os.path.expanduser(data.path))
    )
    if not relative:
        return ""
    return (
        f"\n`data.path` (={data.path!r}) of the run is relative to the directory where "
        f"it was started; this program was started in {os.getcwd()}"
    )
