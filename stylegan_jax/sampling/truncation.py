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

    Raises:
      ValueError: psi is not finite, or the cutoff is negative.

    Reference: Karras et al. 2019, section 4.1 ("truncation trick") and appendix B.
    """
    chex.assert_rank(z, 2)
    check_truncation(truncation_psi, truncation_cutoff)
    ws = _map(generator, variables, z, labels)
    return generator.apply(
        variables, ws, truncation_psi, truncation_cutoff, method="truncate"
    )


def check_truncation(psi: float, cutoff: int | None = None) -> None:
    """Raise ValueError unless psi is finite and the cutoff not negative."""
    if not abs(psi) <= np.finfo(np.float32).max:  # which NaN is not, either
        raise ValueError(f"`truncation_psi` (={psi}) must be a finite float32")
    if cutoff is not None and cutoff < 0:
        raise ValueError(
            f"`truncation_cutoff` (={cutoff}) must not be negative; None truncates all "
            "style layers"
        )


@functools.partial(jax.jit, static_argnums=0)
def _map(generator, variables, z, labels):
    return generator.apply(variables, z, labels, method="map")
