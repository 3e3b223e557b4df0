"""Adam as TensorFlow 1 and PyTorch have it, which trained the official networks."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax


class OfficialAdamState(NamedTuple):
    """Moments of the gradients, float32; no first moment when beta1 is zero."""

    count: jax.Array
    first: optax.Updates | None
    second: optax.Updates


def scale_by_official_adam(
    beta1: float, beta2: float, epsilon: float, epsilon_corrected: bool = False
) -> optax.GradientTransformation:
    """Adam with epsilon outside the bias correction or, if asked for, inside.

        update = sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + epsilon)

    PyTorch and `optax.scale_by_adam` add epsilon to the corrected root instead, and so
    differ by up to the whole step where gradients are tiny. Multiply by -learning_rate.

    Args:
      beta1: decay of the first moment; 0 keeps none.
      beta2: decay of the second moment.
      epsilon: keeps the division from zero.
      epsilon_corrected: correct epsilon like the root that it is added to: PyTorch's.

    Reference: Kingma and Ba 2015, "Adam", algorithm 1 (corrected) and end of section 2.
    """

    def init(params: optax.Params) -> OfficialAdamState:
        zeros = jax.tree.map(jnp.zeros_like, params)
        first = jax.tree.map(jnp.zeros_like, params) if beta1 else None
        return OfficialAdamState(jnp.zeros((), jnp.int32), first, zeros)

    def update(
        gradients: optax.Updates,
        state: OfficialAdamState,
        params: optax.Params | None = None,
    ) -> tuple[optax.Updates, OfficialAdamState]:
        del params
        count = state.count + 1
        t = count.astype(jnp.float32)
        of_root = jnp.sqrt(1 - beta2**t)
        correction = of_root / (1 - beta1**t)
        floor = epsilon * of_root if epsilon_corrected else epsilon
        first = state.first
        if first is not None:
            first = jax.tree.map(
                lambda m, g: beta1 * m + (1 - beta1) * g, first, gradients
            )
        second = jax.tree.map(
            lambda v, g: beta2 * v + (1 - beta2) * jnp.square(g),
            state.second,
            gradients,
        )
        updates = jax.tree.map(
            lambda m, v: correction * m / (jnp.sqrt(v) + floor),
            gradients if first is None else first,
            second,
        )
        return updates, OfficialAdamState(count, first, second)

    return optax.GradientTransformation(init, update)
