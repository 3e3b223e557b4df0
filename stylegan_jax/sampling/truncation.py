"""Truncation of styles towards the average w or the nearest of several centers."""

import functools
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.models import Generator, Variables, mapping
from stylegan_jax.sampling import seeds

MAP_BATCH = 1000  # latents that are mapped at a time


def truncated_styles(
    generator: Generator,
    variables: Variables,
    z: np.ndarray,
    labels: np.ndarray | None = None,
    *,
    truncation_psi: float = 1.0,
    truncation_cutoff: int | None = None,
    centers: np.ndarray | None = None,
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
      centers: [M,W], of which the nearest one takes the place of the average w; see
        `cluster_centers`.

    Returns:
      ws [N,L,W].

    Raises:
      ValueError: psi is not finite, or the cutoff is negative.

    Reference: Karras et al. 2019, section 4.1 ("truncation trick") and appendix B.
    """
    chex.assert_rank(z, 2)
    return truncate(
        generator,
        variables,
        untruncated_styles(generator, variables, z, labels),
        truncation_psi=truncation_psi,
        truncation_cutoff=truncation_cutoff,
        centers=centers,
    )


@functools.partial(jax.jit, static_argnums=0)
def untruncated_styles(
    generator: Generator,
    variables: Variables,
    z: jax.Array | np.ndarray,
    labels: jax.Array | np.ndarray | None,
) -> jax.Array:
    """Return the styles [N,L,W] of latents z [N,Z] and labels, not truncated."""
    return generator.apply(variables, z, labels, method="map")


def truncate(
    generator: Generator,
    variables: Variables,
    ws: jax.Array,
    *,
    truncation_psi: float,
    truncation_cutoff: int | None = None,
    centers: np.ndarray | None = None,
) -> jax.Array:
    """Truncate styles ws [N,L,W]; see `truncated_styles`.

    The nearest center is that of the first style layer.
    """
    check_truncation(truncation_psi, truncation_cutoff)
    if centers is not None:
        center = jnp.asarray(nearest(np.asarray(ws[:, 0]), centers))[:, None]
        return mapping.truncate(ws, center, truncation_psi, truncation_cutoff)
    return generator.apply(
        variables, ws, truncation_psi, truncation_cutoff, method="truncate"
    )


def nearest(w: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Return the nearest of the centers [M,W] to each w [N,W], by Euclidean distance.

    Returns:
      [N,W].
    """
    chex.assert_shape(centers, (None, w.shape[1]))
    squared = (
        np.sum(np.square(w), 1, keepdims=True)
        - 2 * w @ centers.T
        + np.sum(np.square(centers), 1)
    )
    return centers[np.argmin(squared, axis=1)]


def cluster_centers(
    generator: Generator,
    variables: Variables,
    count: int,
    labels: Callable[[int], np.ndarray | None] = lambda count: None,
    *,
    samples: int = 60_000,
) -> np.ndarray:
    """Return the centers of clusters of w, by k-means.

    Truncation towards the nearest center keeps modes of the data apart that the average
    of all w blends.

    Args:
      generator: the network.
      variables: its variables.
      count: number of clusters.
      labels: function from a number of images to their labels.
      samples: number of latents to cluster, from seeds 0, 1, and so on.

    Returns:
      [count,W] float32.

    Raises:
      ValueError: there are more clusters than samples, or none.

    Reference: Mokady et al. 2022, "Self-Distilled StyleGAN: Towards Generation from
    Internet Photos", section 4.3.
    """
    if not 1 <= count <= samples:
        raise ValueError(
            f"the number of centers (={count}) must be from 1 to {samples}, the number "
            "of samples of w"
        )
    from scipy.cluster.vq import kmeans2  # slow to import, and needed only here

    rows = []
    for start in range(0, samples, MAP_BATCH):
        chosen = range(start, min(start + MAP_BATCH, samples))
        z = seeds.latents(list(chosen), generator.z_dim)
        ws = untruncated_styles(generator, variables, z, labels(len(z)))
        rows.append(np.asarray(ws[:, 0], np.float64))
    centers, _ = kmeans2(
        np.concatenate(rows), count, iter=20, minit="++", rng=np.random.default_rng(0)
    )
    return centers.astype(np.float32)


def check_truncation(psi: float, cutoff: int | None = None) -> None:
    """Raise ValueError unless psi is finite and the cutoff not negative."""
    if not abs(psi) <= np.finfo(np.float32).max:  # rejects NaN, too
        raise ValueError(f"`truncation_psi` (={psi}) must be a finite float32")
    if cutoff is not None and cutoff < 0:
        raise ValueError(
            f"`truncation_cutoff` (={cutoff}) must not be negative; None truncates all "
            "style layers"
        )
