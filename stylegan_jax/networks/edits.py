"""Edits of a network and its styles along the directions of a command line."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import flags

from stylegan_jax.networks.network import Network
from stylegan_jax.runtime import outputs
from stylegan_jax.sampling import seeds
from stylegan_jax.sampling.directions.direction import (
    MAX_STRENGTH,
    Direction,
    check_layers,
)
from stylegan_jax.sampling.interpolation import Path as StylePath


class Strength(NamedTuple):
    """A strength that varies from `start` to `end`, in standard deviations."""

    start: float
    end: float

    @property
    def moves(self) -> bool:
        """True if the strength is not constant."""
        return self.start != self.end

    def at(self, share: np.ndarray | float) -> np.ndarray:
        """Return the strength at shares of a path, from 0 to 1."""
        return self.start + (self.end - self.start) * np.asarray(share)


class Edit(NamedTuple):
    """A direction with its strength, and the layers of w (None: its own)."""

    direction: Direction
    strength: Strength
    layers: list[int] | None


class Request(NamedTuple):
    """The edits of a command line, before its network is opened.

    Attributes:
      paths: paths of the files of directions.
      strengths: strength of each direction.
      layers: layers of w to change; None for those of each direction.
    """

    paths: list[Path]
    strengths: list[Strength]
    layers: list[int] | None

    @property
    def moves(self) -> bool:
        """True if one of the strengths varies."""
        return any(strength.moves for strength in self.strengths)

    def open(self, network: Network) -> list[Edit]:
        """Return the edits of a network.

        Raises:
          ValueError: a direction cannot be used with this network, or at these layers.
        """
        if self.layers is not None:
            check_layers(network.generator, self.layers)
        edits = []
        for path, strength in zip(self.paths, self.strengths, strict=True):
            direction = network.direction(path)
            if direction.space == "style" and self.layers is not None:
                raise ValueError(
                    f"`--direction_layers` has no effect on {path}, which changes a "
                    f"style channel of layer {direction.layers[0]}; leave it out"
                )
            edits.append(Edit(direction, strength, self.layers))
        return edits


def requested(values: flags.FlagValues, *, ranges: bool = False) -> Request:
    """Return the edits that --direction, --strength and --direction_layers name.

    Args:
      values: the flags.
      ranges: allow strengths START:END.

    Raises:
      ValueError: a file does not exist, or a flag is wrong.
    """
    if values.direction is None:
        for name in ("strength", "direction_layers"):
            if values[name].present:
                raise ValueError(
                    f"--{name} has no effect without --direction=FILE; add it, or "
                    f"leave --{name} out"
                )
        return Request([], [], None)
    paths = direction_paths(values.direction)
    parts = values.strength.split(",")
    if len(parts) not in (1, len(paths)):
        raise ValueError(
            f"`--strength` (={values.strength}) has {len(parts)} numbers for "
            f"{len(paths)} directions; give one for all, or one for each"
        )
    strengths = [_strength(part, values.strength, ranges) for part in parts]
    text = values.direction_layers
    layers = None if text is None else seeds.parse_seeds(text, "direction_layers")
    return Request(paths, strengths * (len(paths) // len(parts)), layers)


def direction_paths(text: str | None) -> list[Path]:
    """Return the files that --direction names; raise ValueError if one is missing."""
    names = text.split(",") if text else []
    return [outputs.input_file(name, "--direction") for name in names]


def apply(
    network: Network,
    ws: np.ndarray,
    edits: Sequence[Edit],
    share: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Apply the edits of w to ws [N,L,W]; `shifted` applies those of styles.

    Args:
      network: the network.
      ws: [N,L,W].
      edits: the edits.
      share: position of varying strengths, from 0 to 1; one, or one for each image [N].
    """
    for edit in edits:
        if edit.direction.space == "w":
            strength = edit.strength.at(share)
            ws = edit.direction.edit(network.generator, ws, strength, edit.layers)
    return np.asarray(ws)


def shifted(network: Network, edits: Sequence[Edit], share: float = 0.0) -> Network:
    """Return the network after the edits of styles."""
    for edit in edits:
        if edit.direction.space == "style":
            network = network.shift_styles(
                edit.direction, float(edit.strength.at(share))
            )
    return network


def styles_move(edits: Sequence[Edit]) -> bool:
    """Return True if the strength of an edit of styles varies."""
    return any(e.strength.moves and e.direction.space == "style" for e in edits)


def share_along(keyframes: int, *, closed: bool) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function from positions on a path to the `share` of `apply`.

    An open path goes from 0 to 1 evenly; a closed one goes to 1 and back, as a cosine.

    Args:
      keyframes: K; positions are from 0 to K - 1, closed below K.
      closed: True if the path is closed.
    """
    if closed:
        return lambda position: (1 - np.cos(2 * np.pi * position / keyframes)) / 2
    return lambda position: position / (keyframes - 1)


def along(
    network: Network,
    styles: StylePath,
    edits: Sequence[Edit],
    share: Callable[[np.ndarray], np.ndarray],
) -> StylePath:
    """Return a path of styles with the edits of w.

    Args:
      network: the network.
      styles: function from positions [F] to ws [F,cells,L,W].
      edits: the edits.
      share: see `share_along`.
    """

    def at(positions: np.ndarray) -> np.ndarray:
        ws = np.asarray(styles(positions))
        flat = ws.reshape(-1, *ws.shape[2:])
        shares = np.repeat(share(positions), ws.shape[1])
        return apply(network, flat, edits, shares).reshape(ws.shape)

    return at


def _strength(part: str, whole: str, ranges: bool) -> Strength:
    ends = part.split(":") if ranges else [part]
    try:
        numbers = [float(end) for end in ends]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2) or not all(abs(n) <= MAX_STRENGTH for n in numbers):
        form = f"numbers from -{MAX_STRENGTH:g} to {MAX_STRENGTH:g} such as 2 or -1.5"
        form += ", or START:END such as -3:3" if ranges else ""
        raise ValueError(
            f"`--strength` (={whole}) must be {form}; several are separated by commas"
        )
    return Strength(numbers[0], numbers[-1])
