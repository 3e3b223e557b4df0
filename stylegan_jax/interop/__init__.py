"""Official weights in, official weights out.

model, variables = from_official(arrays, source="stylegan1", network="generator",
                                 resolution=1024)
images = model.apply(variables, z, truncation_psi=0.7)
arrays = to_official(model, variables)
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import numpy as np

from stylegan_jax.interop import stylegan1, stylegan2_tf, stylegan2_torch
from stylegan_jax.models import Variables

SOURCES = {
    "stylegan1": stylegan1,
    "stylegan2-ada-pytorch": stylegan2_torch,
    "stylegan2-tf": stylegan2_tf,
}
NETWORKS = ("generator", "discriminator")


def from_official(
    arrays: Mapping[str, np.ndarray], source: str, network: str, **kwargs: Any
) -> tuple[nn.Module, Variables]:
    """Builds a network of ours from official weights.

    Args:
      arrays: official variable name -> float32 array in the official layout.
      source: which code the weights come from, one of SOURCES.
      network: "generator" or "discriminator".
      **kwargs: the official constructor's arguments, nested as there; what is left out
        has the official default.

    Returns:
      The module and its variables; see `models.interface` for how to call it. It
      computes in float32, and StyleGAN's resamples in the official order of operations
      (`plain_resampling`).

    Raises:
      ValueError: unknown source, network or argument; arrays that are missing, left
        over or of the wrong shape.
    """
    return _source(source).from_official(arrays, _network(network), kwargs)


def to_official(
    model: nn.Module,
    variables: Variables,
    source: str | None = None,
    network: str | None = None,
    **kwargs: Any,
) -> dict[str, np.ndarray]:
    """The inverse of `from_official`.

    Args:
      model: the module.
      variables: its variables.
      source: which code the weights go to, one of SOURCES; by default the first of
        them that has such a network.
      network: if given, "generator" or "discriminator"; with `kwargs` the official
        network that `model` has to be.
      **kwargs: the official constructor's arguments, to be checked with `network`.

    Returns:
      Official variable name -> float32 array in the official layout.

    Raises:
      ValueError: the module is not the official network that was named.
    """
    if network is None and kwargs:
        raise ValueError(
            f"arguments {sorted(kwargs)} were given without `network`; say which of "
            f"{NETWORKS} they belong to"
        )
    code = _source_of(model) if source is None else _source(source)
    if network is not None:
        wanted = code.build(_network(network), kwargs)
        if not code.same_network(model, wanted):
            raise ValueError(f"these arguments describe\n{wanted}\nnot\n{model}")
    return code.to_official(model, variables)


def _source_of(model: nn.Module):
    for code in SOURCES.values():
        if isinstance(model, code.MODELS):
            return code
    raise ValueError(
        f"{type(model).__name__} is not a network of any source {sorted(SOURCES)}"
    )


def _source(source: str):
    if source not in SOURCES:
        raise ValueError(f"source (={source!r}) must be one of {sorted(SOURCES)}")
    return SOURCES[source]


def _network(network: str) -> str:
    if network not in NETWORKS:
        raise ValueError(f"network (={network!r}) must be one of {NETWORKS}")
    return network
