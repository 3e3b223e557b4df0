"""The order and clock of StyleGAN2's phases, and gradient accumulation."""

import dataclasses
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from stylegan_jax import config, models, rngs
from stylegan_jax.rngs import Stream
from stylegan_jax.runtime import parallel
from stylegan_jax.training import optimizer, phases, setup, state, step
from stylegan_jax.training.phases import build_phases

pytestmark = pytest.mark.usefixtures("quick_compilation")

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
    ("family", "training", "expected"),
    [
        ("stylegan2", LAZY, "g_main:1 g_path:4 d_main:1* d_r1:16"),
        ("stylegan2", LAZY | {"path_length_weight": 0.0}, "g_main:1 d_main:1* d_r1:16"),
        ("stylegan2", LAZY | {"r1_gamma": 0.0}, "g_main:1 g_path:4 d_main:1*"),
        ("stylegan2", {}, "g_main:1 d_main:1*"),
        ("stylegan1", LAZY, "d_main:1* d_r1:16 g_main:1 g_path:4"),
        ("stylegan1", {}, "d_main:1* g_main:1"),
    ],
)
def test_phase_order_and_intervals(family, training, expected):
    e = experiment(family, **training)
    phases = build_phases(e, *models.build(e.model, e.data, 0))
    assert expected == " ".join(f"{p.name}:{p.interval}" + "*" * p.ema for p in phases)
    for phase in phases:
        is_g = phase.name.startswith("g_")
        assert phase.network == (state.GENERATOR if is_g else state.DISCRIMINATOR)


def reporting(phase: phases.Phase) -> phases.Phase:
    """Return the phase with an objective that reports its inputs."""

    def objective(params, inputs):
        loss = sum(jnp.sum(x) for x in jax.tree.leaves(params))
        scalars = {
            "reals": inputs.reals,
            "draw": jax.random.uniform(inputs.key(Stream.LATENT)),
        }
        return loss, phases.LossAux(scalars, {"w_avg": inputs.state.w_avg + 1})

    return dataclasses.replace(phase, objective=objective)


@pytest.fixture(scope="module")
def initial_state(quick_compilation):
    """The initial state of a run with all phases."""
    return setup.build(experiment(**LAZY), parallel.data_parallel()).create_state()


def test_phases_of_a_step_share_its_number_and_mirroring(initial_state):
    """They also agree with R1, which runs after the clock has advanced."""
    e = experiment(**LAZY)
    training = setup.build(e, parallel.data_parallel())
    phases = tuple(reporting(p) for p in training.phases)
    training = dataclasses.replace(training, phases=phases)
    (stage,) = training.stages
    current = initial_state.replace(step=jnp.int32(16), images_seen=jnp.int32(64))
    images = np.random.RandomState(0).randint(0, 256, (BATCH, 8, 8, 3), np.uint8)
    flip = jax.random.uniform(rngs.key(SEED, Stream.MIRROR, 16), (BATCH,)) >= 0.5
    assert 0 < flip.sum() < BATCH
    mirrored = np.where(flip[:, None, None, None], images[:, :, ::-1], images)
    steps, images_seen, averaged = [], [], []
    for i, name in enumerate(training.phase_names):
        before = current
        update = step.build_update(training, i, stage)
        current, out = jax.jit(update)(
            current, images, jnp.zeros((BATCH, 0)), 1.0, 0.01
        )
        np.testing.assert_allclose(
            out[f"{name}/reals"], mirrored / 127.5 - 1, atol=1e-6, err_msg=name
        )
        key = rngs.key(SEED, Stream.LATENT, 16, i, 0)
        np.testing.assert_array_equal(out[f"{name}/draw"], jax.random.uniform(key))
        steps.append(int(current.step))
        images_seen.append(int(current.images_seen))
        averaged.append(
            not bool(jnp.all(current.ema["stats"]["w_avg"] == before.w_avg))
        )
        other = {state.GENERATOR, state.DISCRIMINATOR} - {phases[i].network}
        for network in other:
            chex.assert_trees_all_equal(current.params[network], before.params[network])
            chex.assert_trees_all_equal(
                current.optimizer[network], before.optimizer[network]
            )
    assert steps == [16, 16, 17, 17]
    assert images_seen == [64, 64, 64 + BATCH, 64 + BATCH]
    assert int(current.optimizer[state.GENERATOR][0].count) == 2
    # Three phases had changed w_avg when d_main updated the averaged generator: 0 -> 3.
    np.testing.assert_array_equal(current.ema["stats"]["w_avg"], 3)
    np.testing.assert_array_equal(current.w_avg, 4)


