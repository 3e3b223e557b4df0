"""Updates around an objective: `step.build_update` on a state of a few numbers."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax import rngs
from stylegan_jax.augment import controller
from stylegan_jax.rngs import Stream
from stylegan_jax.runtime import parallel
from stylegan_jax.training import losses, setup, step
from stylegan_jax.training.phases import LossAux, Phase
from stylegan_jax.training.state import DISCRIMINATOR, GENERATOR, TrainState
from tests import tiny

BATCH, RATE, SEEN, STEP = 8, 0.5, 64, 8
BETA2 = 0.98
HALF_LIFE = 100  # images, of the averaged generator
G, D, EMA, G_STYLE, EMA_STYLE = 3.0, 5.0, 11.0, 1.5, 6.5
IMAGES = np.random.RandomState(0).randint(0, 256, (BATCH, 4, 4, 3), np.uint8)


def objective(params, inputs):
    """A gradient of 2, whose sign is Adam's first direction."""
    draw = jax.random.uniform(inputs.key(Stream.LATENT))
    scalars = {
        "draw": draw,
        "fade": jnp.float32(inputs.lod.fade),
        "reals": inputs.reals,
        "has_labels": jnp.float32(inputs.labels is not None),
    }
    return 2 * params["x"], LossAux(scalars, {"w_avg": inputs.state.w_avg + 1})


def phase(name, objective=objective, **changes):
    network = GENERATOR if name[0] == "g" else DISCRIMINATOR
    return Phase(name, network, objective, **changes)


ORDER = (phase("d_main", ema=True), phase("d_r1", interval=4), phase("g_main"))


class Training:
    """Compiled updates with objectives of the test, at the second stage: fading in."""

    def __init__(self, order=ORDER, stage=1, rounds=1, **changes):
        changes = {f"training.{k}": v for k, v in changes.items()}
        e = tiny.experiment(
            tiny.SMALLEST
            | {
                "run.seed": 3,
                "data.resolution": 8,
                "data.mirror": False,
                "training.ema_half_life_kimg": HALF_LIFE / 1000,
                "training.adam_beta1": 0.0,
                "training.adam_beta2": BETA2,
            }
            | changes
        )
        self.setup = dataclasses.replace(
            setup.build(e, parallel.data_parallel()), phases=order
        )
        self.stage = self.setup.stages[stage]
        self.updates = {
            name: jax.jit(step.build_update(self.setup, i, self.stage, rounds))
            for i, name in enumerate(self.setup.phase_names)
        }
        params = {
            name: {"x": jnp.float32(x)} for name, x in ((GENERATOR, G), ("ema", EMA))
        }
        ema = {"params": params.pop("ema"), "stats": {"w_avg": jnp.full(2, EMA_STYLE)}}
        params[DISCRIMINATOR] = {"x": jnp.float32(D)}
        counts = dict.fromkeys(self.setup.phase_names, jnp.zeros((), jnp.int32))
        self.state = TrainState(
            *(jnp.int32(STEP), jnp.int32(SEEN), params),
            optimizer={n: self.setup.optimizers[n].init(p) for n, p in params.items()},
            w_avg=jnp.full(2, G_STYLE),
            path_length_mean=jnp.float32(0.25),
            augment_probability=jnp.float32(0),
            ema=ema,
            skipped=counts,
            skipped_total=counts,
        )

    def __call__(self, name, state=None, fade=0.25, images=None, labels=None):
        size = self.stage.resolution
        images = np.resize(IMAGES, (BATCH, size, size, 3)) if images is None else images
        labels = np.zeros((BATCH, 0), np.float32) if labels is None else labels
        state = self.state if state is None else state
        return self.updates[name](state, images, labels, fade, RATE)


@pytest.fixture(scope="module")
def training():
    return Training()


