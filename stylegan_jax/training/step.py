"""One phase of a recipe at one stage, as a pure update of the state."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from stylegan_jax import rngs
from stylegan_jax.config import Experiment
from stylegan_jax.models import LevelOfDetail
from stylegan_jax.runtime.parallel import Parallel
from stylegan_jax.training.optimizer import scale_by_official_adam
from stylegan_jax.training.phases import Inputs, Phase
from stylegan_jax.training.reals import process_reals
from stylegan_jax.training.schedule import Stage
from stylegan_jax.training.state import DISCRIMINATOR, GENERATOR, TrainState

Scalars = dict[str, jax.Array]
Averages = dict[str, jax.Array]  # moving averages of the state, by field
Update = Callable[..., tuple[TrainState, Scalars]]


def build_optimizers(e: Experiment) -> dict[str, optax.GradientTransformation]:
    """The optimizer of each network; their updates lack the learning rate.

    Lazy regularisation makes more updates than there are steps: the decays are taken
    to the power `lazy_ratio`, to forget as fast as without it. Epsilon is where each
    paper's official code has it: StyleGAN's is in TensorFlow, StyleGAN2-ADA's in
    PyTorch.
    """
    t = e.training
    return {
        network: scale_by_official_adam(
            t.adam_beta1 ** lazy_ratio(e, network),
            t.adam_beta2 ** lazy_ratio(e, network),
            t.adam_epsilon,
            epsilon_corrected=e.model.family == "stylegan2",
        )
        for network in (GENERATOR, DISCRIMINATOR)
    }


def lazy_ratio(e: Experiment, network: str) -> float:
    """Steps per update of a network: k/(k+1) if regularised every k-th step, else 1.

    Reference: Karras et al. 2020, "Analyzing and Improving the Image Quality of
    StyleGAN", appendix B ("Lazy regularization").
    """
    t = e.training
    k = t.g_reg_interval if network == GENERATOR else t.d_reg_interval
    return k / (k + 1) if k else 1.0


def relative_rate(e: Experiment, network: str) -> float:
    """A network's learning rate as a multiple of the schedule's."""
    t, ratio = e.training, lazy_ratio(e, network)
    if network == DISCRIMINATOR and t.discriminator_learning_rate is not None:
        ratio *= t.discriminator_learning_rate / t.learning_rate
    return ratio


def build_update(
    e: Experiment,
    phases: tuple[Phase, ...],
    index: int,
    stage: Stage,
    parallel: Parallel,
    rounds: int | None = None,
) -> Update:
    """The update of phase number `index` at `stage`.

    Args:
      e: the experiment.
      phases: its recipe.
      index: of the phase.
      stage: of the schedule.
      parallel: the devices.
      rounds: of accumulation; None for the experiment's.

    Returns:
      A pure function (state, images_uint8 [B,H,W,C], labels [B,label_size], fade [],
      learning_rate []) -> (state, scalars named "<phase>/<scalar>").
    """
    phase = phases[index]
    rounds = rounds or e.training.accumulation_rounds
    assert rounds is not None, "the experiment leaves them open"
    optimizer = build_optimizers(e)[phase.network]
    by_height = height_splitter(parallel, e.run.height_min_resolution)
    # The clock moves with the last of the phases that run at every step.
    clock = max(i for i, p in enumerate(phases) if p.interval == 1)

    def update(
        state: TrainState,
        images_uint8: jax.Array,
        labels: jax.Array,
        fade: jax.Array,
        learning_rate: jax.Array,
    ) -> tuple[TrainState, Scalars]:
        step = state.step - int(index > clock)
        lod = LevelOfDetail(stage.resolution, fade if stage.fading else 1.0)
        flip = None
        if e.data.mirror:  # the same for all phases of a step
            mirror = rngs.key(e.run.seed, rngs.Stream.MIRROR, step)
            flip = jax.random.uniform(mirror, (stage.batch_size,)) >= 0.5
        params = state.params[phase.network]

        def one_round(averages: Averages, part: tuple) -> tuple:
            """From (round, reals, labels) to (gradients, scalars)."""
            round_index, reals, labels = part
            inputs = Inputs(
                state=state.replace(**averages),
                reals=reals,
                labels=labels if labels.shape[1] else None,
                lod=lod,
                key=lambda stream: rngs.key(
                    e.run.seed, stream, step, index, round_index
                ),
                split=parallel.constrain_batch,
            )

            def objective(params: Any):
                loss, outcome = phase.objective(params, inputs)
                return loss, (averages | outcome.averages, outcome.scalars)

            with nn.intercept_methods(by_height):
                (_, (after, scalars)), gradients = jax.value_and_grad(
                    objective, has_aux=True
                )(params)
            return after, (gradients, scalars)

        averages, (gradients, scalars) = accumulate(
            one_round,
            {"w_avg": state.w_avg, "path_length_mean": state.path_length_mean},
            process_reals(images_uint8, flip, lod.fade),
            labels,
            rounds,
        )
        if e.run.shard_optimizer:  # only what the optimizer does is split
            gradients = parallel.constrain_replicated(gradients)
        direction, moments = optimizer.update(
            gradients, state.optimizer[phase.network], params
        )
        if e.run.shard_optimizer:
            direction = parallel.constrain_replicated(direction)
        rate = learning_rate * relative_rate(e, phase.network)
        updated = optax.apply_updates(
            params, jax.tree.map(lambda d: -rate * d, direction)
        )
        # What is not finite skips the whole update, as a gradient does in StyleGAN;
        # StyleGAN2 would replace its entries by zero or 1e5 and go on.
        finite = all_finite((gradients, averages))
        keep = functools.partial(jax.tree.map, lambda a, b: jnp.where(finite, a, b))
        skipped = jnp.where(finite, 0, state.skipped[phase.name] + 1)
        total = state.skipped_total[phase.name] + ~finite
        new = state.replace(
            params=state.params | {phase.network: keep(updated, params)},
            optimizer=state.optimizer
            | {phase.network: keep(moments, state.optimizer[phase.network])},
            skipped=state.skipped | {phase.name: skipped},
            skipped_total=state.skipped_total | {phase.name: total},
            **{k: keep(v, getattr(state, k)) for k, v in averages.items()},
        )
        if phase.ema:
            beta = ema_beta(e, stage.batch_size, state.images_seen)
            new = new.replace(ema=average(new, beta))
        if index == clock:
            new = new.replace(
                step=state.step + 1, images_seen=state.images_seen + stage.batch_size
            )
        scalars["gradient_norm"] = optax.tree.norm(gradients)
        return new, {f"{phase.name}/{k}": v for k, v in scalars.items()}

    return update


def height_splitter(parallel: Parallel, min_resolution: int) -> Callable[..., Any]:
    """An interceptor of Flax that splits what large layers return by height.

    The networks know nothing of it. Between two such results the compiler splits
    likewise, and devices exchange the rows that a kernel reaches over their borders.

    Args:
      parallel: the devices.
      min_resolution: layers with fewer rows are left to the compiler.
    """

    def split(x: Any) -> Any:
        is_large = getattr(x, "ndim", 0) == 4 and x.shape[1] >= min_resolution
        return parallel.constrain_height(x) if is_large else x

    def intercept(call: Callable, args: tuple, kwargs: dict, context: Any) -> Any:
        del context
        return jax.tree.map(split, call(*args, **kwargs))

    return intercept


def accumulate(
    one_round: Callable[[Averages, tuple], tuple[Averages, Any]],
    averages: Averages,
    reals: jax.Array,
    labels: jax.Array,
    rounds: int,
) -> tuple[Averages, Any]:
    """Runs `one_round` over the parts of a batch; the mean of its results.

    Officially the rounds' gradients are added up, which Adam cannot tell but by its
    epsilon. Round r takes every rounds-th row from r on, so that each device keeps to
    its own.
    """
    if rounds == 1:
        return one_round(averages, (0, reals, labels))

    def parts(x: jax.Array) -> jax.Array:
        return x.reshape(len(x) // rounds, rounds, *x.shape[1:]).swapaxes(0, 1)

    def body(carry: tuple, part: tuple) -> tuple:
        averages, sums = carry
        averages, results = one_round(averages, part)
        return (averages, jax.tree.map(jnp.add, sums, results)), None

    xs = (jnp.arange(rounds), parts(reals), parts(labels))
    first = jax.tree.map(lambda x: x[0], xs)
    _, shapes = jax.eval_shape(one_round, averages, first)
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    (averages, sums), _ = jax.lax.scan(body, (averages, zeros), xs)
    return averages, jax.tree.map(lambda x: x / rounds, sums)


def ema_beta(
    e: Experiment, batch_size: int, images_seen: jax.Array
) -> jax.Array | float:
    """Decay per step of the averaged generator.

    `ema_rampup` bounds the half-life to a share of the images seen before the step, so
    that the random start is soon forgotten; the first step copies.

    Reference: Karras et al. 2020, "Training Generative Adversarial Networks with
    Limited Data", appendix C.
    """
    half_life = e.training.ema_half_life_kimg * 1000
    if e.training.ema_rampup:
        half_life = jnp.minimum(half_life, images_seen * e.training.ema_rampup)
        half_life = jnp.maximum(half_life, 1e-8)
    return 0.5 ** (batch_size / half_life)


def average(state: TrainState, beta: jax.Array | float) -> Any:
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
