"""Editing of photos and pictures in the explorer: project, tune, drag.

The methods that prepare a task are called in the thread that draws pictures. The tasks
that they return run in another thread and must not draw with the `Renderer`.
"""

import base64
import binascii
import collections
import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.data.interface import InvalidImage
from stylegan_jax.explorer import picture as pictures
from stylegan_jax.explorer.jobs import Report, Work
from stylegan_jax.explorer.picture import Latent, Picture, Style
from stylegan_jax.explorer.renderer import Renderer
from stylegan_jax.inversion import distances, targets
from stylegan_jax.inversion.drag import Dragger, DragSettings
from stylegan_jax.inversion.encoder import Encoder
from stylegan_jax.inversion.points import check_mask, check_points
from stylegan_jax.inversion.projection import Projector, Session, Settings
from stylegan_jax.inversion.tuning import Tuner, TuningSettings
from stylegan_jax.networks import delta, file

MAX_PHOTO_BYTES = 2**25
MAX_TARGETS = 8
MAX_STEPS = 10_000
SAMPLES = 64  # a projection without an encoder starts from the nearest of these


class Studio:
    """The photos of a server, and the tasks that it can run."""

    def __init__(self, renderer: Renderer, encoder: Encoder | None = None):
        """Start without photos.

        Args:
          renderer: the network.
          encoder: encoder for this network, from whose latents projections start.
        """
        self._renderer, self._encoder = renderer, encoder
        self._count = 0
        self._targets: collections.OrderedDict[str, np.ndarray] = (
            collections.OrderedDict()
        )
        self._draggers: dict[tuple[str, tuple[float, ...]], Dragger] = {}

    def add(self, content: bytes, box: targets.Box | None) -> dict[str, Any]:
        """Keep a photo as a target; return its name, and how it was fitted.

        Args:
          content: content of the image file.
          box: left, top, width and height in pixels of the upright image; None for a
            center crop.

        Raises:
          ValueError: it is not an image, is too large, or does not contain the box.
        """
        renderer = self._renderer
        channels = renderer.network.generator.image_channels
        try:
            pixels, fit = targets.fitted(content, renderer.size, channels, box=box)
        except InvalidImage as problem:
            raise ValueError(f"the photo {problem}") from problem
        self._count += 1
        name = f"photo {self._count}"
        self._targets[name] = pixels
        while len(self._targets) > MAX_TARGETS:
            self._targets.popitem(last=False)
        return {"target": name, "fit": fit}

    def target(self, name: Any) -> np.ndarray:
        """Return the pixels [H,W,C] uint8 of a target; raise ValueError if unknown."""
        if not isinstance(name, str) or name not in self._targets:
            raise ValueError(
                f"the photo {name!r:.60} is no longer on this server; open it again"
            )
        return self._targets[name]

    def project(self, value: dict[str, Any]) -> Work:
        """Prepare to find the latent of a target.

        Args:
          value: {"target": name, "space": "w" or "w+", "steps": number, "picture":
            the picture whose label and noise are kept}.

        Returns:
          The task.

        Raises:
          ValueError: a part of `value` is wrong.
        """
        pixels, shown = self.target(value.get("target")), self._picture(value)
        settings = Settings(
            space=value.get("space"),
            steps=_steps(value),
            noise=_noise(shown),
            start="samples" if self._encoder is None else "encoder",
            samples=SAMPLES,
        )
        network, lod, encoder = (
            self._renderer.network,
            self._renderer.lod,
            self._encoder,
        )
        plain = dataclasses.replace(_unedited(shown), tuned="")

        def work(report: Report) -> dict[str, Any]:
            projector = Projector(
                network,
                settings,
                "multiscale",
                label=shown.style.label or None,
                resolution=lod.resolution,
                batch_size=1,
                encoder=encoder,
            )
            session = Session(projector, pixels[None])
            while True:
                found = session.advance()
                ws, distance = session.current(0)
                state = {
                    "step": session.steps_done,
                    "steps": session.steps,
                    "distance": found[0].distance if found else distance,
                    "picture": _with_latent(plain, ws),
                }
                if found:
                    return state | {"rms": found[0].rms}
                report(state)

        return work

    def tune(self, value: dict[str, Any]) -> Work:
        """Prepare to tune the network so that a picture becomes a target.

        Args:
          value: {"target": name, "steps": number, "learning_rate": number, "picture":
            the picture}.

        Returns:
          The task.

        Raises:
          ValueError: a part of `value` is wrong.
        """
        pixels, shown = self.target(value.get("target")), self._picture(value)
        rate = value.get("learning_rate")
        if type(rate) not in (int, float) or not 0 < rate <= 1:
            raise ValueError("`learning_rate` must be a number above 0, at most 1")
        settings = TuningSettings(
            steps=_steps(value), learning_rate=float(rate), noise=_noise(shown)
        )
        renderer = self._renderer
        ws, variables = renderer.styles(shown), renderer.variables(shown)
        network = dataclasses.replace(renderer.network, variables=variables)

        def work(report: Report) -> dict[str, Any]:
            tuner = Tuner(
                network,
                settings,
                distances.load("multiscale"),
                resolution=renderer.lod.resolution,
                batch_size=1,
            )

            def progress(activity: str, step: int, steps: int) -> None:
                report({"step": step, "steps": steps})

            found = tuner.tune(pixels[None], ws, progress)
            name = renderer.add_tuned(found.network.variables)
            # The edits and the view are part of ws and of the variables already.
            picture = _with_latent(
                dataclasses.replace(_unedited(shown), tuned=name), ws[0]
            )
            return {
                "step": found.steps,
                "steps": found.steps,
                "distance": float(found.distances[0]),
                "rms": float(found.rms[0]),
                "picture": picture,
            }

        return work

    def drag(self, value: dict[str, Any]) -> Work:
        """Prepare to move points of a picture.

        Args:
          value: {"picture": the picture, "handles": points [x, y] in pixels,
            "targets": one point for each, "mask": null, or the bits of [H,W] in Base64,
            "steps": number}.

        Returns:
          The task.

        Raises:
          ValueError: a part of `value` is wrong.
        """
        renderer, shown = self._renderer, self._picture(value)
        handles, ends = check_points(
            value.get("handles"), value.get("targets"), renderer.size
        )
        mask = check_mask(_mask(value.get("mask"), renderer.size), renderer.size)
        steps = _steps(value)
        ws, variables = renderer.styles(shown)[0], renderer.variables(shown)
        # ws contain the edits of w already; the picture keeps those of style channels.
        edits = tuple(
            (name, strength)
            for name, strength in shown.directions
            if name in renderer.directions
            and renderer.directions[name].space == "style"
        )
        rest = dataclasses.replace(shown, directions=edits)
        dragger = self._dragger(_noise(shown), shown.style.label)

        def work(report: Report) -> dict[str, Any]:
            for frame in dragger.drag(ws, handles, ends, mask, variables):
                state = {
                    "step": frame.step,
                    "steps": steps,
                    "points": frame.points.tolist(),
                    "distances": frame.distances.tolist(),
                    "arrived": frame.arrived,
                    "picture": _with_latent(rest, frame.ws),
                }
                if frame.step >= steps:
                    break
                report(state)
            return state

        return work

    def save(self, name: Any) -> bytes:
        """Return a tuned network as the content of a .safetensors file.

        The file holds the whole network, or only its difference from the original one
        if the format cannot express the network.
        """
        renderer = self._renderer
        if name not in renderer.tuned:
            raise ValueError("this picture is not of a tuned network; tune it first")
        base = renderer.network
        tuned = dataclasses.replace(base, variables=renderer.tuned[name])
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "tuned.safetensors"
            if base.experiment is not None:
                file.save(tuned, path)
            else:
                delta.save(base, tuned, path)
            return path.read_bytes()

    def _picture(self, value: dict[str, Any]) -> Picture:
        return pictures.from_json(
            value.get("picture"), self._renderer.network.generator
        )

    def _dragger(self, noise: str, label: tuple[float, ...]) -> Dragger:
        key = noise, label
        if key not in self._draggers:
            self._draggers[key] = Dragger(
                self._renderer.network,
                DragSettings(noise=noise, steps=MAX_STEPS),
                label=label or None,
                resolution=self._renderer.lod.resolution,
            )
        return self._draggers[key]


