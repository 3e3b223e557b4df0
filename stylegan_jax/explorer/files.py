"""The files that the explorer saves and loads: images, and latents with settings."""

import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.explorer import picture as pictures
from stylegan_jax.explorer.picture import Latent, Picture, PictureError, Style
from stylegan_jax.explorer.renderer import Renderer
from stylegan_jax.runtime.image_io import encode_png
from stylegan_jax.sampling import latents

MAX_BYTES = 2**23  # maximum size of a file, and of an array in it
MAX_LATENTS = 64  # maximum number of latents in a file that the page offers
SETTINGS = "settings.json"
TOLERANCE = 1e-3  # for differences in rounding between versions and devices


def image(renderer: Renderer, picture: Picture) -> bytes:
    """Return the image of a picture as a PNG."""
    return encode_png(renderer.draw(picture))


def save(renderer: Renderer, picture: Picture) -> bytes:
    """Return the truncated styles of a picture and its settings as an .npz file.

    The file holds `ws` [1,L,W] float32, which `generate --latents` draws, and
    settings.json.
    """
    buffer = io.BytesIO()
    np.savez(buffer, ws=renderer.styles(picture))
    settings = {
        "network": renderer.network.reference,
        "checkpoint": renderer.network.checkpoint,
        "picture": pictures.to_json(picture),
    }
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(SETTINGS, json.dumps(settings, indent=2))
    return buffer.getvalue()


def load(renderer: Renderer, content: bytes, name: str) -> dict[str, Any]:
    """Return the latents in a file as JSON for the page.

    Args:
      renderer: the network that the latents are for.
      content: content of the file, in any format that `latents.read` accepts.
      name: name of the file, for messages.

    Returns:
      `sources`, the first latents, up to MAX_LATENTS; `total`, the number of latents in
      the file; `truncated`, True for styles, which are drawn with psi 1; and `picture`,
      the saved picture if this network draws the same image, else None.

    Raises:
      ValueError: the file is damaged, or does not fit the network.
    """
    generator = renderer.network.generator
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "file"
        path.write_bytes(content)
        try:
            kind, values = latents.read(path, generator, "file", MAX_BYTES)
        except ValueError as error:
            text = str(error).replace(str(path), name)
            raise ValueError(text) from error
        picture = _saved_picture(renderer, path, values) if kind == "ws" else None
    styles = [Style(Latent.of(kind, value)) for value in values[:MAX_LATENTS]]
    return {
        "sources": [pictures.style_to_json(style)["source"] for style in styles],
        "total": len(values),
        "truncated": kind == "ws",
        "picture": picture and pictures.to_json(picture),
    }


def _saved_picture(
    renderer: Renderer, path: Path, values: np.ndarray
) -> Picture | None:
    """Return the picture in settings.json; None unless it has these styles."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        if SETTINGS not in archive.namelist():
            return None
        if archive.getinfo(SETTINGS).file_size > MAX_BYTES:
            return None
        try:
            settings = json.loads(archive.read(SETTINGS))
            saved = settings["picture"] if isinstance(settings, dict) else None
            picture = pictures.from_json(saved, renderer.network.generator)
        except (*latents.DAMAGE, KeyError, PictureError):
            return None
    if picture.tuned and picture.tuned not in renderer.tuned:
        return None
    found = renderer.styles(picture)
    same = values.shape == found.shape and np.allclose(values, found, atol=TOLERANCE)
    return picture if same else None
