"""The order of StyleGAN2's phases, their clock, and gradient accumulation."""

import dataclasses
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax import config, models, rngs
from stylegan_jax.rngs import Stream
from stylegan_jax.runtime import parallel
from stylegan_jax.training import optimizer, phases, setup, state, step
from stylegan_jax.training.phases import build_phases
from tests import tiny

SEED, BATCH = 3, 4


def experiment(family="stylegan2", **training) -> config.Experiment:
    architectures = {"g_architecture": "skip", "d_architecture": "resnet"}
    return config.parse(
        {
            "data": {"resolution": 8, "mirror": True},
            "model": {
                "family": family,
                "z_dim": 4,
                "w_dim": 4,
                "mapping_features": 4,
                "mapping_layers": 1,
                "channel_base": 16,
                "channel_max": 4,
            }
            | (architectures if family == "stylegan2" else {}),
            "training": {"batch_size": BATCH, "total_kimg": 1.0} | training,
            "run": {"seed": SEED},
        }
    )


LAZY = {"d_reg_interval": 16, "g_reg_interval": 4, "path_length_weight": 2.0}


@pytest.mark.parametrize(
    ("family", "training", "wanted"),
    [
        ("stylegan2", LAZY, "g_main:1 g_path:4 d_main:1* d_r1:16"),
        ("stylegan2", LAZY | {"path_length_weight": 0.0}, "g_main:1 d_main:1* d_r1:16"),
        ("stylegan2", LAZY | {"r1_gamma": 0.0}, "g_main:1 g_path:4 d_main:1*"),
        ("stylegan2", {}, "g_main:1 d_main:1*"),
        ("stylegan1", LAZY, "d_main:1* d_r1:16 g_main:1 g_path:4"),
        ("stylegan1", {}, "d_main:1* g_main:1"),
    ],
)
def test_order_and_intervals(family, training, wanted):
    e = experiment(family, **training)
    phases = build_phases(e, *models.build(e.model, e.data, 0))
    assert wanted == " ".join(f"{p.name}:{p.interval}" + "*" * p.ema for p in phases)
    for phase in phases:
        is_g = phase.name.startswith("g_")
        assert phase.network == (state.GENERATOR if is_g else state.DISCRIMINATOR)


def watched(phase: phases.Phase) -> phases.Phase:
    """The phase with an objective that reports what it was given."""

    def objective(params, inputs):
        loss = sum(jnp.sum(x) for x in jax.tree.leaves(params))
        scalars = {
            "reals": inputs.reals,
            "draw": jax.random.uniform(inputs.key(Stream.LATENT)),
        }
        return loss, phases.LossAux(scalars, {"w_avg": inputs.state.w_avg + 1})

    return dataclasses.replace(phase, objective=objective)


def test_all_phases_of_a_step_share_its_number_and_mirroring():
    """Also R1, which runs after the clock has moved."""
    e = experiment(**LAZY)
    training = setup.build(e, parallel.data_parallel())
    phases = tuple(watched(p) for p in training.phases)
    training = dataclasses.replace(training, phases=phases)
    (stage,) = training.stages
    with tiny.quick_compilation():
        now = training.create_state()
    now = now.replace(step=jnp.int32(16), images_seen=jnp.int32(64))
    images = np.random.RandomState(0).randint(0, 256, (BATCH, 8, 8, 3), np.uint8)
    flip = jax.random.uniform(rngs.key(SEED, Stream.MIRROR, 16), (BATCH,)) >= 0.5
    assert 0 < flip.sum() < BATCH
    mirrored = np.where(flip[:, None, None, None], images[:, :, ::-1], images)
    steps, seen, averaged = [], [], []
    for i, name in enumerate(training.phase_names):
        before = now
        update = step.build_update(training, i, stage)
        now, out = jax.jit(update)(now, images, jnp.zeros((BATCH, 0)), 1.0, 0.01)
        np.testing.assert_allclose(
            out[f"{name}/reals"], mirrored / 127.5 - 1, atol=1e-6, err_msg=name
        )
        key = rngs.key(SEED, Stream.LATENT, 16, i, 0)
        np.testing.assert_array_equal(out[f"{name}/draw"], jax.random.uniform(key))
        steps.append(int(now.step))
        seen.append(int(now.images_seen))
        averaged.append(not bool(jnp.all(now.ema["stats"]["w_avg"] == before.w_avg)))
        other = {state.GENERATOR, state.DISCRIMINATOR} - {phases[i].network}
        for network in other:
            chex.assert_trees_all_equal(now.params[network], before.params[network])
            chex.assert_trees_all_equal(
                now.optimizer[network], before.optimizer[network]
            )
    assert steps == [16, 16, 17, 17]
    assert seen == [64, 64, 64 + BATCH, 64 + BATCH]
    assert int(now.optimizer[state.GENERATOR][0].count) == 2
    # Three of them moved the average before d_main had it averaged: 0 -> 3.
    np.testing.assert_array_equal(now.ema["stats"]["w_avg"], 3)
    np.testing.assert_array_equal(now.w_avg, 4)


