"""The compiled phases, compared with the same step written out by hand."""

import dataclasses
import functools

import chex
import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from stylegan_jax import config, models, rngs
from stylegan_jax.models import LevelOfDetail
from stylegan_jax.models.mapping import mix_styles
from stylegan_jax.rngs import Stream
from stylegan_jax.runtime import parallel
from stylegan_jax.training import losses, phases, schedule, setup, state, step
from stylegan_jax.training.step import process_reals
from tests import goldens

pytestmark = pytest.mark.usefixtures("quick_compilation")

BATCH, SEED = 8, 3


def experiment(**training) -> config.Experiment:
    return config.parse(
        {
            "data": {"resolution": 16, "mirror": True, "conditional": True},
            "model": {
                "z_dim": 6,
                "w_dim": 6,
                "mapping_features": 6,
                "mapping_layers": 2,
                "channel_base": 64,
                "channel_max": 8,
            },
            "training": {
                "initial_resolution": 4,
                "batch_size": BATCH,
                "stage_kimg": 1.0,
                "fade_kimg": 1.0,
                "total_kimg": 2.0,
            }
            | training,
            "run": {"seed": SEED},
        }
    )


@dataclasses.dataclass
class Setup:
    e: config.Experiment
    generator: models.Generator
    discriminator: models.Discriminator
    stage: schedule.Stage
    update: dict
    state: state.TrainState
    images: jax.Array
    labels: jax.Array
    fade: float = 0.25
    rate: float = 0.01

    @property
    def lod(self):
        return LevelOfDetail(self.stage.resolution, self.fade)


@functools.cache
def build(loss: str) -> Setup:
    e = experiment(loss=loss, r1_gamma=3.0, r2_gamma=0.7, gp_weight=5.0, gp_target=2.0)
    training = setup.build(e, parallel.data_parallel(), 3)
    g, d, stage = training.generator, training.discriminator, training.stages[1]
    assert (stage.resolution, stage.fading) == (8, True)
    assert training.phase_names == ["d_main", "g_main"]
    start = jax.device_get(training.create_state())
    start = start.replace(step=np.int32(5), images_seen=np.int32(1000))

    def compiled(phase):
        # States of NumPy arrays have no sharding, so all of them share a program.
        update = jax.jit(step.build_update(training, phase, stage))
        return lambda *args: jax.device_get(update(*args))

    update = {name: compiled(i) for i, name in enumerate(training.phase_names)}
    random = np.random.RandomState(0)
    images = jnp.asarray(random.randint(0, 256, (BATCH, 8, 8, 3)), jnp.uint8)
    labels = jnp.eye(3)[random.randint(0, 3, BATCH)]
    return Setup(e, g, d, stage, update, start, images, labels)


def fakes(s: Setup, params, w_avg, phase: int):
    """Return generated training images and the new `w_avg`, by hand."""
    key = lambda stream: rngs.key(SEED, stream, 5, phase)  # noqa: E731
    variables = {
        "params": params,
        "stats": {"w_avg": w_avg},
        "noise": s.state.ema["noise"],
    }
    first, second = (
        s.generator.apply(
            variables,
            jax.random.normal(key(stream), (BATCH, 6)),
            s.labels,
            method="map",
        )
        for stream in (Stream.LATENT, Stream.MIXING_LATENT)
    )
    cutoff = phases.mixing_cutoff(key(Stream.MIXING_CUTOFF), BATCH, 4, 0.9)
    images = s.generator.apply(
        variables,
        mix_styles(first, second, cutoff),
        s.lod,
        noise="random",
        method="synthesize",
        rngs={"noise": key(Stream.NOISE)},
    )
    return images, 0.995 * w_avg + 0.005 * first[:, 0].mean(0)


def assert_moments(actual, expected):
    """Compare each array, up to 1e-3 of its largest entry."""
    flat = flax.traverse_util.flatten_dict(actual)
    compared = 0
    for path, value in flax.traverse_util.flatten_dict(expected).items():
        if path == ("layers_0", "bias", "bias"):
            continue  # the instance norm cancels it, so its gradient is only rounding
        largest = float(np.max(np.abs(value)))
        np.testing.assert_allclose(flat[path], value, 0, 1e-3 * largest, str(path))
        compared += largest > 0
    assert compared > 10