def test_a_network_moves_against_its_gradient_by_the_learning_rate(training):
    for name, network, x in (("d_main", DISCRIMINATOR, D), ("g_main", GENERATOR, G)):
        after, scalars = training(name)
        np.testing.assert_allclose(after.params[network]["x"], x - RATE, 1e-5)
        # The gradient itself reaches the moments, not only its sign.
        second_moment = after.optimizer[network][0].nu["x"]
        np.testing.assert_allclose(second_moment, (1 - BETA2) * 2**2, 1e-4)
        other = GENERATOR if network == DISCRIMINATOR else DISCRIMINATOR
        unchanged = training.state
        assert after.params[other]["x"] == unchanged.params[other]["x"]
        np.testing.assert_allclose(scalars[f"{name}/gradient_norm"], 2, 1e-6)
        assert not scalars[f"{name}/has_labels"]


def test_the_learning_rate_is_relative_to_the_network():
    """Scale the discriminator's rate by its own setting and by 16/17 for lazy R1."""
    own = Training(learning_rate=0.001, discriminator_learning_rate=0.003)
    after, _ = own("d_main")
    np.testing.assert_allclose(after.params[DISCRIMINATOR]["x"], D - 3 * RATE, 1e-5)
    after, _ = own("g_main")
    np.testing.assert_allclose(after.params[GENERATOR]["x"], G - RATE, 1e-5)
    lazy = Training(d_reg_interval=16)
    after, _ = lazy("d_main")
    np.testing.assert_allclose(
        after.params[DISCRIMINATOR]["x"], D - RATE * 16 / 17, 1e-5
    )


def test_the_generator_is_averaged_after_the_discriminators_update(training):
    """Average the parameters and `w_avg` as the discriminator's update finds them."""
    after, _ = training("d_main")
    beta = 0.5 ** (BATCH / HALF_LIFE)
    wanted = beta * EMA + (1 - beta) * G
    np.testing.assert_allclose(after.ema["params"]["x"], wanted, 1e-6)
    np.testing.assert_allclose(after.ema["stats"]["w_avg"], G_STYLE + 1)
    for name in ("d_r1", "g_main"):
        later, _ = training(name, after)
        np.testing.assert_array_equal(
            later.ema["params"]["x"], after.ema["params"]["x"]
        )
        np.testing.assert_array_equal(later.ema["stats"]["w_avg"], G_STYLE + 1)


@pytest.mark.parametrize("order", [ORDER, (ORDER[2], *ORDER[:2])])
def test_ramp_up_counts_the_images_before_the_step(order):
    """The clock moves with this phase, as in StyleGAN2, or with a later one."""
    training = Training(order, ema_rampup=0.05, ema_half_life_kimg=1000.0)
    after, _ = training("d_main")
    beta = 0.5 ** (BATCH / (0.05 * SEEN))
    wanted = beta * EMA + (1 - beta) * G
    np.testing.assert_allclose(after.ema["params"]["x"], wanted, 1e-5)
    start = training.state.replace(images_seen=jnp.int32(0))
    after, _ = training("d_main", start)
    np.testing.assert_allclose(after.ema["params"]["x"], G)  # copied


def test_the_clock_moves_with_the_last_phase_of_every_step(training):
    state = training.state
    for name, steps in (("d_main", 0), ("d_r1", 0), ("g_main", 1)):
        state, _ = training(name, state)
        assert int(state.step) == STEP + steps
        assert int(state.images_seen) == SEEN + steps * BATCH


def test_the_fade_reaches_reals_and_networks():
    fading, full = Training(), Training(stage=2)
    assert (fading.stage.fading, full.stage.fading) == (True, False)
    images = np.resize(IMAGES, (BATCH, 8, 8, 3))
    x = images / 127.5 - 1
    low = x.reshape(BATCH, 4, 2, 4, 2, 3).mean((2, 4)).repeat(2, 1).repeat(2, 2)
    for training, fade, wanted in (
        (fading, 0.25, 0.25 * x + 0.75 * low),
        (fading, 1.0, x),
        (full, 0.25, x),
    ):
        _, scalars = training("g_main", fade=fade)
        used = 1.0 if training is full else fade
        np.testing.assert_allclose(scalars["g_main/fade"], used)
        np.testing.assert_allclose(scalars["g_main/reals"], wanted, atol=1e-5)


