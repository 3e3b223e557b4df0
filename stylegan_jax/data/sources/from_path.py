"""Images given only by a path, at their own size, for metrics of two image sets."""

from pathlib import Path

from stylegan_jax import config
from stylegan_jax.data import decoding, images, sources
from stylegan_jax.data.formats import nvidia_tfrecords
from stylegan_jax.data.formats.archives import open_zip
from stylegan_jax.data.formats.folder import list_images
from stylegan_jax.data.interface import Source
from stylegan_jax.data.sources import path_kinds, prepared
from stylegan_jax.data.sources.builtin import SIDE
from stylegan_jax.runtime import storage

BUILTIN = "builtin"


def infer_source(path: str, setting: str = "images") -> str:
    """Return the name in `sources.SOURCES` that fits a path; "builtin" maps to itself.

    Args:
      path: the path.
      setting: name of the flag in error messages.

    Raises:
      ValueError: no source fits.
    """
    if path == BUILTIN:
        return BUILTIN
    storage.local_path(path, setting)
    return path_kinds.find_reader(path, setting).reader


def first_image_size(path: str, setting: str = "images") -> images.Size:
    """Return height and width of the first image.

    Args:
      path: see `infer_source`.
      setting: name of the flag in error messages.

    Raises:
      ValueError: there is no image, or it is damaged.
    """
    kind = infer_source(path, setting)
    if kind == BUILTIN:
        return SIDE, SIDE
    place = Path(path).expanduser()
    if kind == "prepared":
        data = config.Data(source=kind, path=path)
        info = prepared.read_info(place, data)
        return info["height"], info["width"]
    if kind == "tfrecords":
        side = max(nvidia_tfrecords.levels(place))
        return side, side
    if kind == "folder":
        name = list_images(place, setting).names[0]
        found = decoding.size_or_problem(place / name)
    else:
        archive = open_zip(place, setting)
        name = archive.names[0]
        found = decoding.size_or_problem(archive.read(0))
    if isinstance(found, str):
        raise ValueError(f"{path}: {name} {found}")
    return found


def open_path(
    path: str, size: images.Size, fit: str, setting: str = "images"
) -> Source:
    """Open the images of a path as RGB images of one size.

    Args:
      path: see `infer_source`.
      size: any height and width.
      fit: "exact" takes images of this size, and 2, 4, 8... times it; "crop" crops and
        resizes.
      setting: name of the flag in error messages.

    Raises:
      ValueError: the images cannot be used.
    """
    source = infer_source(path, setting)
    data = config.Data(
        source=source,
        path=None if source == BUILTIN else path,
        # At resolution 4, images have the base size, which is arbitrary.
        resolution=4,
        base_size=size,
        fit=fit,
    )
    try:
        return sources.open_source(data)
    except ValueError as error:
        raise ValueError(
            f"{error}\n(here --size and --fit set the size of the images and how they "
            "are fitted to it)"
        ) from error