def adam(params, gradients, rate):
    """Return the parameters after the first step of Adam with beta1 = 0."""
    scale = np.sqrt(1 - 0.99)
    return jax.tree.map(
        lambda p, g: p - rate * scale * g / (np.sqrt(0.01 * g**2) + 1e-8),
        params,
        gradients,
    )


@pytest.mark.parametrize(
    "loss",
    [
        "logistic",
        pytest.param("wgan", marks=pytest.mark.slow),
        pytest.param("hinge", marks=pytest.mark.slow),
    ],
)
def test_discriminator_phase(loss):
    s = build(loss)
    shrink = (8 / 16) ** 2

    def objective(params, g_params, w_avg):
        flip = jax.random.uniform(rngs.key(SEED, Stream.MIRROR, 5), (BATCH,)) >= 0.5
        reals = process_reals(s.images, flip, s.fade)
        generated, w_avg = fakes(s, g_params, w_avg, 0)

        def score(images):
            variables = {"params": params}
            return s.discriminator.apply(variables, images, s.labels, s.lod)

        real, real_gradients = losses.scores_and_gradients(score, reals)
        fake, fake_gradients = losses.scores_and_gradients(score, generated)
        if loss == "logistic":
            r1 = losses.squared_norm_penalty(real_gradients, shrink)
            r2 = losses.squared_norm_penalty(fake_gradients, shrink)
            per_image = losses.d_logistic(real, fake) + 1.5 * r1 + 0.35 * r2
            return jnp.mean(per_image), w_avg
        factors = jax.random.uniform(
            rngs.key(SEED, Stream.INTERPOLATION, 5, 0), (BATCH,)
        )
        interpolated = losses.interpolate(reals, generated, factors)
        _, interpolated_gradients = losses.scores_and_gradients(score, interpolated)
        penalty = (
            5.0 / 4.0 * losses.unit_norm_penalty(interpolated_gradients, shrink, 2.0)
        )
        plain = losses.d_wgan if loss == "wgan" else losses.d_hinge
        return jnp.mean(plain(real, fake) + penalty), w_avg

    before = s.state.params["discriminator"]
    (value, w_avg), gradients = jax.device_get(
        jax.jit(jax.value_and_grad(objective, has_aux=True))(
            before, s.state.params["generator"], s.state.w_avg
        )
    )
    after, scalars = s.update["d_main"](s.state, s.images, s.labels, s.fade, s.rate)
    np.testing.assert_allclose(scalars["d_main/loss"], value, rtol=1e-5)
    moments = jax.tree.map(lambda g: 0.01 * g**2, gradients)
    assert_moments(after.optimizer["discriminator"][0].nu, moments)
    chex.assert_trees_all_close(
        after.params["discriminator"], adam(before, gradients, s.rate), atol=2e-3
    )
    chex.assert_trees_all_equal(after.params["generator"], s.state.params["generator"])
    chex.assert_trees_all_close(after.w_avg, w_avg, atol=1e-6)
    assert int(after.step) == 5  # the clock advances with the last phase


