"""The description of an official code base, by which its networks are converted."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import numpy as np

from stylegan_jax.models import Variables
from stylegan_jax.weights import layout
from stylegan_jax.weights.layout import Entry

Arrays = Mapping[str, np.ndarray]
Kwargs = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Source:
    """An official code base.

    Attributes:
      title: Name of its networks, for messages.
      models: Classes of our modules for them.
      build: Function from "generator" or "discriminator" and official arguments to the
        module that they describe.
      entries: Function from a module to the table of its official variables; raises
        ValueError for networks that the code does not have.
      same_network: Function that returns True if two modules are one network,
        regardless of how they compute it.
      check_names: Arguments to check when names of arrays do not fit.
      check_shapes: Arguments to check when shapes of arrays do not fit.
      modernize: Function from older arrays, their network and its arguments to the
        arrays and arguments that `entries` and `build` know.
    """

    title: str
    models: tuple[type[nn.Module], ...]
    build: Callable[[str, Kwargs], nn.Module]
    entries: Callable[[nn.Module], list[Entry]]
    same_network: Callable[[nn.Module, nn.Module], bool]
    check_names: str
    check_shapes: str
    modernize: Callable[[Arrays, str, Kwargs], tuple[Arrays, Kwargs]] = (
        lambda arrays, network, kwargs: (arrays, kwargs)
    )

    def from_official(
        self, arrays: Arrays, network: str, kwargs: Kwargs
    ) -> tuple[nn.Module, Variables]:
        """Build a network; see `interop.from_official`."""
        arrays, kwargs = self.modernize(arrays, network, kwargs)
        model = self.build(network, kwargs)
        variables = layout.load(
            self.entries(model),
            arrays,
            f"{self.title} {network} with these arguments ({dict(kwargs)})",
            self.check_names,
            self.check_shapes,
        )
        return model, variables

    def to_official(
        self, model: nn.Module, variables: Variables
    ) -> dict[str, np.ndarray]:
        """Return the official arrays; see `interop.to_official`."""
        return layout.save(self.entries(model), variables)
