"""Target images from files, fitted to the size and the channels of a network."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.data import decoding, images
from stylegan_jax.data.formats.folder import list_images
from stylegan_jax.data.interface import InvalidImage
from stylegan_jax.inversion.alignment import Points, aligned, square
from stylegan_jax.runtime import json_files, messages, storage

CROPS = ("center", "none")  # values of `crop`, see `load`
Box = tuple[int, int, int, int]  # left, top, width, height in pixels


@dataclasses.dataclass(frozen=True, eq=False)
class Targets:
    """Images of one size.

    Attributes:
      names: a unique name for each image, derived from its file name.
      images: [N,H,W,C] uint8.
      fits: for each image, its file and how it was fitted, as JSON data.
    """

    names: tuple[str, ...]
    images: np.ndarray
    fits: tuple[dict, ...]


def load(
    where: str,
    size: images.Size,
    channels: int,
    *,
    crop: str = "center",
    boxes: Mapping[str, Box] | None = None,
    landmarks: Mapping[str, Points] | None = None,
    setting: str = "targets",
) -> Targets:
    """Read all images of a folder, or some files.

    An image is turned upright by its EXIF orientation, cropped to its box if it has
    one, center-cropped to the aspect ratio of `size`, and resized with a Lanczos
    filter. Transparent pixels are composited onto white for networks without alpha, and
    colors become gray for networks with one channel.

    Args:
      where: a folder, or files separated by commas.
      size: height and width of the images.
      channels: 1, 3 or 4.
      crop: "center" as above; "none" resizes the whole image or box, and rejects those
        with another aspect ratio.
      boxes: the box of each file, by its path in the folder, or as in `where`; the
        file name is enough if it is unique.
      landmarks: the facial landmarks of each file, likewise. The image is aligned by
        them instead of cropped to a box; see `alignment.square`.
      setting: name of the flag, for messages.

    Raises:
      ValueError: there are no images, or some cannot be used; the message names each.
      OSError: a file cannot be read.
    """
    names, files = _files(where, setting)
    boxes = _by_file("boxes", boxes or {}, names)
    landmarks = _by_file("landmarks", landmarks or {}, names)
    both = sorted(boxes.keys() & landmarks.keys())
    if both:
        raise ValueError(
            f"{messages.listed(both)} have a box and landmarks; give one of them"
        )
    loaded, fits, problems = [], [], []
    for name, path in zip(names, files, strict=True):
        try:
            pixels, fit = fitted(
                path.read_bytes(),
                size,
                channels,
                crop=crop,
                box=boxes.get(name),
                landmarks=landmarks.get(name),
            )
        except InvalidImage as problem:
            problems.append(f"{path} {problem}")
            continue
        loaded.append(pixels)
        fits.append({"file": str(path), **fit})
    if problems:
        raise ValueError(
            f"{len(problems)} of {len(files)} targets cannot be used; remove or "
            f"repair them:{messages.lines(problems)}"
        )
    return Targets(_names(files), np.stack(loaded), tuple(fits))


def read_boxes(path: Path) -> dict[str, Box]:
    """Read a JSON object that maps file names to [left, top, width, height].

    Raises:
      ValueError: the file does not hold such an object.
      OSError: the file cannot be read.
    """
    remedy = 'it must be like {"photo.png": [left, top, width, height]}, in pixels'
    found = json_files.read_object(path, remedy)
    for name, box in found.items():
        whole = isinstance(box, list) and all(type(side) is int for side in box)
        if not whole or len(box) != 4 or min(box) < 0 or 0 in box[2:]:
            raise ValueError(f"{path}: the box of {name} is {box!r}; {remedy}")
    return {name: tuple(box) for name, box in found.items()}


def _by_file(kind: str, given: Mapping[str, Any], files: list[str]) -> dict[str, Any]:
    """Return boxes or landmarks by the file that each belongs to.

    Args:
      kind: "boxes" or "landmarks", for messages.
      given: path or last part of a file -> value.
      files: the paths, of which some may be equal.

    Raises:
      ValueError: one belongs to no file, or to several, or two to the same file.
    """
    by_name: dict[str, list[str]] = {}
    for path in dict.fromkeys(files):
        by_name.setdefault(Path(path).name, []).append(path)
    found, unknown = {}, []
    for name, value in given.items():
        paths = [name] if name in files else by_name.get(name, [])
        if len(paths) > 1:
            raise ValueError(
                f"the {kind} of {name} could belong to {messages.listed(paths)}; use "
                "these paths as names"
            )
        if not paths:
            unknown.append(name)
        elif paths[0] in found:
            raise ValueError(f"there are two {kind} for {paths[0]}; remove one of them")
        else:
            found[paths[0]] = value
    if unknown:
        raise ValueError(
            f"the {kind} of {messages.listed(sorted(unknown))} belong to no target; "
            "they are named as the file, such as photo.png, or by its path in the "
            "folder of targets, such as face/photo.png"
        )
    return found


def _files(where: str, setting: str) -> tuple[list[str], list[Path]]:
    """Return the paths of images, relative to a folder or as given; and the files."""
    folder = storage.local_path(where, setting)
    if folder.is_dir():
        names = list(list_images(folder, setting).names)
        return names, [folder / name for name in names]
    files = [storage.local_path(part, setting) for part in where.split(",")]
    missing = [path for path in files if not path.is_file()]
    if missing:
        raise ValueError(
            f"`{setting}` (={where}) must be a folder with images, or image files "
            f"separated by commas; no file or folder is {messages.listed(missing)}"
        )
    return [path.as_posix() for path in files], files


def fitted(
    content: bytes,
    size: images.Size,
    channels: int,
    *,
    crop: str = "center",
    box: Box | None = None,
    landmarks: Points | None = None,
) -> tuple[np.ndarray, dict]:
    """Decode an image and fit it to a size; see `load`, also for the arguments.

    Returns:
      The image [H,W,C] uint8, and how it was fitted, as JSON data.

    Raises:
      InvalidImage: the content is not an image, is damaged or too large, or the box is
        not inside the image.
    """
    image = decoding.decode_pil(content)
    fit = {"size": messages.sides((image.height, image.width))}
    if box is not None:
        left, top, width, height = box
        if left + width > image.width or top + height > image.height:
            raise InvalidImage(f"is {fit['size']}; its box {list(box)} is not inside")
        image = image.crop((left, top, left + width, top + height))
        fit["box"] = list(box)
    if landmarks is not None:
        fit["landmarks"] = len(landmarks)
        fit["square"] = square(landmarks).round(2).tolist()
        image = aligned(image, landmarks, size)
    if crop == "none" and image.height * size[1] != image.width * size[0]:
        raise InvalidImage(
            f"is {messages.sides((image.height, image.width))}, and would be distorted "
            f"to {messages.sides(size)}; --crop=center crops instead"
        )
    image = images.to_channels_pil(image, channels)
    image = images.fit_pil(image, size, crop, "lanczos")
    fit |= {"crop": crop, "resized_to": messages.sides(size)}
    return np.asarray(image).reshape(*size, channels), fit


def check_targets(targets: np.ndarray, size: images.Size, channels: int) -> None:
    """Raise ValueError unless targets are [N,H,W,C] uint8 as a network needs."""
    fits = targets.dtype == np.uint8 and targets.shape[1:] == (*size, channels)
    if not fits or not len(targets):
        raise ValueError(
            f"targets are {list(targets.shape)} {targets.dtype}; this network takes "
            f"[N, {size[0]}, {size[1]}, {channels}] uint8, images of "
            f"{messages.sides(size)} (width x height) with {channels} channels"
        )


def _names(files: list[Path]) -> tuple[str, ...]:
    """Return the file names without endings, numbered where they are not unique."""
    names, used = [], set()
    for path in files:
        name, number = path.stem, 1
        while name in used:
            number += 1
            name = f"{path.stem}-{number}"
        used.add(name)
        names.append(name)
    return tuple(names)
