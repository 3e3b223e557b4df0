"""A network in which directions are sought, and the units of these directions."""

import dataclasses
import functools

import numpy as np

from stylegan_jax.models import Generator, Variables
from stylegan_jax.sampling.directions.direction import (
    Direction,
    check_layers,
    fingerprint,
)
from stylegan_jax.sampling.directions.statistics import WStatistics


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """A network, the statistics of its w, and what all of its directions share.

    Attributes:
      generator: the network.
      variables: its variables.
      reference: its name.
      statistics: of its w.
      layers: style layers in which directions are sought, and which they change.
      strengths: smallest and largest strength of the usual range.
    """

    generator: Generator
    variables: Variables
    reference: str
    statistics: WStatistics
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
        """Return a direction of w, whose unit is the deviation of w along it.

        Args:
          name: of the direction.
          method: which found it.
          vector: [W] or [L,W] of any length but 0. Its length is that of [W], or the
            root mean square over the layers that it changes.
          **facts: see `Direction`.

        Raises:
          ValueError: the vector has no length, or w does not vary along it.
        """
        vector = np.asarray(vector, np.float64)
        rows = vector[list(self.layers)] if vector.ndim == 2 else vector[None]
        length = np.sqrt(np.square(rows).sum(1).mean())
        if not length > 0:
            raise ValueError(
                f"the direction {name} has length 0: the latents are the same at the "
                "layers that it changes; use others"
            )
        sigma = self.statistics.deviation(rows / length)
        if not sigma > 0:
            raise ValueError(
                f"w does not vary along the direction {name}, so that it has no unit; "
                "use another network, or other layers"
            )
        return self._direction(name, method, "w", vector / length, sigma, facts)

    def in_styles(
        self, name: str, layer: int, unit: np.ndarray, sigma: float, **facts: float
    ) -> Direction:
        """Return a StyleSpace direction.

        Args:
          name: of the direction.
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
    """Return an eigenvector whose largest component, in absolute value, is positive."""
    return vector * np.sign(vector[np.argmax(np.abs(vector))])