def parse_box(text: str | None) -> targets.Box | None:
    """Parse a box LEFT,TOP,WIDTH,HEIGHT; return None for an empty text."""
    if not text:
        return None
    try:
        box = tuple(map(int, text.split(",")))
    except ValueError:
        box = ()
    if len(box) != 4 or min(box) < 0 or 0 in box[2:] or max(box) > 2**31:
        raise ValueError(
            f"`box` (={text!r:.60}) must be LEFT,TOP,WIDTH,HEIGHT in whole pixels"
        )
    return box


def _steps(value: dict[str, Any]) -> int:
    steps = value.get("steps")
    if type(steps) is not int or not 1 <= steps <= MAX_STEPS:
        raise ValueError(f"`steps` must be a whole number from 1 to {MAX_STEPS}")
    return steps


def _noise(shown: Picture) -> str:
    """Return the noise mode of a task; random noise becomes constant."""
    return "none" if shown.noise == "none" else "const"


def _mask(text: Any, size: tuple[int, int]) -> np.ndarray | None:
    """Decode a mask [H,W] from bits in Base64, the highest bit of each byte first."""
    if text is None:
        return None
    try:
        bits = base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        bits = b""
    if len(bits) != -(-size[0] * size[1] // 8):
        raise ValueError(
            f"`mask` must be {size[0]}x{size[1]} bits in Base64, one for each pixel"
        )
    flat = np.unpackbits(np.frombuffer(bits, np.uint8), count=size[0] * size[1])
    return flat.reshape(size).astype(bool)


def _unedited(shown: Picture) -> Picture:
    """Return a picture without its directions, translation and rotation."""
    return dataclasses.replace(
        shown, directions=(), translate_x=0.0, translate_y=0.0, rotate=0.0
    )


def _with_latent(shown: Picture, ws: np.ndarray) -> dict[str, Any]:
    """Return the JSON of a picture whose styles are ws [L,W]."""
    style = Style(Latent.of("ws", ws), shown.style.label)
    return pictures.to_json(
        dataclasses.replace(
            shown,
            style=style,
            truncation_psi=1.0,
            truncation_cutoff=None,
            noise=_noise(shown),
        )
    )
