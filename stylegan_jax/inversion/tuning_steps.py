"""The loss and the compiled programs of pivotal tuning.

Reference: Roich et al. 2021, "Pivotal Tuning for Latent-based Editing of Real Images",
equations 2 to 6.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from stylegan_jax.inversion import distances, schedule, steps
from stylegan_jax.models import LevelOfDetail, Variables

LOCALITY_WEIGHT = 0.1  # weight of both terms of the locality regularization


class Batch(NamedTuple):
    """A batch of pivots and their targets.

    Attributes:
      ws: [B,L,W], the pivots.
      view: [B,3], their views, see `steps.Point`; None for no transform.
      target: images [B,H,W,C].
      description: description of the targets; see `Distance`.
      weight: [B], 0 for padding, else 1.
    """

    ws: jax.Array
    view: jax.Array | None
    target: jax.Array
    description: Any
    weight: jax.Array


class Measures(NamedTuple):
    """Images, losses and distances of the pivots of a batch.

    Attributes:
      images: [B,H,W,C].
      loss: [B], mean square difference of the pixels plus the distance; see
        `distances.residual` for pixels beyond [-1,1].
      distance: [B].
      rms: [B], root mean square difference of the pixels, clipped to [-1,1].
    """

    images: jax.Array
    loss: jax.Array
    distance: jax.Array
    rms: jax.Array


class Locality(NamedTuple):
    """The inputs of the locality regularization in a step.

    Attributes:
      pivot: index of the pivot in the batch.
      z: [1,Z].
      label: [1,K], or None.
      radius: see `locality_loss`.
      variables: variables of the network that is being tuned, without tuning.
    """

    pivot: Any
    z: jax.Array
    label: Any
    radius: Any
    variables: Variables


def measure(
    static: steps.Static,
    weights: Any,
    lod: LevelOfDetail,
    variables: Variables,
    batch: Batch,
) -> Measures:
    """Return the measures of a batch; for use in traced code."""
    point = {"w": batch.ws, "noise": {}}
    if batch.view is not None:
        point["view"] = batch.view
    images = steps.synthesize(static, variables, lod, point)
    described = static.describe(weights, images)
    distance = static.compare(weights, batch.description, described)
    residual = distances.residual(batch.target, images)
    squares = jnp.mean(jnp.square(residual), (1, 2, 3))
    clipped = jnp.clip(images, -1, 1) - batch.target
    rms = jnp.sqrt(jnp.mean(jnp.square(clipped), (1, 2, 3)))
    return Measures(images, squares + distance, distance, rms)


def locality_loss(
    static: steps.Static,
    weights: Any,
    lod: LevelOfDetail,
    variables: Variables,
    pivot: jax.Array,
    locality: Locality,
) -> jax.Array:
    """Return the weighted change of the image of a latent near a pivot [1,L,W].

        w_r = w_p + radius (w_z - w_p) / |w_z - w_p|
        LOCALITY_WEIGHT * (mean square over the pixels + distance)

    between the images of w_r with the original and the tuned network.
    """
    generator = static.generator
    w = generator.apply(locality.variables, locality.z, locality.label, method="map")
    direction = w - pivot
    length = jnp.sqrt(jnp.sum(jnp.square(direction)))
    near = pivot + locality.radius * direction / length

    def image(variables: Variables) -> jax.Array:
        return generator.apply(
            variables, near, lod=lod, noise=static.noise, method="synthesize"
        )

    before, after = image(locality.variables), image(variables)
    distance = static.compare(
        weights, static.describe(weights, before), static.describe(weights, after)
    )
    squares = jnp.mean(jnp.square(after - before))
    return LOCALITY_WEIGHT * (squares + jnp.sum(distance))


def with_params(rest: Variables, params: Any) -> Variables:
    """Return variables with the tuned parameters."""
    return {**rest, "params": {**rest["params"], **params}}


@functools.partial(jax.jit, static_argnums=0)
def measures(static, weights, lod, rest, params, batch):
    """Return the `Measures` of a batch; for the arguments, see `update`."""
    return measure(static, weights, lod, with_params(rest, params), batch)


@functools.partial(jax.jit, static_argnums=0)
def update(static, weights, lod, rest, params, optimizer, batch, locality, rate):
    """Update the tuned parameters once.

    Args:
      static: see `steps.Static`.
      weights: the distance's weights.
      lod: the resolution and its fade.
      rest: variables that are not tuned.
      params: parameters that are tuned.
      optimizer: state of `schedule.adam`.
      batch: see `Batch`.
      locality: see `Locality`; None without this regularization.
      rate: the learning rate.

    Returns:
      The parameters and the optimizer's state after the update, and the `Measures`
      before it.
    """

    def objective(tuned):
        variables = with_params(rest, tuned)
        found = measure(static, weights, lod, variables, batch)
        loss = jnp.sum(batch.weight * found.loss) / jnp.sum(batch.weight)
        if locality is not None:
            pivot = jax.lax.dynamic_slice_in_dim(batch.ws, locality.pivot, 1)
            loss = loss + locality_loss(
                static, weights, lod, variables, pivot, locality
            )
        return loss, found

    gradient, found = jax.grad(objective, has_aux=True)(params)
    updates, optimizer = schedule.adam().update(gradient, optimizer)
    params = jax.tree.map(lambda x, u: x - rate * u, params, updates)
    keep = static.devices.constrain_replicated
    return keep(params), keep(optimizer), found
