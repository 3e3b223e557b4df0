"""The state of a training run: all that a step changes, as one pytree of arrays."""

import dataclasses
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from stylegan_jax import rngs
from stylegan_jax.config import image_size
from stylegan_jax.layers import spectral_norm
from stylegan_jax.models import Discriminator, Generator, Variables
from stylegan_jax.runtime.parallel import Parallel

GENERATOR, DISCRIMINATOR = "generator", "discriminator"


@flax.struct.dataclass
class TrainState:
    """State of a run.

    Dicts are keyed by the network's name, `skipped` and `skipped_total` by the phase's.

    Attributes:
      step: int32 [], steps taken.
      images_seen: int32 [], real images shown so far: the run's clock.
      params: trained parameters, float32.
      optimizer: states of the optimizers.
      w_avg: float32 [W], moving average of w.
      path_length_mean: float32 [], moving average of the path length.
      augment_probability: float32 [], probability of each augmentation; not above 1,
        unless it is adaptive and has no upper bound.
      ema: exponential moving average of the generator as Flax variables, ready for
        `apply`: "params", "stats", and what is not trained, such as "noise" with the
        constant noise maps.
      skipped: int32 [], consecutive updates skipped because they were not finite.
      skipped_total: int32 [], updates skipped over the whole run.
      real_signs: float32 [2], the sum of the signs of the scores of reals since the
        last adjustment of `augment_probability`, and their number.
      power_ema: relative standard deviation, as text -> power-function average of the
        generator's parameters, see `power_ema.py`.
      score_means: float32 [3], moving averages of the discriminator's scores of reals
        and of fakes, which start from 0, and the sum of the weights in them; updated
        if the LeCam regularizer is in use.
      magnitudes: moving averages of the generator, other than `w_avg`, as in "stats";
        {} for most families.
      spectral: name of a weight of the discriminator -> vector of the power iteration
        of its spectral normalization, see `layers.spectral_norm`; {} without it.
    """

    step: jax.Array
    images_seen: jax.Array
    params: dict[str, Any]
    optimizer: dict[str, optax.OptState]
    w_avg: jax.Array
    path_length_mean: jax.Array
    augment_probability: jax.Array
    ema: Variables
    skipped: dict[str, jax.Array]
    skipped_total: dict[str, jax.Array]
    real_signs: jax.Array = dataclasses.field(default_factory=lambda: jnp.zeros(2))
    power_ema: dict[str, Any] = dataclasses.field(default_factory=dict)
    score_means: jax.Array = dataclasses.field(default_factory=lambda: jnp.zeros(3))
    magnitudes: dict[str, Any] = dataclasses.field(default_factory=dict)
    spectral: dict[str, jax.Array] = dataclasses.field(default_factory=dict)

    @property
    def stats(self) -> dict[str, Any]:
        """The trained generator's variables of "stats"."""
        return {"w_avg": self.w_avg, **self.magnitudes}

    def generator_variables(self, params: Any) -> Variables:
        """Return the trained generator's variables with `params` as its parameters."""
        constants = {k: v for k, v in self.ema.items() if k not in ("params", "stats")}
        return {"noise": {}} | constants | {"params": params, "stats": self.stats}

    def discriminator_variables(self, params: Any) -> Variables:
        """Return the variables of the discriminator with `params`, normalized."""
        return {"params": spectral_norm.normalize(params, self.spectral)}


def without_w_avg(stats: dict[str, Any]) -> dict[str, Any]:
    """Return variables of "stats" as in `TrainState.magnitudes`."""
    return {name: value for name, value in stats.items() if name != "w_avg"}


def create(
    generator: Generator,
    discriminator: Discriminator,
    optimizers: dict[str, optax.GradientTransformation],
    phase_names: list[str],
    seed: int,
    augment_probability: float = 0.0,
    power_ema: tuple[float, ...] = (),
    normalizes: bool = False,
) -> TrainState:
    """Create the initial state.

    Call it under jit, which removes the forward passes of the initialization.

    Args:
      generator: the generator.
      discriminator: the discriminator.
      optimizers: an optimizer for each network's name.
      phase_names: names of the phases.
      seed: random seed of the run.
      augment_probability: initial probability of each augmentation, in [0,1].
      power_ema: relative standard deviations of the power-function averages.
      normalizes: True for a discriminator with spectral normalization.
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
        augment_probability=jnp.float32(augment_probability),
        ema=variables,
        skipped=dict.fromkeys(phase_names, zero),
        skipped_total=dict.fromkeys(phase_names, zero),
        magnitudes=without_w_avg(variables["stats"]),
        power_ema={f"{std:g}": params[GENERATOR] for std in power_ema},
        spectral=spectral_norm.initial(params[DISCRIMINATOR]) if normalizes else {},
    )


def with_shardings(
    state: TrainState, parallel: Parallel, shard_optimizer: bool
) -> TrainState:
    """Return the shapes, dtypes and shardings of a state.

    Args:
      state: a tree of arrays, or of their shapes and dtypes.
      parallel: the devices.
      shard_optimizer: shard the optimizers' states and the averaged parameters over
        all devices, so that each device updates its part. Everything else, the trained
        parameters included, is replicated.

    Returns:
      A tree of `jax.ShapeDtypeStruct` with shardings.

    Reference: Rajbhandari et al. 2020, "ZeRO: Memory Optimizations Toward Training
    Trillion Parameter Models", section 5.1.
    """

    def replicate(x: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=parallel.replicated)

    def shard(x: Any) -> jax.ShapeDtypeStruct:
        sharding = parallel.shard_largest_axis(x.shape)
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)

    out = jax.tree.map(replicate, state)
    if not shard_optimizer:
        return out
    return out.replace(
        optimizer=jax.tree.map(shard, state.optimizer),
        ema=out.ema | {"params": jax.tree.map(shard, state.ema["params"])},
        power_ema=jax.tree.map(shard, state.power_ema),
    )


def shardings(state: TrainState) -> TrainState:
    """Return the sharding of each array of a state."""
    return jax.tree.map(lambda x: x.sharding, state)


def reset_optimizers(
    state: TrainState, optimizers: dict[str, optax.GradientTransformation]
) -> TrainState:
    """Return the state with fresh optimizers, as at the start of every stage."""
    return state.replace(
        optimizer={name: optimizers[name].init(p) for name, p in state.params.items()}
    )