def test_half_of_the_images_are_mirrored_the_same_in_all_phases():
    """Left to right, each by itself, others at the next step."""
    training = Training(stage=0)
    e = training.setup.experiment
    mirror = dataclasses.replace(e.data, mirror=True)
    training.setup = dataclasses.replace(
        training.setup, experiment=dataclasses.replace(e, data=mirror)
    )
    x, flips = IMAGES / 127.5 - 1, []
    for i, name in enumerate(training.setup.phase_names):
        update = step.build_update(training.setup, i, training.stage, 1)
        training.updates[name] = jax.jit(update)
        _, scalars = training(name)
        seen = np.asarray(scalars[f"{name}/reals"])
        flip = np.abs(seen - x).max((1, 2, 3)) > 1e-3
        wanted = np.where(flip[:, None, None, None], x[:, :, ::-1], x)
        np.testing.assert_allclose(seen, wanted, atol=1e-6)
        flips.append(flip)
    np.testing.assert_array_equal(flips[0], flips[1])
    np.testing.assert_array_equal(flips[0], flips[2])
    many = np.stack(
        [
            np.abs(
                training("d_main", training.state.replace(step=jnp.int32(s)))[1][
                    "d_main/reals"
                ]
                - x
            ).max((1, 2, 3))
            > 1e-3
            for s in range(30)
        ]
    )
    assert np.mean(many) == pytest.approx(0.5, abs=0.12)
    assert len(np.unique(many, axis=0)) > 25  # not the same at every step
    assert len(np.unique(many, axis=1).T) > 1  # nor for all images of a batch


def test_every_round_draws_its_own_numbers_and_keeps_the_average():
    training = Training(rounds=4)
    after, scalars = training("d_main")
    seed = training.setup.experiment.run.seed
    draws = [
        jax.random.uniform(rngs.key(seed, Stream.LATENT, STEP, 0, r)) for r in range(4)
    ]
    np.testing.assert_allclose(scalars["d_main/draw"], np.mean(draws), 1e-6)
    np.testing.assert_allclose(after.w_avg, G_STYLE + 4)


def test_averages_of_scores_move_once_per_step():
    """By the scores of all rounds, as if the batch had not been split."""

    def scoring(params, inputs):
        real, fake = inputs.reals.mean((1, 2, 3)), inputs.reals[:, 0, 0, 0]
        before = inputs.state.score_means
        means = losses.update_score_means(before, real, fake)
        aux = LossAux({"of_reals": means[0]}, {"score_means": means})
        return 2 * params["x"], aux

    found = []
    for rounds in (1, 4):
        training = Training((phase("d_main", scoring), phase("g_main")), 0, rounds)
        state = training.state.replace(score_means=jnp.array([0.3, -0.1, 0.4]))
        after, scalars = training("d_main", state)
        np.testing.assert_allclose(after.score_means[2], 0.99 * 0.4 + 0.01, 1e-6)
        np.testing.assert_allclose(scalars["d_main/of_reals"], after.score_means[0])
        found.append(after.score_means)
    np.testing.assert_allclose(*found, rtol=1e-5)


def test_phases_and_steps_draw_other_numbers(training):
    draws = set()
    for name in training.setup.phase_names:
        for number in (STEP, STEP + 1):
            state = training.state.replace(step=jnp.int32(number))
            draws.add(float(training(name, state)[1][f"{name}/draw"]))
    assert len(draws) == 6