def test_generator_phase_and_ema():
    s = build("logistic")
    params = s.state.params["generator"]
    # Make the averaged generator differ from the trained one.
    ema = s.state.ema | {"params": jax.tree.map(lambda x: x + 1, params)}
    s = dataclasses.replace(s, state=s.state.replace(ema=ema))
    d_after, _ = s.update["d_main"](s.state, s.images, s.labels, s.fade, s.rate)
    beta = 0.5 ** (BATCH / 10_000)
    chex.assert_trees_all_close(
        d_after.ema["params"], jax.tree.map(lambda x: x + beta, params), atol=1e-5
    )
    chex.assert_trees_all_equal(d_after.ema["stats"]["w_avg"], d_after.w_avg)

    def objective(params, d_params, w_avg):
        images, w_avg = fakes(s, params, w_avg, 1)
        scores = s.discriminator.apply(
            {"params": d_params},
            images,
            s.labels,
            s.lod,
        )
        return jnp.mean(jax.nn.softplus(-scores)), w_avg

    (value, w_avg), gradients = jax.device_get(
        jax.jit(jax.value_and_grad(objective, has_aux=True))(
            params, d_after.params["discriminator"], d_after.w_avg
        )
    )
    after, scalars = s.update["g_main"](d_after, s.images, s.labels, s.fade, s.rate)
    np.testing.assert_allclose(scalars["g_main/loss"], value, rtol=1e-5)
    moments = jax.tree.map(lambda g: 0.01 * g**2, gradients)
    assert_moments(after.optimizer["generator"][0].nu, moments)
    chex.assert_trees_all_close(after.w_avg, w_avg, atol=1e-6)
    chex.assert_trees_all_equal(after.ema, d_after.ema)
    assert (int(after.step), int(after.images_seen)) == (6, 1000 + BATCH)


def test_nonfinite_gradient_skips_the_update():
    s = build("logistic")
    params = s.state.params["discriminator"]
    nonfinite = s.state.replace(
        params=s.state.params
        | {"discriminator": jax.tree.map(lambda x: x * np.float32(np.nan), params)}
    )
    once, _ = s.update["g_main"](nonfinite, s.images, s.labels, s.fade, s.rate)
    twice, _ = s.update["g_main"](once, s.images, s.labels, s.fade, s.rate)
    chex.assert_trees_all_equal(twice.params["generator"], s.state.params["generator"])
    chex.assert_trees_all_equal(
        twice.optimizer["generator"], s.state.optimizer["generator"]
    )
    assert (int(twice.skipped["g_main"]), int(twice.skipped_total["g_main"])) == (2, 2)
    assert int(twice.images_seen) == 1000 + 2 * BATCH
    repaired = twice.replace(params=s.state.params)
    updated, _ = s.update["g_main"](repaired, s.images, s.labels, s.fade, s.rate)
    assert (int(updated.skipped["g_main"]), int(updated.skipped_total["g_main"])) == (
        0,
        2,
    )


def test_mixing_cutoffs():
    draw = lambda p: np.asarray(  # noqa: E731
        phases.mixing_cutoff(jax.random.key(0), 4000, 6, p)
    )
    assert set(draw(1.0)) == {1, 2, 3, 4, 5}
    assert set(draw(0.0)) == {6}
    assert np.mean(draw(0.9) == 6) == pytest.approx(0.1, abs=0.02)


class TestProcessReals(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.product(mirror=[False, True], lod=[0.0, 0.4, 1.0, 1.7, 3.0])
    def test_golden(self, mirror, lod):
        data = goldens.arrays("stylegan1/process_reals.npz")
        images = goldens.nhwc(data[f"in/uint8_floor_lod{int(lod)}"])
        flip = data["in/mirror_uniform"].reshape(-1) >= 0.5
        assert flip.any() and not flip.all()
        fade = 1 - (lod - int(lod))
        flip = jnp.asarray(flip) if mirror else None
        actual = self.variant(process_reals)(jnp.asarray(images), flip, fade)
        expected = goldens.nhwc(data[f"out/{'mirror_' * mirror}lod{lod}"])
        k = expected.shape[1] // actual.shape[1]
        upscaled = np.repeat(np.repeat(actual, k, 1), k, 2)
        np.testing.assert_allclose(upscaled, expected, atol=1e-6)


def test_traced_fade_equals_static_fade():
    images = np.random.RandomState(0).randint(0, 256, (2, 8, 8, 3)).astype(np.uint8)
    for fade in (0.0, 0.3, 1.0):
        static = process_reals(jnp.asarray(images), None, fade)
        traced = process_reals(jnp.asarray(images), None, jnp.float32(fade))
        chex.assert_trees_all_close(static, traced, rtol=1e-7, atol=1e-6)
