"""Truncated styles from latents."""

import functools

import chex
import jax
import numpy as np

from stylegan_jax.models import Generator, Variables


def truncated_styles(
    generator: Generator,
    variables: Variables,
    z: np.ndarray,
    labels: np.ndarray | None = None,
    *,
    truncation_psi: float = 1.0,
    truncation_cutoff: int | None = None,
) -> jax.Array:
    """Return the truncated styles of latents.

    Args:
      generator: the network.
      variables: its variables.
      z: [N,Z], standard normal.
      labels: [N,label_size]; None for unconditional networks.
      truncation_psi: share of the distance to the average w that remains; 1 keeps the
        styles, 0 gives the average image.
      truncation_cutoff: only layers below it are truncated; None means all.

    Returns:
      ws [N,L,W].

    Reference: Karras et al. 2019, section 4.1 ("truncation trick") and appendix B.
    """
    chex.assert_rank(z, 2)
    ws = _map(generator, variables, z, labels)
    return generator.apply(
        variables, ws, truncation_psi, truncation_cutoff, method="truncate"
    )


@functools.partial(jax.jit, static_argnums=0)
def _map(generator, variables, z, labels):
    return generator.apply(variables, z, labels, method="map")
