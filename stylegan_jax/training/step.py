"""One phase of a recipe at one stage, as a pure update of the state."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from stylegan_jax import rngs
from stylegan_jax.config import Experiment
from stylegan_jax.parallel import Parallel
from stylegan_jax.training.growth import Stage
from stylegan_jax.training.optimizer import scale_by_official_adam
from stylegan_jax.training.reals import process_reals
from stylegan_jax.training.recipes import Inputs, Phase
from stylegan_jax.training.state import GENERATOR, TrainState

Scalars = dict[str, jax.Array]
Update = Callable[..., tuple[TrainState, Scalars]]


def build_optimizer(e: Experiment) -> optax.GradientTransformation:
    """The optimizer of both networks; its updates lack the learning rate."""
    t = e.training
    return scale_by_official_adam(t.adam_beta1, t.adam_beta2, t.adam_epsilon)


def build_update(
    e: Experiment,
    phases: tuple[Phase, ...],
    index: int,
    stage: Stage,
    parallel: Parallel,
) -> Update:
    """The update of phase number `index` at `stage`.

    Returns:
      A pure function (state, images_uint8 [B,R,R,C], labels [B,label_size], fade [],
      learning_rate []) -> (state, scalars named "<phase>/<scalar>").
    """
    phase, optimizer = phases[index], build_optimizer(e)

    def update(
        state: TrainState,
        images_uint8: jax.Array,
        labels: jax.Array,
        fade: jax.Array,
        learning_rate: jax.Array,
    ) -> tuple[TrainState, Scalars]:
        stage_fade = fade if stage.fading else 1.0
        flip = None
        if e.data.mirror:  # the same for all phases of a step
            mirror = rngs.key(e.run.seed, rngs.Stream.MIRROR, state.step)
            flip = jax.random.uniform(mirror, (stage.batch_size,)) >= 0.5
        inputs = Inputs(
            state=state,
            reals=process_reals(images_uint8, flip, stage_fade),
            labels=labels if labels.shape[1] else None,
            fade=stage_fade,
            resolution=stage.resolution,
            key=lambda stream: rngs.key(e.run.seed, stream, state.step, index),
            split=parallel.split,
        )

        def objective(params: Any):
            loss, outcome = phase.objective(params, inputs)
            return loss, (outcome.scalars, outcome.w_avg)

        params = state.params[phase.network]
        (_, (scalars, w_avg)), gradients = jax.value_and_grad(objective, has_aux=True)(
            params
        )
        direction, moments = optimizer.update(
            gradients, state.optimizer[phase.network], params
        )
        updated = optax.apply_updates(
            params, jax.tree.map(lambda d: -learning_rate * d, direction)
        )
        # As officially, a gradient that is not finite skips the whole update.
        finite = all_finite(gradients)
        keep = functools.partial(jax.tree.map, lambda a, b: jnp.where(finite, a, b))
        skipped = jnp.where(finite, 0, state.skipped[phase.name] + 1)
        total = state.skipped_total[phase.name] + ~finite
        new = state.replace(
            params=state.params | {phase.network: keep(updated, params)},
            optimizer=state.optimizer
            | {phase.network: keep(moments, state.optimizer[phase.network])},
            w_avg=keep(w_avg, state.w_avg),
            skipped=state.skipped | {phase.name: skipped},
            skipped_total=state.skipped_total | {phase.name: total},
        )
        if phase.ema:
            half_life = e.training.ema_half_life_kimg * 1000
            new = new.replace(ema=average(new, 0.5 ** (stage.batch_size / half_life)))
        if index == len(phases) - 1:
            new = new.replace(
                step=state.step + 1, images_seen=state.images_seen + stage.batch_size
            )
        scalars["gradient_norm"] = optax.tree.norm(gradients)
        return new, {f"{phase.name}/{k}": v for k, v in scalars.items()}

    return update


def average(state: TrainState, beta: float) -> Any:
    """The averaged generator after one step; what is not trained is copied."""
    params = jax.tree.map(
        lambda old, new: new + (old - new) * beta,
        state.ema["params"],
        state.params[GENERATOR],
    )
    return state.ema | {"params": params, "stats": {"w_avg": state.w_avg}}


def all_finite(tree: Any) -> jax.Array:
    """Whether no leaf holds a NaN or infinity, bool []."""
    return jnp.stack([jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves(tree)]).all()