@pytest.mark.parametrize("rounds", [1, 2, 4])
def test_accumulation_is_the_mean_over_strided_parts(rounds):
    reals = jax.random.normal(jax.random.key(0), (8, 2, 2, 3))
    labels = jax.random.normal(jax.random.key(1), (8, 5))

    def one_round(averages, part):
        index, reals, labels = part
        # Order matters to the averages, the index to the randomness.
        mean = 10 * averages["mean"] + jnp.mean(reals)
        results = {"f": jnp.std(reals) * jnp.sum(labels, 0), "index": 1.0 * index}
        return {"mean": mean}, (results, mean)

    averages, (results, means) = step.accumulate(
        one_round, {"mean": jnp.float32(1.0)}, reals, labels, rounds
    )
    mean, wanted, seen = 1.0, [], []
    for r in range(rounds):
        mean = 10 * mean + np.mean(reals[r::rounds])
        seen.append(mean)
        wanted.append(np.std(reals[r::rounds]) * np.sum(labels[r::rounds], 0))
    np.testing.assert_allclose(averages["mean"], mean, rtol=1e-6)
    np.testing.assert_allclose(means, np.mean(seen), rtol=1e-6)
    np.testing.assert_allclose(results["f"], np.mean(wanted, 0), rtol=1e-5, atol=1e-6)
    assert float(results["index"]) == (rounds - 1) / 2


def test_accumulated_gradients_of_the_true_objective():
    """R1 draws nothing: two rounds are the mean of two halves."""
    e = experiment(**LAZY, accumulation_rounds=2)
    training = setup.build(e, parallel.data_parallel())
    index = training.phase_names.index("d_r1")
    (stage,) = training.stages
    with tiny.quick_compilation():
        start = training.create_state()
    start = start.replace(step=jnp.int32(17))
    images = np.random.RandomState(0).randint(0, 256, (BATCH, 8, 8, 3), np.uint8)
    update = step.build_update(training, index, stage)
    after, out = jax.jit(update)(start, images, jnp.zeros((BATCH, 0)), 1.0, 0.01)
    flip = jax.random.uniform(rngs.key(SEED, Stream.MIRROR, 16), (BATCH,)) >= 0.5
    reals = np.where(flip[:, None, None, None], images[:, :, ::-1], images) / 127.5 - 1

    def objective(params, reals):
        d = training.discriminator
        by_image = jax.grad(lambda x: jnp.sum(d.apply({"params": params}, x)))
        return 16 * 10 / 2 * jnp.mean(jnp.sum(by_image(reals) ** 2, (1, 2, 3)))

    grad = jax.jit(jax.grad(objective))
    params = start.params[state.DISCRIMINATOR]
    halves = [grad(params, jnp.float32(reals[r::2])) for r in (0, 1)]
    mean = jax.tree.map(lambda a, b: (a + b) / 2, *halves)
    beta2 = 0.99 ** (16 / 17)
    moments = after.optimizer[state.DISCRIMINATOR][0].nu
    for ours, wanted in zip(
        jax.tree.leaves(moments), jax.tree.leaves(mean), strict=True
    ):
        wanted = (1 - beta2) * np.square(wanted)
        np.testing.assert_allclose(ours, wanted, 1e-3, 1e-4 * np.max(wanted))
    norm = np.sqrt(sum(np.sum(np.square(x)) for x in jax.tree.leaves(mean)))
    np.testing.assert_allclose(out["d_r1/gradient_norm"], norm, rtol=1e-4)


def test_relative_rates():
    """The discriminator's own rate scales with the schedule of the generator's."""
    for own, lazy in itertools.product((None, 0.004), (0, 16)):
        e = experiment(
            learning_rate=0.001, discriminator_learning_rate=own, d_reg_interval=lazy
        )
        wanted = (16 / 17 if lazy else 1) * (4 if own else 1)
        assert optimizer.relative_learning_rate(
            e, state.DISCRIMINATOR
        ) == pytest.approx(wanted)
        assert optimizer.relative_learning_rate(e, state.GENERATOR) == 1.0


def test_ema_ramps_up():
    e = experiment(ema_half_life_kimg=10.0, ema_rampup=0.05)
    beta = lambda seen: float(step.ema_beta(e, 32, jnp.int32(seen)))  # noqa: E731
    assert beta(0) == 0  # the first step copies
    assert beta(6400) == pytest.approx(0.5 ** (32 / 320))
    assert beta(10_000_000) == pytest.approx(0.5 ** (32 / 10_000))
    e = experiment(ema_half_life_kimg=10.0)
    assert step.ema_beta(e, 32, jnp.int32(0)) == pytest.approx(0.5 ** (32 / 10_000))
