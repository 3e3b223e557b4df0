"""Distances of images, described by the functions of the distance itself."""

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.inversion.distances import Distance

Images = np.ndarray | jax.Array


def measured(distance: Distance, target: Images, image: Images) -> jax.Array:
    """Return the distances [B] of images [B,H,W,C] to targets."""
    target, image = (
        distance.describe(distance.variables, jnp.asarray(x)) for x in (target, image)
    )
    return distance.compare(distance.variables, target, image)
