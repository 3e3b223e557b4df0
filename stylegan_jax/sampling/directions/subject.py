"""The network in which directions are searched for, and their units of strength."""

import dataclasses
import functools

import numpy as np

from stylegan_jax.models import Generator, Variables
from stylegan_jax.sampling.directions.direction import (
    Direction,
    check_layers,
    fingerprint,
)
from stylegan_jax.sampling.directions.moments import WMoments


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """A network, the moments of its w, and what all of its directions share.

    Attributes:
      generator: the network.
      variables: its variables.
      reference: its name.
      moments: mean and covariance of its w.
      layers: style layers that are searched, and that the directions change.
      strengths: lower and upper end of the usual range of strengths.
    """

    generator: Generator
    variables: Variables
    reference: str
    moments: WMoments
    layers: tuple[int, ...]
    strengths: tuple[float, float] = (-3.0, 3.0)

    def __post_init__(self):
        """Raise ValueError for layers that the network does not have."""
        check_layers(self.generator, self.layers)

    @functools.cached_property
    def fingerprint(self) -> str:
        """The network's `direction.fingerprint`."""
        return fingerprint(self.variables)

    def in_w(
        self, name: str, method: str, vector: np.ndarray, **facts: float
    ) -> Direction:
        """Return a direction of w, scaled to one standard deviation of w along it.

        Args:
          name: name of the direction.
          method: the method that found it.
          vector: [W] or [L,W], not 0. The length of [L,W] is the root mean square over
            the layers that it changes.
          **facts: see `Direction`.

        Raises:
          ValueError: the vector has no length, or w does not vary along it.
        """
        vector = np.asarray(vector, np.float64)
        rows = vector[list(self.layers)] if vector.ndim == 2 else vector[None]
        length = np.sqrt(np.square(rows).sum(1).mean())
        if not length > 0:
            raise ValueError(
                f"the direction {name} has length 0, because the latents are equal in "
                "the layers that it changes; use other latents or layers"
            )
        sigma = self.moments.deviation(rows / length)
        if not sigma > 0:
            raise ValueError(
                f"w does not vary along the direction {name}, so its strength has no "
                "unit; use another network or other layers"
            )
        return self._direction(name, method, "w", vector / length, sigma, facts)

    def in_styles(
        self, name: str, layer: int, unit: np.ndarray, sigma: float, **facts: float
    ) -> Direction:
        """Return a StyleSpace direction.

        Args:
          name: name of the direction.
          layer: the style layer.
          unit: [C], of unit length.
          sigma: standard deviation of the styles along it.
          **facts: see `Direction`.
        """
        layered = dataclasses.replace(self, layers=(layer,))
        return layered._direction(name, "stylespace", "style", unit, sigma, facts)

    def _direction(self, name, method, space, unit, sigma, facts) -> Direction:
        return Direction(
            name=name,
            method=method,
            space=space,
            vector=np.float32(sigma * unit),
            layers=self.layers,
            strengths=self.strengths,
            sigma=sigma,
            reference=self.reference,
            fingerprint=self.fingerprint,
            facts=facts,
        )


def with_fixed_sign(vector: np.ndarray) -> np.ndarray:
    """Flip an eigenvector if needed, so that its largest component is positive."""
    return vector * np.sign(vector[np.argmax(np.abs(vector))])
