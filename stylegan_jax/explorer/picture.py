"""The state of a picture: one value that the page edits and the server draws.

A `Picture` holds everything that an image depends on, so it can be sent, liked, saved
and redrawn by any server with the same network. In JSON:

    {"style": {"source": {"kind": "seed", "seed": 5},
               "label": [1, 0, 0, 0], "mix": {"seed": 7, "layers": [2, 3]}},
     "truncation_psi": 0.7, "truncation_cutoff": null,
     "noise": "const", "noise_seed": 0, "directions": {"smile": 1.5},
     "tuned": "", "translate_x": 0.0, "translate_y": 0.0, "rotate": 0.0}

A projected or dragged image is a `Latent`. To add a source of styles, write a class, an
entry in `SOURCES` and a case in `Renderer`; to add a change of the image, add a field
to `Picture`.
"""

import base64
import binascii
import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from stylegan_jax.models import Generator
from stylegan_jax.models.interface import NOISE_MODES
from stylegan_jax.runtime.messages import listed
from stylegan_jax.sampling.directions.direction import MAX_STRENGTH

MAX_SEED = 2**32 - 1
# Limits of absolute values.
MAX_PSI = 10.0
MAX_LABEL = 100.0
MAX_TRANSLATION = 10.0  # in image widths and heights
MAX_ROTATION = 36000.0  # degrees

MAX_KEYFRAMES = 64
MAX_DIRECTIONS = 100
MAX_NAME = 64  # characters in the name of a tuned network
MAX_DEPTH = 3  # nested walks: walks whose keyframes are points on walks


class PictureError(ValueError):
    """Error for a value that is not a picture of this network."""


@dataclasses.dataclass(frozen=True)
class Seed:
    """The latent of a seed."""

    seed: int


@dataclasses.dataclass(frozen=True)
class Pad:
    """A point between the w of four seeds, by bilinear interpolation.

    Attributes:
      seeds: the seeds at the top left, top right, bottom left and bottom right.
      x: position from 0 at the left to 1 at the right.
      y: position from 0 at the top to 1 at the bottom.
    """

    seeds: tuple[int, int, int, int]
    x: float
    y: float


@dataclasses.dataclass(frozen=True)
class Latent:
    """A given latent, such as one from a file.

    Attributes:
      array: "z" or "ws".
      data: z [Z] or ws [L,W] as little-endian float32 in Base64.
    """

    array: str
    data: str

    @classmethod
    def of(cls, array: str, values: np.ndarray) -> "Latent":
        """Return the latent with these values."""
        content = np.ascontiguousarray(values, "<f4").tobytes()
        return cls(array, base64.b64encode(content).decode("ascii"))

    def values(self, generator: Generator) -> np.ndarray:
        """Return z [Z] or ws [L,W] float32; raise PictureError if they do not fit."""
        shapes = {
            "z": (generator.z_dim,),
            "ws": (generator.num_ws, generator.w_dim),
        }
        try:
            content = base64.b64decode(self.data, validate=True)
        except (binascii.Error, ValueError):
            content = b""
        shape = shapes[self.array]
        if len(content) != 4 * math.prod(shape):
            raise PictureError(
                f"the latent `data` of {self.array} must be {list(shape)} float32 "
                "numbers in Base64; load the file again"
            )
        values = np.frombuffer(content, "<f4").reshape(shape)
        if not np.isfinite(values).all():
            raise PictureError("the latent `data` must be finite numbers")
        return values.astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Walk:
    """A point on a smooth closed curve through the w of several styles.

    Attributes:
      keyframes: the styles.
      position: 0 at the first keyframe, 1 at the second, and so on; less than their
        number.
    """

    keyframes: tuple["Style", ...]
    position: float


@dataclasses.dataclass(frozen=True)
class Mix:
    """Style mixing: layers that take the styles of another seed.

    Attributes:
      seed: the other seed.
      layers: the layers, counted from 0 at the lowest resolution.
    """

    seed: int
    layers: tuple[int, ...]


SOURCES = {"seed": Seed, "pad": Pad, "latent": Latent, "walk": Walk}
KINDS = {source: kind for kind, source in SOURCES.items()}


