"""The files of a projection: images, latents, settings, distances and a grid."""

import io
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from stylegan_jax.inversion.projection import Projection
from stylegan_jax.runtime import json_files, storage
from stylegan_jax.runtime.image_io import image_grid, rgb_on_white, save_png
from stylegan_jax.sampling import latents, video

LATENTS = "projected_w.npz"
ABOUT = "projection.json"
CONTRAST = 4  # factor by which differences are magnified
GRID_PIXELS = 2**26  # maximum size of the grid
GRID_COLUMNS = 16  # maximum number of targets side by side


class Stored(NamedTuple):
    """A projection that was read from the files of `write`.

    Attributes:
      name: name of the target.
      target: [H,W,C] uint8.
      projection: [H,W,C] uint8.
      ws: [L,W] float32.
      about: content of the file ABOUT.
    """

    name: str
    target: np.ndarray
    projection: np.ndarray
    ws: np.ndarray
    about: dict[str, Any]

    @property
    def view(self) -> np.ndarray | None:
        """The fitted view [3]; see `Projection`."""
        if "translate" not in self.about:
            return None
        (x, y), degrees = self.about["translate"], self.about["rotate"]
        return np.array([x, y, degrees], np.float32)


def write(
    folder: Path, target: np.ndarray, found: Projection, about: dict[str, Any]
) -> None:
    """Write the files of one target; ABOUT comes last and marks them as complete.

    Args:
      folder: the folder of the target, created if needed.
      target: [H,W,C] uint8.
      found: its projection.
      about: JSON data to store with the distances.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_png(folder / "target.png", target)
    save_png(folder / "projection.png", found.image)
    save_png(folder / "difference.png", difference(target, found.image))
    write_latents(folder / LATENTS, found.ws[None], found.maps)
    distances = {
        "distance": found.distance,
        "rms": found.rms,
        "start_distance": found.start_distance,
        "steps": found.steps,
        "noise_maps": len(found.maps),
        "distances_of_runs": found.runs,
    }
    distances |= described_view(found.view)
    storage.write_json(folder / ABOUT, {**distances, **about})


def described_view(view: np.ndarray | None) -> dict[str, Any]:
    """Return a fitted view as JSON data, which `Stored.view` parses."""
    if view is None:
        return {}
    x, y, degrees = map(float, view)
    return {"translate": [x, y], "rotate": degrees}


def write_latents(path: Path, ws: np.ndarray, maps: dict[str, np.ndarray]) -> None:
    """Write ws [N,L,W] as `w`, like the official tools, and maps as `noise/...`."""
    buffer = io.BytesIO()
    np.savez(buffer, w=ws, **{f"noise/{name}": x for name, x in maps.items()})
    storage.write_atomically(path, buffer.getvalue())


def difference(target: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return the absolute difference of two images as RGB, magnified by CONTRAST."""
    a, b = (rgb_on_white(x).astype(np.int32) for x in (target, image))
    return np.clip(CONTRAST * np.abs(a - b), 0, 255).astype(np.uint8)


def write_video(path: Path, target: np.ndarray, images: Iterable[np.ndarray]) -> None:
    """Write a video of a projection, with the target on the left.

    Args:
      path: the file; see `video.FORMATS`.
      target: [H,W,C] uint8.
      images: [H,W,C] uint8 for each frame.
    """
    height, width, channels = target.shape
    with video.create(path, (height, 2 * width), channels, fps=30) as writer:
        for image in images:
            writer.add(np.concatenate([target, image], axis=1))


def read(folder: Path, names: Collection[str] | None = None) -> Iterator[Stored]:
    """Yield the projections in the subfolders of a folder, sorted by name.

    Args:
      folder: the folder.
      names: names of the targets to read; None for all.

    Raises:
      ValueError: there are none, or files are damaged or missing.
      OSError: a file cannot be read.
    """
    found = sorted(folder.glob(f"*/{ABOUT}"))
    if names is not None:
        found = [path for path in found if path.parent.name in names]
    if not found:
        raise ValueError(
            f"{folder} holds no projections; it must be the --out of `python -m "
            "stylegan_jax.project`"
        )
    remedy = "project the image again"
    for path in found:
        about = json_files.read_object(path, remedy)
        try:
            target = _pixels(path.parent / "target.png")
            projection = _pixels(path.parent / "projection.png")
            with np.load(path.parent / LATENTS) as arrays:
                ws = np.asarray(arrays["w"], np.float32)[0]
            stored = Stored(path.parent.name, target, projection, ws, about)
            if stored.view is not None and not np.isfinite(stored.view).all():
                raise ValueError(f"{ABOUT} has no numbers for the view")
        except (*latents.DAMAGE, KeyError, SyntaxError, TypeError) as error:
            raise ValueError(
                f"{path.parent} has a damaged file: {error}; {remedy}"
            ) from error
        yield stored


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path, formats=("PNG",)) as image:
        pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def write_grid(path: Path, columns: Iterable[tuple[np.ndarray, ...]]) -> None:
    """Write a grid in which each column shows the images of one target.

    Targets beyond GRID_PIXELS are left out.

    Args:
      path: the file.
      columns: for each target, its images [H,W,C] uint8 from top to bottom; C is 1, 3
        or 4.
    """
    shown: list[tuple[np.ndarray, ...]] = []
    for images in columns:
        pixels = len(images) * images[0].shape[0] * images[0].shape[1]
        if shown and (len(shown) + 1) * pixels > GRID_PIXELS:
            break
        shown.append(tuple(map(rgb_on_white, images)))
    width = min(len(shown), GRID_COLUMNS)
    blank = tuple(np.full_like(image, 255) for image in shown[0])
    shown += [blank] * (-len(shown) % width)
    cells = [
        image
        for begin in range(0, len(shown), width)
        for row in zip(*shown[begin : begin + width], strict=True)
        for image in row
    ]
    save_png(path, image_grid(np.stack(cells), width), grid=True)