@pytest.mark.parametrize("what", ["gradient", "w_avg", "path_length_mean"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_update_counts_only_if_all_of_it_is_finite(what, value):
    """Gradients and averages; the averaged generator and the clock go on."""

    def broken(params, inputs):
        loss, aux = objective(params, inputs)
        averages = aux.averages | {"path_length_mean": jnp.float32(0.5)}
        if what == "gradient":
            loss = loss * value
        else:
            averages[what] = jnp.full_like(getattr(inputs.state, what), value)
        return loss, LossAux(aux.scalars, averages)

    training = Training((phase("g_main", broken), phase("d_main", ema=True)))
    before = training.state
    after, _ = training("g_main")
    assert after.params[GENERATOR]["x"] == G
    for field in ("optimizer", "w_avg", "path_length_mean", "ema"):
        for a, b in zip(
            *map(jax.tree.leaves, (getattr(after, field), getattr(before, field))),
            strict=True,
        ):
            np.testing.assert_array_equal(a, b, field)
    assert int(after.skipped["g_main"]) == int(after.skipped_total["g_main"]) == 1
    assert int(after.skipped["d_main"]) == int(after.skipped_total["d_main"]) == 0
    twice, _ = training("g_main", after)
    assert int(twice.skipped["g_main"]) == int(twice.skipped_total["g_main"]) == 2
    fine, _ = training("d_main", twice)
    assert int(fine.skipped["g_main"]) == 2 and int(fine.skipped["d_main"]) == 0
    assert (int(fine.step), int(fine.images_seen)) == (STEP + 1, SEEN + BATCH)
    assert fine.params[DISCRIMINATOR]["x"] < D


def test_the_clock_moves_with_an_update_that_is_skipped():
    """In the phase that moves it."""

    def broken(params, inputs):
        loss, aux = objective(params, inputs)
        return loss * jnp.nan, aux

    training = Training((phase("d_main", ema=True), phase("g_main", broken)))
    after, _ = training("g_main")
    assert int(after.skipped["g_main"]) == 1
    assert (int(after.step), int(after.images_seen)) == (STEP + 1, SEEN + BATCH)


def test_power_function_averages_follow_the_trained_generator():
    """Their weights are powers of time, after the discriminator's update."""
    order = (phase("d_main", ema=True), phase("g_main"))
    run = Training(order)
    averages = {std: {"x": jnp.float32(7)} for std in ("0.05", "0.1")}
    state = run.state.replace(power_ema=averages)
    expected = dict.fromkeys(averages, 7.0)
    for i in range(3):
        seen = SEEN + (i + 1) * BATCH
        state, _ = run("d_main", state)
        x = float(state.params[GENERATOR]["x"])
        for std, gamma in (("0.05", 16.972), ("0.1", 6.9372)):
            kept = (1 - BATCH / seen) ** (gamma + 1)
            expected[std] = x + (expected[std] - x) * kept
            np.testing.assert_allclose(state.power_ema[std]["x"], expected[std], 1e-4)
        state, _ = run("g_main", state)


def test_the_augmentation_probability_adapts_before_every_fourth_step(monkeypatch):
    """It rises with the reals' signs, and both start from their state."""
    adaptive = controller.Adaptive(speed_kimg=0.1)
    monkeypatch.setattr(controller, "from_config", lambda training: adaptive)

    def counting(params, inputs):
        loss, aux = objective(params, inputs)
        signs = inputs.state.real_signs + jnp.array([BATCH, BATCH])
        scalars = {"probability": inputs.state.augment_probability}
        return loss, LossAux(scalars, aux.averages | {"real_signs": signs})

    lazy = phase("d_r1", counting, interval=4)
    run = Training((phase("g_main"), phase("d_main", counting), lazy), 0)
    state = run.state.replace(augment_probability=jnp.float32(0.1), step=jnp.int32(0))
    seen = []
    for i in range(9):
        state, _ = run("g_main", state)
        state, scalars = run("d_main", state)
        seen.append(float(scalars["d_main/probability"]))
        if i % lazy.interval == 0:
            state, scalars = run("d_r1", state)
            assert float(scalars["d_r1/probability"]) == seen[-1]
    rise = BATCH * 4 / 100
    wanted = [0.1] * 4 + [0.1 + rise] * 4 + [0.1 + 2 * rise]
    np.testing.assert_allclose(seen, wanted, 1e-5)
    np.testing.assert_array_equal(state.real_signs, [2 * BATCH, 2 * BATCH])


def test_labels_arrive_with_their_images():
    def labelled(params, inputs):
        # Images and labels hold the same number.
        off = jnp.abs(inputs.reals[:, 0, 0, 0] - (inputs.labels[:, 0] / 127.5 - 1))
        return 2 * params["x"], LossAux({"off": jnp.max(off)}, {})

    for rounds in (1, 2):
        training = Training((phase("g_main", labelled),), stage=0, rounds=rounds)
        numbers = np.arange(BATCH)
        images = np.broadcast_to(numbers[:, None, None, None], (BATCH, 4, 4, 3))
        labels = np.float32(numbers)[:, None] + np.zeros(3, np.float32)
        _, scalars = training("g_main", images=np.uint8(images), labels=labels)
        assert float(scalars["g_main/off"]) < 1e-6
