"""Drawing of the explorer's pictures, with programs that are compiled once."""

import collections
import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from stylegan_jax.config import image_size
from stylegan_jax.explorer.picture import (
    MAX_KEYFRAMES,
    Latent,
    Pad,
    Picture,
    PictureError,
    Seed,
    Style,
    Walk,
)
from stylegan_jax.models import Variables, stylegan3
from stylegan_jax.networks.network import Network
from stylegan_jax.runtime import host_memory
from stylegan_jax.runtime.image_io import to_uint8
from stylegan_jax.runtime.messages import listed, sides
from stylegan_jax.sampling import interpolation, mixing, transform
from stylegan_jax.sampling import noise as noises
from stylegan_jax.sampling.directions.direction import Direction
from stylegan_jax.sampling.synthesis import compile_synthesis, noise_key
from stylegan_jax.training import memory

MAX_TUNED = 4
CACHED_STYLES, CACHED_BYTES = 512, 2**25  # whichever is reached first


class DoesNotFit(ValueError):
    """Error for a network whose images do not fit into memory."""


class Renderer:
    """A network that draws pictures.

    It is not thread-safe: only one call may run at a time.

    Attributes:
      network: the network.
      lod: the level of detail of the images.
      size: height and width of the images.
      noise_modes: modes that give different pictures; only "const" if noise has no
        effect.
      no_noise: the reason why there is only one noise mode; else "".
      directions: directions for edits, by name.
      tuned: variables of tuned versions of the network, by name; see `add_tuned`.
    """

    def __init__(
        self,
        network: Network,
        resolution: int | None = None,
        directions: Sequence[Direction] = (),
    ):
        """Prepare to draw with a network.

        Args:
          network: the network.
          resolution: resolution of the images; None is the highest.
          directions: directions of this network, for edits.

        Raises:
          ValueError: the network has no images of this resolution, or two directions
            have the same name.
        """
        names = [direction.name for direction in directions]
        if len(set(names)) < len(names):
            raise ValueError(
                f"directions must have different names, not {listed(names)}; give each "
                "its own with `directions --name`"
            )
        self.directions = dict(zip(names, directions, strict=True))
        self.tuned: collections.OrderedDict[str, Variables] = collections.OrderedDict()
        self.network = network
        self.lod = network.level(resolution)
        self.size = image_size(network.generator.base_size, self.lod.resolution)
        try:
            noises.noise_layers(network.generator, network.variables)
            self.noise_modes, self.no_noise = ("const", "random", "none"), ""
        except ValueError as error:
            self.noise_modes, self.no_noise = ("const",), str(error)
        self._programs: dict[str, jax.stages.Compiled] = {}
        generator = network.generator
        size = 4 * generator.num_ws * generator.w_dim
        self._cache_size = max(1, min(CACHED_STYLES, CACHED_BYTES // size))
        self._cache: collections.OrderedDict[bytes, np.ndarray] = (
            collections.OrderedDict()
        )

    def compile(self, report: Callable[[str], None]) -> None:
        """Compile all programs, and draw a picture with each of them.

        Args:
          report: called with messages about the progress.

        Raises:
          DoesNotFit: an image needs more memory than there is.
        """
        generator, variables = self.network.generator, self.network.variables
        started = time.monotonic()
        for mode in self.noise_modes:
            report(f"compiling images of {sides(self.size)} with noise={mode}")
            program = compile_synthesis(generator, variables, lod=self.lod, noise=mode)
            self._check_memory(memory.need(program))
            self._programs[mode] = program
        label = (0.0,) * generator.label_size
        first = Style(Seed(0), label)
        walk = Walk((first, Style(Pad((0, 1, 2, 3), 0.5, 0.5), label)), 0.5)
        edits = tuple((name, 1.0) for name in self.directions)
        for mode in self.noise_modes:
            for cutoff in (None, 1):
                self.draw(Picture(Style(walk, label), 0.5, cutoff, mode, 0, edits))
        report(f"ready after {time.monotonic() - started:.1f} s")

    def draw(self, picture: Picture) -> np.ndarray:
        """Return the image of a picture, [H,W,C] uint8."""
        mode = picture.noise if picture.noise in self.noise_modes else "const"
        key = noise_key(picture.noise_seed)
        ws, variables = self.styles(picture), self.variables(picture)
        images = self._programs[mode](variables, ws, self.lod, key)
        return to_uint8(images)[0]

    def variables(self, picture: Picture) -> Variables:
        """Return the variables that draw a picture, with its tuning, edits and view."""
        generator, variables = self.network.generator, self.network.variables
        if picture.tuned:
            if picture.tuned not in self.tuned:
                raise PictureError(
                    f"the tuned network {picture.tuned!r} is no longer in memory; tune "
                    "again, or undo"
                )
            variables = self.tuned[picture.tuned]
        for direction, strength in self._edits(picture, "style"):
            variables = direction.shift_styles(generator, variables, strength)
        if picture.moved:
            matrix = transform.inverse_matrix(
                (picture.translate_x, picture.translate_y), picture.rotate
            )
            variables = transform.moved(generator, variables, matrix)
        return variables

    def add_tuned(self, variables: Variables) -> str:
        """Keep the variables of a tuned network, and return its name.

        Beyond MAX_TUNED networks, the oldest is dropped.
        """
        # The name must differ from those of other servers, whose pictures the browser
        # may have kept.
        name = f"tuned-{secrets.token_hex(3)}"
        self.tuned[name] = variables
        while len(self.tuned) > MAX_TUNED:
            self.tuned.popitem(last=False)
        return name

    def styles(self, picture: Picture) -> np.ndarray:
        """Return the truncated and edited styles of a picture, ws [1,L,W] float32.

        Edits of style channels are left out, because w cannot express them.
        """
        # The position of a walk changes with every picture, so only its keyframes are
        # cached.
        is_walk = isinstance(picture.style.source, Walk)
        styles_of = self._compute if is_walk else self._styles
        ws = self.network.truncate(
            styles_of(picture.style)[None],
            truncation_psi=picture.truncation_psi,
            truncation_cutoff=picture.truncation_cutoff,
        )
        for direction, strength in self._edits(picture, "w"):
            ws = direction.edit(self.network.generator, ws, strength)
        return np.asarray(ws)

    def _edits(self, picture: Picture, space: str) -> list[tuple[Direction, float]]:
        """Return the edits of a picture in a space, without those of strength 0."""
        edits = [(name, strength) for name, strength in picture.directions if strength]
        missing = [name for name, _ in edits if name not in self.directions]
        if missing:
            raise PictureError(
                f"the directions {listed(missing)} of the picture are not loaded; "
                "start `explore` with --direction=FILE for each of them"
            )
        found = [(self.directions[name], strength) for name, strength in edits]
        return [edit for edit in found if edit[0].space == space]

    def facts(self) -> dict[str, Any]:
        """Return the facts about the network that the page needs, as JSON."""
        network, generator = self.network, self.network.generator
        layers = [
            {"layer": layer, "resolution": resolution}
            for resolution in generator.resolutions
            if resolution <= self.lod.resolution
            for layer in generator.style_layers(resolution)
        ]
        try:
            found = mixing.style_ranges(generator, self.lod.resolution)
        except ValueError:  # at 8x8 and below
            found = {}
        return {
            "network": network.reference,
            "checkpoint": network.checkpoint,
            "height": self.size[0],
            "width": self.size[1],
            "channels": generator.image_channels,
            "layers": layers,
            "groups": {name: list(part) for name, part in found.items()},
            "classes": list(network.classes),
            "noise_modes": list(self.noise_modes),
            "no_noise": self.no_noise,
            "max_keyframes": MAX_KEYFRAMES,
            "moves": isinstance(generator, stylegan3.Generator),
            "directions": [
                {"name": name, "strengths": list(direction.strengths)}
                for name, direction in self.directions.items()
            ],
        }

    def _styles(self, style: Style) -> np.ndarray:
        """Return the untruncated styles [L,W], from the cache if they are there."""
        key = _digest(style)
        ws = self._cache.pop(key, None)
        if ws is None:
            ws = self._compute(style)
        self._cache[key] = ws
        while len(self._cache) > self._cache_size:
            self._cache.popitem(last=False)
        return ws

    def _compute(self, style: Style) -> np.ndarray:
        generator, label = self.network.generator, style.label
        match style.source:
            case Seed(seed):
                ws = self._map(self.network.z(seed)[0], label)
            case Pad(seeds, x, y):
                corners = [self._styles(Style(Seed(seed), label)) for seed in seeds]
                weights = np.outer([1 - y, y], [1 - x, x]).astype(np.float32)
                ws = np.tensordot(weights.reshape(4), np.stack(corners), 1)
            case Latent("z"):
                ws = self._map(style.source.values(generator), label)
            case Latent("ws"):
                ws = style.source.values(generator)
            case Walk(keyframes, position):
                points = np.stack([self._styles(keyframe) for keyframe in keyframes])
                path = interpolation.path(points, "cubic", closed=True)
                ws = path(np.array([position]))[0]
        if style.mix is not None and style.mix.layers:
            layers = list(style.mix.layers)
            ws = ws.copy()
            ws[layers] = self._styles(Style(Seed(style.mix.seed), label))[layers]
        return ws

    def _map(self, z: np.ndarray, label: tuple[float, ...]) -> np.ndarray:
        labels = np.array([label], np.float32) if label else None
        return np.asarray(self.network.map(z[None], labels))[0]

    def _check_memory(self, need: memory.Need) -> None:
        """Raise DoesNotFit if a program needs more memory than is free."""
        device = jax.devices()[0].memory_stats() or {}
        if "bytes_limit" in device:
            free = device["bytes_limit"] - device.get("bytes_in_use", 0)
        else:
            free = host_memory.available_bytes()
        if free is not None and need.temporary > free:
            raise DoesNotFit(
                f"{self.network.reference} needs {need.temporary / memory.GIB:.3g} GiB "
                f"of memory for an image of {sides(self.size)}, but only "
                f"{free / memory.GIB:.3g} GiB are free; close other programs, use a "
                "machine with more memory"
                + (
                    f", or draw smaller images: --resolution={self.lod.resolution // 2}"
                    if self.network.generator.grows and self.lod.resolution > 4
                    else ""
                )
            )


def _digest(style: Style) -> bytes:
    """Return a key of fixed size for a style, which may hold a latent from a file."""
    return hashlib.sha256(repr(style).encode()).digest()