class TestAccumulate(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.parameters(1, 2, 4)
    def test_mean_over_strided_parts(self, rounds):
        reals = jax.random.normal(jax.random.key(0), (8, 2, 2, 3))
        labels = jax.random.normal(jax.random.key(1), (8, 5))

        def one_round(averages, part):
            index, reals, labels = part
            # The averages depend on the order, the randomness on the index.
            mean = 10 * averages["mean"] + jnp.mean(reals)
            results = {"f": jnp.std(reals) * jnp.sum(labels, 0), "index": 1.0 * index}
            return {"mean": mean}, (results, mean)

        @self.variant
        def accumulate(averages, reals, labels):
            return step.accumulate(one_round, averages, reals, labels, rounds)

        averages, (results, means) = accumulate(
            {"mean": jnp.float32(1.0)}, reals, labels
        )
        mean, expected, running_means = 1.0, [], []
        for r in range(rounds):
            mean = 10 * mean + np.mean(reals[r::rounds])
            running_means.append(mean)
            expected.append(np.std(reals[r::rounds]) * np.sum(labels[r::rounds], 0))
        expected = np.mean(expected, 0)
        np.testing.assert_allclose(averages["mean"], mean, rtol=1e-6)
        np.testing.assert_allclose(means, np.mean(running_means), rtol=1e-6)
        np.testing.assert_allclose(results["f"], expected, rtol=1e-5, atol=1e-6)
        assert float(results["index"]) == (rounds - 1) / 2


def test_accumulated_gradients_of_r1(initial_state):
    """R1 draws no random numbers: two rounds equal the mean of two halves."""
    e = experiment(**LAZY, accumulation_rounds=2)
    training = setup.build(e, parallel.data_parallel())
    index = training.phase_names.index("d_r1")
    (stage,) = training.stages
    start = initial_state.replace(step=jnp.int32(17))
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
    for nu, gradient in zip(
        jax.tree.leaves(moments), jax.tree.leaves(mean), strict=True
    ):
        expected = (1 - beta2) * np.square(gradient)
        np.testing.assert_allclose(nu, expected, 1e-3, 1e-4 * np.max(expected))
    norm = np.sqrt(sum(np.sum(np.square(x)) for x in jax.tree.leaves(mean)))
    np.testing.assert_allclose(out["d_r1/gradient_norm"], norm, rtol=1e-4)


def test_relative_learning_rates():
    """The discriminator's rate follows the schedule of the generator's."""
    for own, lazy in itertools.product((None, 0.004), (0, 16)):
        e = experiment(
            learning_rate=0.001, discriminator_learning_rate=own, d_reg_interval=lazy
        )
        expected = (16 / 17 if lazy else 1) * (4 if own else 1)
        assert optimizer.relative_learning_rate(
            e, state.DISCRIMINATOR
        ) == pytest.approx(expected)
        assert optimizer.relative_learning_rate(e, state.GENERATOR) == 1.0


class TestEmaBeta(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_rampup(self):
        e = experiment(ema_half_life_kimg=10.0, ema_rampup=0.05)
        beta = self.variant(lambda seen: step.ema_beta(e, 32, seen))
        assert float(beta(jnp.int32(0))) == 0  # the first step copies
        assert float(beta(jnp.int32(6400))) == pytest.approx(0.5 ** (32 / 320))
        assert float(beta(jnp.int32(10_000_000))) == pytest.approx(0.5 ** (32 / 10_000))
        e = experiment(ema_half_life_kimg=10.0)
        assert step.ema_beta(e, 32, jnp.int32(0)) == pytest.approx(0.5 ** (32 / 10_000))
