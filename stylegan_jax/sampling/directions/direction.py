"""A direction of edits, and how it is applied to styles.

    ws[:, l] + strength * vector    for the style layers l of the direction

For a direction of w, strength 1 is one standard deviation of w along it. A StyleSpace
direction is added to the styles that the affine maps of one layer return, and strength
1 is one standard deviation of its channel.
"""

import dataclasses
import hashlib
from collections.abc import Collection, Mapping
from typing import Literal

import jax
import numpy as np
from flax import traverse_util

from stylegan_jax.models import Generator, Variables
from stylegan_jax.sampling.directions import affines

METHODS = ("sefa", "ganspace", "stylespace", "boundary", "difference", "text")
MAX_STRENGTH = 1000.0  # maximum absolute value; images break down far below it


@dataclasses.dataclass(frozen=True, eq=False)
class Direction:
    """A direction.

    Attributes:
      name: its name.
      method: the one of METHODS that found it.
      space: "w", or "style" for the styles of one layer.
      vector: change at strength 1: [W] float32, the same for all layers; [L,W]; or, in
        the space "style", [C] for all style channels of the layer.
      layers: the style layers that it changes; only one in the space "style".
      strengths: lower and upper end of the usual range of strengths.
      sigma: standard deviation of w, or of the style, along the unit vector; see
        `subject.Subject`.
      reference: name of the network in which it was found.
      fingerprint: see `fingerprint`.
      facts: numbers that its method reports, such as the share of the variance.
    """

    name: str
    method: str
    space: Literal["w", "style"]
    vector: np.ndarray
    layers: tuple[int, ...]
    strengths: tuple[float, float]
    sigma: float
    reference: str
    fingerprint: str
    facts: Mapping[str, float]

    def check(
        self, generator: Generator, variables: Variables, found: str | None = None
    ) -> None:
        """Raise ValueError unless this direction belongs to a network.

        Args:
          generator: the network.
          variables: its variables.
          found: fingerprint of the network; None computes it.
        """
        found = found or fingerprint(variables)
        if found != self.fingerprint:
            raise ValueError(
                f"direction {self.name} was made for another network: "
                f"{self.reference} with the fingerprint {self.fingerprint[:12]}, while "
                f"this one has {found[:12]}; directions fit only networks with the "
                "same mapping network; make one for this network with "
                f"`python -m stylegan_jax.directions --method={self.method}`"
            )
        check_layers(generator, self.layers)
        shapes = [[generator.w_dim], [generator.num_ws, generator.w_dim]]
        if self.space == "style":
            shapes = [[affines.channels(generator, variables, self.layers[0])]]
        if list(self.vector.shape) not in shapes:
            raise ValueError(
                f"the vector of direction {self.name} has shape "
                f"{list(self.vector.shape)}; this network takes "
                f"{' or '.join(map(str, shapes))}; make a direction for it"
            )

    def edit(
        self,
        generator: Generator,
        ws: jax.Array | np.ndarray,
        strength: float | np.ndarray = 1.0,
        layers: Collection[int] | None = None,
    ) -> np.ndarray:
        """Move ws along this direction of w.

        Args:
          generator: the network, for which `check` has passed.
          ws: [N,L,W], N > 0.
          strength: strength in standard deviations, one number or [N].
          layers: the style layers to change; None for those of the direction.

        Returns:
          ws [N,L,W] float32.

        Raises:
          ValueError: a value does not fit, or the direction is one of styles.
        """
        if self.space == "style":
            raise ValueError(
                f"direction {self.name} is one of styles, which ws cannot express; use "
                "`shift_styles`"
            )
        layers = self.layers if layers is None else layers
        check_layers(generator, layers)
        ws = np.asarray(ws, np.float32)
        generator.check_ws(ws, "N")
        strengths = _checked(strength, len(ws))
        chosen = np.isin(np.arange(generator.num_ws), list(layers))
        offset = strengths.reshape(-1, 1, 1) * self.vector * chosen[:, None]
        return (ws + offset).astype(np.float32)

    def shift_styles(
        self, generator: Generator, variables: Variables, strength: float = 1.0
    ) -> Variables:
        """Return the variables of a network with styles moved along this direction.

        Args:
          generator: the network, for which `check` has passed.
          variables: its variables.
          strength: strength in standard deviations.

        Raises:
          ValueError: the strength is out of range, or the direction is one of w.
        """
        if self.space == "w":
            raise ValueError(
                f"direction {self.name} is one of w, not of styles; use `edit`"
            )
        offset = _checked(strength, 1)[0] * self.vector
        return affines.shifted(generator, variables, self.layers[0], offset)


def fingerprint(variables: Variables) -> str:
    """Return the SHA-256 of a network's mapping network, as hexadecimal digits.

    Networks with the same mapping network have the same w. Pivotal tuning changes only
    the synthesis network, so it keeps the fingerprint; further training does not. The
    parameters are hashed as float16, so a float16 copy has the same fingerprint. If the
    mapping network has no parameters, all parameters are hashed, and tuning changes the
    fingerprint.
    """
    params = variables["params"]
    flat = traverse_util.flatten_dict(params.get("mapping") or params, sep="/")
    digest = hashlib.sha256()
    for name, value in sorted(jax.device_get(flat).items()):
        with np.errstate(over="ignore"):
            content = np.asarray(value).astype("<f2")
        digest.update(f"{name} {content.shape}\n".encode())
        digest.update(content.tobytes())
    return digest.hexdigest()


def check_layers(generator: Generator, layers: Collection[int]) -> None:
    """Raise ValueError unless there are layers, and the generator has all of them."""
    wrong = sorted(set(layers) - set(range(generator.num_ws)))
    if wrong or not layers:
        raise ValueError(
            f"style layers {wrong or 'of a direction'} must be from 0 to "
            f"{generator.num_ws - 1}, the layers of this network"
            + ("" if wrong else ", at least one")
        )


def _checked(strength: float | np.ndarray, count: int) -> np.ndarray:
    """Return strengths [1] or [count] in float64."""
    try:
        values = np.atleast_1d(np.asarray(strength, np.float64))
    except ValueError:
        values = np.zeros(0)
    fits = values.shape in ((1,), (count,))
    if not fits or not np.all(np.abs(values) <= MAX_STRENGTH):  # False for NaN
        raise ValueError(
            f"strength (={strength}) must be a number from -{MAX_STRENGTH:g} to "
            f"{MAX_STRENGTH:g} such as 2, in standard deviations, or one for each of "
            f"{count} images"
        )
    return values
