"""One phase of a training step at one stage, as a pure update of the state."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from stylegan_jax import rngs
from stylegan_jax.augment import controller
from stylegan_jax.config import Experiment
from stylegan_jax.layers.resample import downscale2d, upscale2d
from stylegan_jax.models import LevelOfDetail
from stylegan_jax.runtime.parallel import Parallel
from stylegan_jax.training import power_ema
from stylegan_jax.training.phases import Inputs
from stylegan_jax.training.schedule import Stage
from stylegan_jax.training.setup import Setup
from stylegan_jax.training.state import GENERATOR, TrainState

Scalars = dict[str, jax.Array]
Averages = dict[str, Any]  # moving averages and sums, by field of the state
# The averages that each accumulation round updates in turn, and those that are updated
# once per step, to the mean of what the rounds would update them to.
AVERAGES = ("w_avg", "magnitudes", "path_length_mean", "real_signs")
STEP_AVERAGES = ("score_means", "spectral")
Update = Callable[..., tuple[TrainState, Scalars]]


def build_update(
    setup: Setup, index: int, stage: Stage, rounds: int | None = None
) -> Update:
    """Build the update of phase number `index` at a stage.

    Args:
      setup: the training.
      index: position of the phase in `setup.phases`.
      stage: a stage of the schedule.
      rounds: accumulation rounds that the batch is split into; None takes the
        experiment's.

    Returns:
      A pure function (state, images_uint8 [B,H,W,C], labels [B,label_size], fade [],
      learning_rate []) -> (state, scalars named "<phase>/<scalar>").
    """
    e, phases, parallel = setup.experiment, setup.phases, setup.parallel
    phase = phases[index]
    rounds = rounds or e.training.accumulation_rounds
    assert rounds is not None, "the experiment leaves the number of rounds open"
    optimizer = setup.optimizers[phase.network]
    control = controller.from_config(e.training)
    constrain_height = height_constraint(parallel, e.run.height_min_resolution)
    # The clock advances with the last of the phases that run at every step.
    clock = max(i for i, p in enumerate(phases) if p.interval == 1)

    def update(
        state: TrainState,
        images_uint8: jax.Array,
        labels: jax.Array,
        fade: jax.Array,
        learning_rate: jax.Array,
    ) -> tuple[TrainState, Scalars]:
        step = state.step - int(index > clock)
        images_seen = state.images_seen - int(index > clock) * stage.batch_size
        if index == 0:
            probability, signs = control.at_step(
                step,
                state.images_seen,
                stage.batch_size,
                state.augment_probability,
                state.real_signs,
            )
            state = state.replace(augment_probability=probability, real_signs=signs)
        lod = LevelOfDetail(stage.resolution, fade if stage.fading else 1.0)
        params = state.params[phase.network]

        # Reals: all phases of a step mirror the same images.
        flip = None
        if e.data.mirror:
            key = rngs.key(e.run.seed, rngs.Stream.MIRROR, step)
            flip = jax.random.uniform(key, (stage.batch_size,)) >= 0.5
        reals = process_reals(images_uint8, flip, lod.fade)

        # Gradients: the mean over the accumulation rounds.
        def one_round(averages: Averages, batch: tuple) -> tuple:
            """Map averages and (round, reals, labels) to averages and results."""
            round_index, reals, labels = batch
            inputs = Inputs(
                state=state.replace(**averages, images_seen=images_seen),
                reals=reals,
                labels=labels if labels.shape[1] else None,
                lod=lod,
                key=lambda stream: rngs.key(
                    e.run.seed, stream, step, index, round_index
                ),
                shard_batch=parallel.constrain_batch,
                padded_rows=parallel.padded_rows,
            )

            def objective(params: Any):
                loss, aux = phase.objective(params, inputs)
                return loss, (averages | of_step | aux.averages, aux.scalars)

            with nn.intercept_methods(constrain_height):
                (_, (after, scalars)), gradients = jax.value_and_grad(
                    objective, has_aux=True
                )(params)
            once = {name: after.pop(name) for name in STEP_AVERAGES}
            return after, (gradients, scalars, once)

        averages = {name: getattr(state, name) for name in AVERAGES}
        of_step = {name: getattr(state, name) for name in STEP_AVERAGES}
        averages, (gradients, scalars, once) = accumulate(
            one_round, averages, reals, labels, rounds
        )
        averages |= once

        # Parameters: only the optimizer's part of the work may be sharded. Nothing but
        # the shards of the summed gradients is used, so that the compiler may turn
        # their all-reduce into a reduce-scatter.
        if e.run.shard_optimizer:
            gradients = parallel.constrain_replicated(gradients)
            gradients = parallel.constrain_sharded(gradients)
        direction, optimizer_state = optimizer.update(
            gradients, state.optimizer[phase.network], params
        )
        if e.run.shard_optimizer:
            direction = parallel.constrain_replicated(direction)
        updated = optax.apply_updates(
            params, optax.tree.scale(-learning_rate, direction)
        )

        # Skip the whole update unless it is finite, as StyleGAN does for a gradient.
        # The official StyleGAN2 replaces the affected entries by zero or 1e5.
        finite = all_finite((gradients, averages))
        keep = functools.partial(jax.tree.map, lambda a, b: jnp.where(finite, a, b))
        skipped = jnp.where(finite, 0, state.skipped[phase.name] + 1)
        total = state.skipped_total[phase.name] + ~finite
        new = state.replace(
            params=state.params | {phase.network: keep(updated, params)},
            optimizer=state.optimizer
            | {phase.network: keep(optimizer_state, state.optimizer[phase.network])},
            skipped=state.skipped | {phase.name: skipped},
            skipped_total=state.skipped_total | {phase.name: total},
            **{k: keep(v, getattr(state, k)) for k, v in averages.items()},
        )

        # Averaged generator and clock.
        if phase.ema:
            beta = ema_beta(e, stage.batch_size, state.images_seen)
            new = new.replace(
                ema=update_ema(new, beta),
                power_ema=update_power_ema(new, stage.batch_size),
            )
        if index == clock:
            new = new.replace(
                step=state.step + 1, images_seen=state.images_seen + stage.batch_size
            )
        scalars["gradient_norm"] = optax.tree.norm(gradients)
        return new, {f"{phase.name}/{k}": v for k, v in scalars.items()}

    return update


def process_reals(
    images_uint8: jax.Array,
    flip: jax.Array | None = None,
    fade: jax.Array | float = 1.0,
) -> jax.Array:
    """Scale real images to [-1,1], mirror some of them, and fade them in.

    Args:
      images_uint8: [B,H,W,C] at the stage's resolution.
      flip: bool [B], True where an image is mirrored left-right; None mirrors none.
      fade: weight of this resolution against the one below; a Python number that equals
        1 leaves the blending out of the program.

    Returns:
      Images [B,H,W,C], float32, in [-1,1].

    Reference: Karras et al. 2018, "Progressive Growing of GANs", section 2 and
    figure 2.
    """
    images = images_uint8.astype(jnp.float32) / 127.5 - 1
    if flip is not None:
        mirrored = images[:, :, ::-1]
        images = jnp.where(flip[:, None, None, None], mirrored, images)
    if isinstance(fade, (int, float)) and fade == 1:
        return images
    blurred = upscale2d(downscale2d(images))
    return images + (blurred - images) * (1 - fade)


def accumulate(
    one_round: Callable[[Averages, tuple], tuple[Averages, Any]],
    averages: Averages,
    reals: jax.Array,
    labels: jax.Array,
    rounds: int,
) -> tuple[Averages, Any]:
    """Run `one_round` over the parts of a batch and return the mean of its results.

    The official code sums the gradients of the rounds; for Adam, the sum differs from
    the mean only through epsilon. Round r takes every rounds-th row, starting from row
    r, so that no device needs another's rows.
    """
    if rounds == 1:
        return one_round(averages, (0, reals, labels))

    def split(x: jax.Array) -> jax.Array:
        return x.reshape(len(x) // rounds, rounds, *x.shape[1:]).swapaxes(0, 1)

    def body(carry: tuple, batch: tuple) -> tuple:
        averages, sums = carry
        averages, results = one_round(averages, batch)
        return (averages, jax.tree.map(jnp.add, sums, results)), None

    xs = (jnp.arange(rounds), split(reals), split(labels))
    first = jax.tree.map(lambda x: x[0], xs)
    _, shapes = jax.eval_shape(one_round, averages, first)
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    (averages, sums), _ = jax.lax.scan(body, (averages, zeros), xs)
    return averages, jax.tree.map(lambda x: x / rounds, sums)


def ema_beta(
    e: Experiment, batch_size: int, images_seen: jax.Array
) -> jax.Array | float:
    """Return the decay per step of the averaged generator.

    `ema_rampup` limits the half-life to a share of the images seen before the step, so
    that the random start is soon forgotten; the first step copies the generator.

    Reference: Karras et al. 2020, "Training Generative Adversarial Networks with
    Limited Data", appendix C.
    """
    half_life = e.training.ema_half_life_kimg * 1000
    if e.training.ema_rampup:
        half_life = jnp.minimum(half_life, images_seen * e.training.ema_rampup)
        half_life = jnp.maximum(half_life, 1e-8)
    return 0.5 ** (batch_size / half_life)


def update_ema(state: TrainState, beta: jax.Array | float) -> Any:
    """Return the averaged generator after a step, with the current "stats"."""
    params = jax.tree.map(
        lambda old, new: new + (old - new) * beta,
        state.ema["params"],
        state.params[GENERATOR],
    )
    return state.ema | {"params": params, "stats": state.stats}


def update_power_ema(state: TrainState, batch_size: int) -> dict[str, Any]:
    """Return the power-function averages of the generator after a step."""
    averages = {}
    for std, average in state.power_ema.items():
        gamma = power_ema.exponent(float(std))
        kept = power_ema.decay(gamma, state.images_seen + batch_size, batch_size)
        averages[std] = jax.tree.map(
            lambda old, new, kept=kept: new + (old - new) * kept,
            average,
            state.params[GENERATOR],
        )
    return averages


def all_finite(tree: Any) -> jax.Array:
    """Return True, bool [], if no array of a tree has a NaN or an infinity."""
    return jnp.stack([jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves(tree)]).all()


def height_constraint(parallel: Parallel, min_resolution: int) -> Callable[..., Any]:
    """Return a Flax interceptor that shards the outputs of large layers by height.

    The networks do not know about it. The compiler shards the operations between two
    such outputs in the same way, and devices exchange the rows that a kernel reaches
    across their borders.

    Args:
      parallel: the devices.
      min_resolution: outputs with fewer rows are left to the compiler.
    """

    def constrain(x: Any) -> Any:
        is_large = getattr(x, "ndim", 0) == 4 and x.shape[1] >= min_resolution
        return parallel.constrain_height(x) if is_large else x

    def intercept(call: Callable, args: tuple, kwargs: dict, context: Any) -> Any:
        del context
        return jax.tree.map(constrain, call(*args, **kwargs))

    return intercept
