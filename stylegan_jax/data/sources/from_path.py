"""Images given only by a path, at their own size, for metrics of two image sets."""

from pathlib import Path

from stylegan_jax import config
from stylegan_jax.data import decoding, images, sources
from stylegan_jax.data.formats.archives import open_zip
from stylegan_jax.data.formats.folder import TRAINING_SUFFIXES, image_names
from stylegan_jax.data.interface import Source
from stylegan_jax.data.preparation.output import INFO
from stylegan_jax.data.sources import prepared
from stylegan_jax.data.sources.builtin import EMOJI_RESOLUTION

BUILTIN = "builtin"


def infer_source(path: str) -> str:
    """Return the name in `sources.SOURCES` that fits a path; "builtin" maps to itself.

    Raises:
      ValueError: no source fits.
    """
    if path == BUILTIN:
        return BUILTIN
    place = Path(path).expanduser()
    if (place / INFO).is_file():
        return "prepared"
    if place.is_dir():
        return "folder"
    if place.is_file() and place.suffix.lower() == ".zip":
        return "zip"
    raise ValueError(
        f"{path!r} must be a folder or a zip of images, a folder that `prepare` made, "
        f"or {BUILTIN}"
    )


def first_image_size(path: str) -> images.Size:
    """Return height and width of the first image.

    Raises:
      ValueError: there is no image, or it is damaged.
    """
    kind = infer_source(path)
    if kind == BUILTIN:
        return EMOJI_RESOLUTION, EMOJI_RESOLUTION
    place = Path(path).expanduser()
    if kind == "prepared":
        data = config.Data(source=kind, path=path)
        info = prepared.read_info(place, data)
        return info["height"], info["width"]
    if kind == "folder":
        name = image_names(place, "images")[0]
        found = decoding.size_or_problem(place / name)
    else:
        archive = open_zip(place, "images", TRAINING_SUFFIXES)
        name = archive.names[0]
        found = decoding.size_or_problem(archive.read(0))
    if isinstance(found, str):
        raise ValueError(f"{path}: {name} {found}")
    return found


def open_path(path: str, size: images.Size, fit: str) -> Source:
    """Open the images of a path as RGB images of one size.

    Args:
      path: see `infer_source`.
      size: any height and width.
      fit: "exact" takes images of this size, and 2, 4, 8... times it; "crop" crops and
        resizes.

    Raises:
      ValueError: the images cannot be used.
    """
    data = config.Data(
        source=infer_source(path),
        path=path,
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
            "are brought to it)"
        ) from error
