"""All that training changes, as one pytree of arrays with one clock."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from stylegan_jax import rngs
from stylegan_jax.config import image_size
from stylegan_jax.models import Discriminator, Generator, Variables
from stylegan_jax.runtime.parallel import Parallel

GENERATOR, DISCRIMINATOR = "generator", "discriminator"


@flax.struct.dataclass
class TrainState:
    """State of a run; dicts are keyed by network name, `skipped` by phase name.

    Attributes:
      step: int32 [], steps taken.
      images_seen: int32 [], real images shown, as the host counts them for schedules.
      params: trained parameters, float32.
      optimizer: the optimizers' states.
      w_avg: [W], moving average of w.
      path_length_mean: [], moving average of the path length.
      ema: the averaged generator as Flax variables, ready for `apply`: "params",
        "stats" with its own `w_avg`, "noise" with the constant noise maps.
      skipped: int32 [], updates in a row that were not finite and were left out.
      skipped_total: int32 [], the same over the whole run.
    """

    step: jax.Array
    images_seen: jax.Array
    params: dict[str, Any]
    optimizer: dict[str, optax.OptState]
    w_avg: jax.Array
    path_length_mean: jax.Array
    ema: Variables
    skipped: dict[str, jax.Array]
    skipped_total: dict[str, jax.Array]

    def generator_variables(self, params: Any) -> Variables:
        """The trained generator's variables, with `params` in the place of its own."""
        return {
            "params": params,
            "stats": {"w_avg": self.w_avg},
            "noise": self.ema.get("noise", {}),
        }


def create(
    generator: Generator,
    discriminator: Discriminator,
    optimizers: dict[str, optax.GradientTransformation],
    phases: tuple[str, ...],
    seed: int,
) -> TrainState:
    """The state at the beginning; call it under jit, which leaves out the networks.

    Args:
      generator: the generator.
      discriminator: the discriminator.
      optimizers: by network.
      phases: names of the recipe's phases.
      seed: of the run.
    """
    z = jnp.zeros((1, generator.z_dim))
    labels = jnp.zeros((1, generator.label_size)) if generator.label_size else None
    size = image_size(generator.base_size, generator.resolution)
    images = jnp.zeros((1, *size, generator.image_channels))
    variables = generator.init(rngs.key(seed, rngs.Stream.INIT_GENERATOR), z, labels)
    params = {
        GENERATOR: variables["params"],
        DISCRIMINATOR: discriminator.init(
            rngs.key(seed, rngs.Stream.INIT_DISCRIMINATOR), images, labels
        )["params"],
    }
    zero = jnp.zeros((), jnp.int32)
    return TrainState(
        step=zero,
        images_seen=zero,
        params=params,
        optimizer={name: optimizers[name].init(p) for name, p in params.items()},
        w_avg=variables["stats"]["w_avg"],
        path_length_mean=jnp.zeros(()),
        ema=variables,
        skipped=dict.fromkeys(phases, zero),
        skipped_total=dict.fromkeys(phases, zero),
    )


def placed(state: TrainState, parallel: Parallel, shard_optimizer: bool) -> TrainState:
    """Shapes, dtypes and shardings of a state.

    Args:
      state: arrays, or their shapes and dtypes.
      parallel: the devices.
      shard_optimizer: whether optimizers and averaged parameters are split over all
        devices, each of which then updates its part; else all is replicated. Trained
        parameters always are.

    Returns:
      The state as `jax.ShapeDtypeStruct`s with shardings.

    Reference: Rajbhandari et al. 2020, "ZeRO: Memory Optimizations Toward Training
    Trillion Parameter Models", section 5.1.
    """

    def whole(x: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=parallel.replicated)

    def divided(x: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(
            x.shape, x.dtype, sharding=parallel.shard_largest_axis(x.shape)
        )

    out = jax.tree.map(whole, state)
    if not shard_optimizer:
        return out
    return out.replace(
        optimizer=jax.tree.map(divided, state.optimizer),
        ema=out.ema | {"params": jax.tree.map(divided, state.ema["params"])},
    )


def shardings(state: TrainState) -> TrainState:
    """The sharding of each array of a state."""
    return jax.tree.map(lambda x: x.sharding, state)


def reset_optimizers(
    state: TrainState, optimizers: dict[str, optax.GradientTransformation]
) -> TrainState:
    """The state with fresh optimizers, as at the beginning of every stage."""
    return state.replace(
        optimizer={name: optimizers[name].init(p) for name, p in state.params.items()}
    )
