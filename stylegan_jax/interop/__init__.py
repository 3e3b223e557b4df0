"""Conversion of official weights to our networks and back.

model, variables = from_official(arrays, source="stylegan1", network="generator",
                                 resolution=1024)
images = model.apply(variables, z, truncation_psi=0.7)
arrays = to_official(model, variables)
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import numpy as np

from stylegan_jax.interop import stylegan1, stylegan2_tf, stylegan2_torch, stylegan3
from stylegan_jax.interop.source import Source
from stylegan_jax.models import Variables

SOURCES = {
    "stylegan1": stylegan1.SOURCE,
    "stylegan2-ada-pytorch": stylegan2_torch.SOURCE,
    "stylegan2-tf": stylegan2_tf.SOURCE,
    "stylegan3": stylegan3.SOURCE,
}
NETWORKS = ("generator", "discriminator")


def from_official(
    arrays: Mapping[str, np.ndarray], source: str, network: str, **kwargs: Any
) -> tuple[nn.Module, Variables]:
    """Build one of our networks from official weights.

    Args:
      arrays: Official variable name -> float32 array in the official layout.
      source: Code base that the weights come from, one of SOURCES.
      network: "generator" or "discriminator".
      **kwargs: Arguments of the official constructor, nested as there; an omitted
        argument has the official default.

    Returns:
      The module and its variables; see `models.interface` for how to call it. The
      module computes in float32, and StyleGAN's resamples in the official order of
      operations (`plain_resampling`).

    Raises:
      ValueError: The source, the network or an argument is unknown, or an array is
        missing, left over or of the wrong shape.
    """
    return _source(source).from_official(arrays, _network(network), kwargs)


def to_official(
    model: nn.Module,
    variables: Variables,
    source: str | None = None,
    network: str | None = None,
    **kwargs: Any,
) -> dict[str, np.ndarray]:
    """Return the inverse of `from_official`.

    Args:
      model: The module.
      variables: Its variables.
      source: Code base that the weights are for, one of SOURCES; by default the
        first that has such a network.
      network: "generator" or "discriminator"; if given, `model` must be the official
        network that it and `kwargs` describe.
      **kwargs: Arguments of the official constructor, to be checked with `network`.

    Returns:
      Official variable name -> float32 array in the official layout.

    Raises:
      ValueError: The module is not the official network that was named.
    """
    if network is None and kwargs:
        raise ValueError(
            f"arguments {sorted(kwargs)} were given without `network`; give one of "
            f"{NETWORKS}, the network that they belong to"
        )
    code = _source_of(model) if source is None else _source(source)
    if network is not None:
        described = code.build(_network(network), kwargs)
        if not code.same_network(model, described):
            raise ValueError(f"these arguments describe\n{described}\nnot\n{model}")
    return code.to_official(model, variables)


def _source_of(model: nn.Module) -> Source:
    for code in SOURCES.values():
        if isinstance(model, code.models):
            return code
    raise ValueError(
        f"{type(model).__name__} is not a network of any of the sources "
        f"{sorted(SOURCES)}"
    )


def _source(source: str) -> Source:
    if source not in SOURCES:
        raise ValueError(f"source (={source!r}) must be one of {sorted(SOURCES)}")
    return SOURCES[source]


def _network(network: str) -> str:
    if network not in NETWORKS:
        raise ValueError(f"network (={network!r}) must be one of {NETWORKS}")
    return network