@dataclasses.dataclass(frozen=True)
class Style:
    """The styles of a picture before truncation.

    Attributes:
      source: the latent from which they come.
      label: label vector of all mapped latents; () without classes.
      mix: style mixing with another seed; None for none.
    """

    source: Seed | Pad | Latent | Walk
    label: tuple[float, ...] = ()
    mix: Mix | None = None


@dataclasses.dataclass(frozen=True)
class Picture:
    """Everything that a picture of a network depends on; see the module's docstring.

    Attributes:
      style: the styles.
      truncation_psi: see `truncation.truncated_styles`.
      truncation_cutoff: see `truncation.truncated_styles`.
      noise: "const", "random" or "none".
      noise_seed: seed of random noise.
      directions: (name, strength) of edits, which are applied after truncation along
        directions that the server has loaded.
      tuned: name of a network that the server has tuned; "" for the original one.
      translate_x: shift to the right in image widths; StyleGAN3 only.
      translate_y: shift downwards in image heights; StyleGAN3 only.
      rotate: counterclockwise rotation in degrees; StyleGAN3 only.
    """

    style: Style
    truncation_psi: float = 0.7
    truncation_cutoff: int | None = None
    noise: str = "const"
    noise_seed: int = 0
    directions: tuple[tuple[str, float], ...] = ()
    tuned: str = ""
    translate_x: float = 0.0
    translate_y: float = 0.0
    rotate: float = 0.0

    @property
    def moved(self) -> bool:
        """True if the image is translated or rotated."""
        return bool(self.translate_x or self.translate_y or self.rotate)


# Defaults of fields that saved pictures of older versions lack.
ADDED = {
    "directions": {},
    "tuned": "",
    "translate_x": 0.0,
    "translate_y": 0.0,
    "rotate": 0.0,
}


def to_json(picture: Picture) -> dict[str, Any]:
    """Return the JSON form of a picture."""
    fields = {f.name: getattr(picture, f.name) for f in dataclasses.fields(picture)}
    return fields | {
        "style": style_to_json(picture.style),
        "directions": dict(picture.directions),
    }


def style_to_json(style: Style) -> dict[str, Any]:
    """Return the JSON form of a style."""
    source = style.source
    fields = {"kind": KINDS[type(source)]} | {
        f.name: getattr(source, f.name) for f in dataclasses.fields(source)
    }
    if isinstance(source, Walk):
        fields["keyframes"] = [style_to_json(k) for k in source.keyframes]
    mix = style.mix and {"seed": style.mix.seed, "layers": list(style.mix.layers)}
    return {"source": fields, "label": list(style.label), "mix": mix}


def from_json(value: Any, generator: Generator) -> Picture:
    """Return the picture that a JSON value describes; check all of it.

    Args:
      value: the parsed JSON.
      generator: the network that draws it.

    Raises:
      PictureError: a part is missing, unknown, or not allowed.
    """
    if isinstance(value, dict):
        value = ADDED | value
    fields = _object(value, "picture", [f.name for f in dataclasses.fields(Picture)])
    psi, cutoff = fields["truncation_psi"], fields["truncation_cutoff"]
    if cutoff is not None:
        cutoff = _integer(cutoff, "truncation_cutoff", generator.num_ws)
    return Picture(
        style=_style(fields["style"], generator),
        truncation_psi=_number(psi, "truncation_psi", -MAX_PSI, MAX_PSI),
        truncation_cutoff=cutoff,
        noise=_choice(fields["noise"], "noise", NOISE_MODES),
        noise_seed=_integer(fields["noise_seed"], "noise_seed", MAX_SEED),
        directions=_directions(fields["directions"]),
        tuned=_name(fields["tuned"]),
        **{
            name: _number(fields[name], name, -MAX_TRANSLATION, MAX_TRANSLATION)
            for name in ("translate_x", "translate_y")
        },
        rotate=_number(fields["rotate"], "rotate", -MAX_ROTATION, MAX_ROTATION),
    )


