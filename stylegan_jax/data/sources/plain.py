"""Opens images by nothing but their path, in their own size, to measure them."""

from pathlib import Path

from stylegan_jax import config
from stylegan_jax.data import images, sources
from stylegan_jax.data.formats.archives import open_zip
from stylegan_jax.data.image_names import SUFFIXES, image_names
from stylegan_jax.data.interface import Source
from stylegan_jax.data.preparation import INFO
from stylegan_jax.data.sources import prepared

BUILTIN = "builtin"


def kind_of(path: str) -> str:
    """Which of `sources.SOURCES` a path is of; "builtin" means the emoji.

    Raises:
      ValueError: it is of none.
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


def first_size(path: str) -> images.Size:
    """Height and width of the first image.

    Raises:
      ValueError: there is none, or it is damaged.
    """
    kind = kind_of(path)
    if kind == BUILTIN:
        return sources.EMOJI_RESOLUTION, sources.EMOJI_RESOLUTION
    place = Path(path).expanduser()
    if kind == "prepared":
        data = config.Data(source=kind, path=path)
        info = prepared.read_info(place, data)
        return info["height"], info["width"]
    if kind == "folder":
        name = image_names(place, "images", SUFFIXES)[0]
        found = images.header(place / name)
    else:
        archive = open_zip(place, "images", SUFFIXES)
        name = archive.names[0]
        found = images.header(archive.read(0))
    if isinstance(found, str):
        raise ValueError(f"{path}: {name} {found}")
    return found


def open_plain(path: str, size: images.Size, fit: str) -> Source:
    """The images of a path as RGB of one size.

    Args:
      path: see `kind_of`.
      size: height and width, any.
      fit: "exact" takes this size, and 2, 4, 8... times it; "crop" crops and resizes.

    Raises:
      ValueError: they can't be used; says why.
    """
    data = config.Data(
        source=kind_of(path),
        path=path,
        # At resolution 4 images are of the base size, which may be anything.
        resolution=4,
        base_size=size,
        fit=fit,
    )
    try:
        return sources.open_source(data)
    except ValueError as error:
        raise ValueError(
            f"{error}\n(here it is --size and --fit that say how images are brought to "
            "one size)"
        ) from error