def _name(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_NAME:
        raise PictureError(f"`tuned` must be a string of up to {MAX_NAME} characters")
    return value


def _directions(value: Any) -> tuple[tuple[str, float], ...]:
    if not isinstance(value, dict) or len(value) > MAX_DIRECTIONS:
        raise PictureError(
            f"`directions` must be an object of up to {MAX_DIRECTIONS} strengths by "
            f"name, not {type(value).__name__}"
        )
    return tuple(
        (name, _number(strength, "directions", -MAX_STRENGTH, MAX_STRENGTH))
        for name, strength in value.items()
    )


def _style(value: Any, generator: Generator, depth: int = MAX_DEPTH) -> Style:
    fields = _object(value, "style", ("source", "label", "mix"))
    size = generator.label_size
    label = _list(fields["label"], "label", size, size)
    mix = fields["mix"]
    if mix is not None:
        mix = _object(mix, "mix", ("seed", "layers"))
        layers = _list(mix["layers"], "layers", 0, generator.num_ws)
        last = generator.num_ws - 1
        mix = Mix(
            _integer(mix["seed"], "mix.seed", MAX_SEED),
            tuple(_integer(layer, "layers", last) for layer in layers),
        )
    return Style(
        _source(fields["source"], generator, depth),
        tuple(_number(part, "label", -MAX_LABEL, MAX_LABEL) for part in label),
        mix,
    )


def _source(value: Any, generator: Generator, depth: int) -> Seed | Pad | Latent | Walk:
    """Return a source with at most `depth` nested walks."""
    kind = value.get("kind") if isinstance(value, dict) else None
    kinds = [k for k in SOURCES if depth or k != "walk"]
    source = SOURCES[_choice(kind, "kind", kinds)]
    names = [f.name for f in dataclasses.fields(source)]
    fields = _object(value, kind, ["kind", *names])
    if source is Seed:
        return Seed(_integer(fields["seed"], "seed", MAX_SEED))
    if source is Pad:
        seeds = _list(fields["seeds"], "seeds", 4, 4)
        return Pad(
            tuple(_integer(seed, "seeds", MAX_SEED) for seed in seeds),
            _number(fields["x"], "x", 0, 1),
            _number(fields["y"], "y", 0, 1),
        )
    if source is Latent:
        data = fields["data"]
        if not isinstance(data, str):
            raise PictureError("the latent `data` must be a string in Base64")
        latent = Latent(_choice(fields["array"], "array", ("z", "ws")), data)
        latent.values(generator)  # raises PictureError if they do not fit
        return latent
    keyframes = _list(fields["keyframes"], "keyframes", 2, MAX_KEYFRAMES)
    position = _number(fields["position"], "position", 0, len(keyframes))
    return Walk(
        tuple(_style(k, generator, depth - 1) for k in keyframes),
        position % len(keyframes),
    )


def _object(value: Any, name: str, keys: Sequence[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or value.keys() != set(keys):
        got = listed(value) if isinstance(value, dict) else type(value).__name__
        raise PictureError(f"`{name}` must be an object with {listed(keys)}, not {got}")
    return value


def _list(value: Any, name: str, least: int, most: int) -> list[Any]:
    if not isinstance(value, list) or not least <= len(value) <= most:
        got = len(value) if isinstance(value, list) else type(value).__name__
        count = f"{least}" if least == most else f"{least} to {most}"
        raise PictureError(f"`{name}` must be a list of {count} values, not {got}")
    return value


def _integer(value: Any, name: str, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise PictureError(
            f"`{name}` (={_shown(value)}) must be a whole number from 0 to {most}"
        )
    return value


def _number(value: Any, name: str, least: float, most: float) -> float:
    if type(value) not in (int, float) or not least <= value <= most:
        raise PictureError(
            f"`{name}` (={_shown(value)}) must be a number from {least} to {most}"
        )
    return float(value)


def _choice(value: Any, name: str, allowed: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise PictureError(
            f"`{name}` (={_shown(value)}) must be one of {listed(allowed)}"
        )
    return value


def _shown(value: Any) -> str:
    return f"{value!r:.60}"
