"""The objectives, compared with closed forms on networks with known derivatives.

The generator is linear, the discriminator quadratic:

    w = gain * z + labels      images = sum over layers and components of ws * basis
    score = slope * sum(images) + curvature / 2 * sum(images^2) + sum(labels)
"""

import dataclasses
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax import config
from stylegan_jax.augment import policies, transforms
from stylegan_jax.layers import spectral_norm
from stylegan_jax.models import LevelOfDetail
from stylegan_jax.rngs import Stream
from stylegan_jax.training import phases
from stylegan_jax.training.state import TrainState

BATCH, LAYERS, W = 4, 6, 3
STAGE, FULL = 8, 16
SHRINK = (STAGE / FULL) ** 2
STYLES = 4  # style layers at 8x8
GAIN, SLOPE, CURVATURE = 0.5, 0.3, 0.2
SIZE = (2, 8, 1)  # not square: (height, width, channels)
_random = np.random.RandomState(0)
BASIS = _random.randn(LAYERS, W, *SIZE).astype(np.float32)
REALS = _random.randn(BATCH, *SIZE).astype(np.float32)
LABELS = _random.randn(BATCH, W).astype(np.float32)
MEAN, PROBABILITY = 1.5, 0.25  # of path lengths, of augmentations


class Generator:
    z_dim, num_ws, resolution = W, LAYERS, FULL

    def __init__(self):
        self.noise_keys = []

    def num_ws_at(self, resolution):
        return {STAGE: STYLES, FULL: LAYERS}[resolution]

    def apply(self, variables, x, labels=None, **options):
        if options["method"] == "map":
            w = variables["params"]["gain"] * x + (0 if labels is None else labels)
            return jnp.broadcast_to(w[:, None], (len(x), LAYERS, W))
        assert (options["lod"].resolution, options["noise"]) == (STAGE, "random")
        self.noise_keys.append(options["rngs"]["noise"])
        return jnp.einsum("blk,lkhwc->bhwc", x[:, :STYLES], BASIS[:STYLES])


class Discriminator:
    resolution = FULL

    def apply(self, variables, images, labels=None, lod=None):
        assert lod.resolution == STAGE
        p = variables["params"]
        x = images.reshape(len(images), -1)
        score = p["slope"] * x.sum(1) + p["curvature"] / 2 * jnp.square(x).sum(1)
        return score if labels is None else score + jnp.sum(labels, 1)


def softplus(x):
    return np.log1p(np.exp(x))


def squared_norms(images):
    """Return the squared norms of the gradients of the scores by the images."""
    gradients = SLOPE + CURVATURE * np.reshape(images, (len(images), -1))
    return SHRINK * np.square(gradients).sum(1)


def scores(images, labels=0.0):
    x = np.reshape(images, (len(images), -1))
    score = SLOPE * x.sum(1) + CURVATURE / 2 * np.square(x).sum(1)
    return score + np.sum(labels, -1)


class ObjectiveCall:
    """One call of an objective, and the keys that it requested."""

    def __init__(self, name, labels=LABELS, mixing=0.0, padding=0, **training):
        t = config.Training(style_mixing_probability=mixing, w_avg_beta=0.9, **training)
        self.generator = Generator()
        objectives = phases.GANObjectives(self.generator, Discriminator(), t)
        params = {
            "generator": {"gain": jnp.float32(GAIN)},
            "discriminator": {
                "slope": jnp.float32(SLOPE),
                "curvature": jnp.float32(CURVATURE),
            },
        }
        zero = jnp.zeros((), jnp.int32)
        state = TrainState(
            *(zero, zero, params, {}, jnp.ones(W), jnp.float32(MEAN)),
            augment_probability=jnp.float32(PROBABILITY),
            ema={},
            skipped={},
            skipped_total={},
            score_means=jnp.array([0.3, -0.1, 0.4]),
        )
        self.asked = []

        def key(stream):
            self.asked.append(stream)
            return jax.random.key(int(stream))

        self.inputs = phases.Inputs(
            state=state,
            reals=jnp.asarray(REALS),
            labels=None if labels is None else jnp.asarray(labels),
            lod=LevelOfDetail(STAGE),
            key=key,
            shard_batch=lambda x: x,
            padded_rows=lambda rows: rows + padding,
        )
        network = "generator" if name in ("generator", "path_length") else None
        self.params = params[network or "discriminator"]
        self.objective = getattr(objectives, name)
        self.loss, aux = self.objective(self.params, self.inputs)
        self.scalars, self.averages = aux.scalars, aux.averages
        self.asked, asked = [], self.asked
        self.streams = sorted(set(asked))


def z(stream=Stream.LATENT, rows=BATCH):
    return np.asarray(jax.random.normal(jax.random.key(int(stream)), (rows, W)))


def images(w):
    """Return the images for the same w [B,W] in all layers."""
    return np.einsum("bk,lkhwc->bhwc", w, BASIS[:STYLES])


FAKES = images(GAIN * z() + LABELS)


def test_generator_loss_and_w_avg():
    run = ObjectiveCall("generator")
    wanted = scores(FAKES, LABELS)
    np.testing.assert_allclose(run.loss, softplus(-wanted).mean(), 1e-5)
    np.testing.assert_allclose(run.scalars["score_fake"], wanted.mean(), 1e-5)
    w = (GAIN * z() + LABELS).mean(0)
    np.testing.assert_allclose(run.averages["w_avg"], 0.9 + 0.1 * w, 1e-5)
    unconditional = ObjectiveCall("generator", labels=None)
    wanted = scores(images(GAIN * z()))
    np.testing.assert_allclose(unconditional.loss, softplus(-wanted).mean(), 1e-5)


@pytest.mark.parametrize(
    ("r1", "r2", "interval"), [(3.0, 0.7, 0), (3.0, 0.0, 0), (0.0, 0.7, 0), (3, 0.7, 4)]
)
def test_penalties_of_the_logistic_loss(r1, r2, interval):
    """R1 on reals and R2 on fakes, each weighted by gamma/2; none if they are lazy."""
    run = ObjectiveCall(
        "discriminator", r1_gamma=r1, r2_gamma=r2, d_reg_interval=interval
    )
    real, fake = scores(REALS, LABELS), scores(FAKES, LABELS)
    wanted = softplus(fake) + softplus(-real)
    if not interval:
        wanted = wanted + r1 / 2 * squared_norms(REALS) + r2 / 2 * squared_norms(FAKES)
    np.testing.assert_allclose(run.loss, wanted.mean(), 1e-4)
    np.testing.assert_allclose(run.scalars["score_real"], real.mean(), 1e-4)
    np.testing.assert_allclose(run.scalars["score_fake"], fake.mean(), 1e-4)
    assert ("r1_penalty" in run.scalars) == bool(r1 and not interval)
    assert ("r2_penalty" in run.scalars) == bool(r2 and not interval)
    w = (GAIN * z() + LABELS).mean(0)
    np.testing.assert_allclose(run.averages["w_avg"], 0.9 + 0.1 * w, 1e-5)


def test_relativistic_loss_compares_reals_and_fakes_in_pairs():
    real, fake = scores(REALS, LABELS), scores(FAKES, LABELS)
    run = ObjectiveCall("generator", loss="relativistic")
    np.testing.assert_allclose(run.loss, softplus(real - fake).mean(), 1e-5)
    settings = {"r1_gamma": 3.0, "r2_gamma": 0.7, "d_reg_interval": 0}
    run = ObjectiveCall("discriminator", loss="relativistic", **settings)
    penalty = 3 / 2 * squared_norms(REALS) + 0.7 / 2 * squared_norms(FAKES)
    wanted = softplus(fake - real) + penalty
    np.testing.assert_allclose(run.loss, wanted.mean(), 1e-4)


def test_lecam_compares_scores_with_the_averages_of_the_other_set():
    weight, kept = 0.5, 0.99
    run = ObjectiveCall("discriminator", lecam_weight=weight, d_reg_interval=16)
    real, fake = scores(REALS, LABELS), scores(FAKES, LABELS)
    means = kept * np.array([0.3, -0.1, 0.4]) + (1 - kept) * np.array(
        [real.mean(), fake.mean(), 1.0]
    )
    np.testing.assert_allclose(run.averages["score_means"], means, 1e-5)
    mean_real, mean_fake = means[:2] / means[2]
    penalty = (
        np.maximum(real - mean_fake, 0) ** 2 + np.maximum(mean_real - fake, 0) ** 2
    )
    wanted = softplus(fake) + softplus(-real) + weight * penalty
    np.testing.assert_allclose(run.loss, wanted.mean(), 1e-5)
    # Without it, the averages stay as they are.
    assert "score_means" not in ObjectiveCall("discriminator").averages


def test_clipped_fakes_are_those_that_the_discriminator_sees():
    clipped = np.clip(FAKES, -1, 1)
    assert np.abs(clipped - FAKES).max() > 0.1
    run = ObjectiveCall("generator", clip_fakes=True)
    np.testing.assert_allclose(
        run.loss, softplus(-scores(clipped, LABELS)).mean(), 1e-5
    )
    run = ObjectiveCall("discriminator", clip_fakes=True, d_reg_interval=16)
    wanted = softplus(scores(clipped, LABELS)) + softplus(-scores(REALS, LABELS))
    np.testing.assert_allclose(run.loss, wanted.mean(), 1e-5)


@pytest.mark.parametrize("name", ["discriminator", "r1"])
def test_pseudo_augmentation_replaces_reals_by_new_fakes(name, monkeypatch):
    keys = {s: jax.random.key(int(s)) for s in (Stream.LATENT, Stream.PSEUDO_REALS)}
    folded = jax.random.fold_in(keys[Stream.LATENT], Stream.PSEUDO_REALS)
    latents = np.asarray(jax.random.normal(folded, (BATCH, W)))
    pseudo = images(GAIN * latents + LABELS)
    shape = (BATCH, 1, 1, 1)
    gates = np.asarray(jax.random.uniform(keys[Stream.PSEUDO_REALS], shape))
    half = float(np.median(gates))
    monkeypatch.setattr(sys.modules[__name__], "PROBABILITY", half)
    run = ObjectiveCall(name, augment="pseudo", d_reg_interval=16)
    replaced = gates < half
    assert replaced.sum() == BATCH // 2
    reals = np.where(replaced, pseudo, REALS)
    if name == "r1":
        wanted = squared_norms(reals).mean()
        np.testing.assert_allclose(run.scalars["r1_penalty"], wanted, 1e-5)
    else:
        score = scores(reals, LABELS)
        np.testing.assert_allclose(run.scalars["score_real"], score.mean(), 1e-4)
    assert Stream.PSEUDO_REALS in run.streams
    # The average of w knows nothing of them.
    if name == "discriminator":
        w = (GAIN * z() + LABELS).mean(0)
        np.testing.assert_allclose(run.averages["w_avg"], 0.9 + 0.1 * w, 1e-5)


@pytest.mark.parametrize("name", ["discriminator", "r1"])
def test_signs_of_the_scores_of_reals_are_counted(name, monkeypatch):
    """Only where the augmentation probability adapts to them."""
    monkeypatch.setattr(transforms, "augment", lambda key, images, *_: images)
    run = ObjectiveCall(name, augment="bgc", d_reg_interval=16)
    signs = np.sign(scores(REALS, LABELS))
    np.testing.assert_array_equal(run.averages["real_signs"], [signs.sum(), BATCH])
    if name == "discriminator":
        np.testing.assert_allclose(run.scalars["sign_real"], signs.mean(), 1e-6)
    constant = ObjectiveCall(name, augment="bgc", augment_probability=0.5)
    assert "real_signs" not in constant.averages


def test_lazy_r1_has_the_weight_of_its_interval():
    run = ObjectiveCall("r1", r1_gamma=3.0, d_reg_interval=16)
    np.testing.assert_allclose(run.loss, 16 * 1.5 * squared_norms(REALS).mean(), 1e-5)
    np.testing.assert_allclose(
        run.scalars["r1_penalty"], squared_norms(REALS).mean(), 1e-5
    )
    assert run.averages == {}


@pytest.mark.parametrize("loss", ["wgan", "hinge"])
def test_gradient_penalty_between_reals_and_fakes(loss):
    target = 0.8
    training = {"loss": loss, "gp_weight": 5.0, "gp_target": target, "r1_gamma": 3.0}
    run = ObjectiveCall("discriminator", **training, drift_weight=0.01)
    key = jax.random.key(int(Stream.INTERPOLATION))
    factors = np.asarray(jax.random.uniform(key, (BATCH,)))[:, None, None, None]
    between = REALS + (FAKES - REALS) * factors
    norms = np.sqrt(squared_norms(between))
    assert norms.min() < target - 0.05 < target + 0.05 < norms.max()
    penalty = np.square(norms - target)
    real, fake = scores(REALS, LABELS), scores(FAKES, LABELS)
    plain = {
        "wgan": fake - real + 0.01 * np.square(real),
        "hinge": np.maximum(0, 1 + fake) + np.maximum(0, 1 - real),
    }
    wanted = plain[loss] + 5 / target**2 * penalty
    np.testing.assert_allclose(run.loss, wanted.mean(), 1e-4)
    np.testing.assert_allclose(run.scalars["gradient_penalty"], penalty.mean(), 1e-4)
    assert "r1_penalty" not in run.scalars
    generator = ObjectiveCall("generator", **training)
    np.testing.assert_allclose(generator.loss, -fake.mean(), 1e-4)


@pytest.mark.parametrize(("shrink", "padding"), [(1, 0), (2, 0), (2, 3)])
def test_path_length(shrink, padding):
    """Use every second row of the labels; update the mean before the penalty.

    The lengths are those of an image of 2x8 pixels: noise over sqrt(16). Rows of
    padding change nothing.
    """
    run = ObjectiveCall(
        "path_length",
        padding=padding,
        path_length_batch_shrink=shrink,
        path_length_weight=2.0,
        path_length_decay=0.01,
        g_reg_interval=4,
    )
    rows = BATCH // shrink
    key = jax.random.key(int(Stream.PATH_NOISE))
    noise = np.asarray(jax.random.normal(key, (rows, *SIZE))) / 4
    by_w = np.einsum("bhwc,lkhwc->blk", noise, BASIS[:STYLES])
    by_w = np.pad(by_w, ((0, 0), (0, LAYERS - STYLES), (0, 0)))
    lengths = np.sqrt(np.square(by_w).sum(2).mean(1))
    mean = MEAN + 0.01 * (lengths.mean() - MEAN)
    penalty = np.square(lengths - mean).mean()
    np.testing.assert_allclose(run.scalars["length"], lengths.mean(), 1e-5)
    np.testing.assert_allclose(run.averages["path_length_mean"], mean, 1e-5)
    np.testing.assert_allclose(run.scalars["penalty"], penalty, 1e-4)
    np.testing.assert_allclose(run.loss, 4 * 2 * penalty, 1e-4)
    w = (GAIN * z(rows=rows) + LABELS[::shrink]).mean(0)
    np.testing.assert_allclose(run.averages["w_avg"], 0.9 + 0.1 * w, 1e-5)


def test_style_mixing_is_limited_to_the_layers_of_the_stage():
    """The coarse layers and `w_avg` use the first latent."""
    run = ObjectiveCall("generator", mixing=1.0)
    first, second = (
        GAIN * z(stream) + LABELS for stream in (Stream.LATENT, Stream.MIXING_LATENT)
    )
    key = jax.random.key(int(Stream.MIXING_CUTOFF))
    cutoff = np.asarray(phases.mixing_cutoff(key, BATCH, STYLES, 1.0))
    assert set(cutoff) <= {1, 2, 3} and len(set(cutoff)) > 1
    ws = np.where(
        np.arange(LAYERS)[None, :, None] < cutoff[:, None, None],
        first[:, None],
        second[:, None],
    )
    fakes = np.einsum("blk,lkhwc->bhwc", ws[:, :STYLES], BASIS[:STYLES])
    np.testing.assert_allclose(run.loss, softplus(-scores(fakes, LABELS)).mean(), 1e-5)
    average = 0.9 + 0.1 * first.mean(0)
    np.testing.assert_allclose(run.averages["w_avg"], average, 1e-5)


def test_mixing_cutoffs_are_uniform():
    cutoff = np.asarray(phases.mixing_cutoff(jax.random.key(1), 6000, 4, 0.5))
    shares = np.bincount(cutoff, minlength=5) / 6000
    np.testing.assert_allclose(shares, [0, 1 / 6, 1 / 6, 1 / 6, 1 / 2], atol=0.03)


@pytest.mark.parametrize("name", ["generator", "discriminator", "r1", "path_length"])
def test_augmentation_probability_comes_from_the_state(name, monkeypatch):
    """Reals and fakes are augmented with the policy of the experiment."""
    seen = []

    def augment(key, images, probability, policy):
        seen.append(float(probability))
        assert policy == policies.POLICIES["bgc"]
        return images

    monkeypatch.setattr(transforms, "augment", augment)
    ObjectiveCall(name, augment="bgc", augment_probability=0.9)
    wanted = {"generator": 1, "discriminator": 2, "r1": 1, "path_length": 0}[name]
    assert seen == [PROBABILITY] * wanted


def test_penalties_use_gradients_by_images_before_augmentation(monkeypatch):
    """The augmentation doubles contrast, so gradients by images are twice as long."""
    monkeypatch.setattr(transforms, "augment", lambda key, images, *_: 2 * images)
    doubled = 4 * squared_norms(2 * REALS)
    run = ObjectiveCall("r1", r1_gamma=3.0, d_reg_interval=16)
    np.testing.assert_allclose(run.scalars["r1_penalty"], doubled.mean(), 1e-5)
    run = ObjectiveCall("discriminator", r1_gamma=3.0, d_reg_interval=0)
    np.testing.assert_allclose(run.scalars["r1_penalty"], doubled.mean(), 1e-5)


MAPPING = {Stream.LATENT, Stream.MIXING_CUTOFF, Stream.MIXING_LATENT, Stream.NOISE}


@pytest.mark.parametrize(
    ("name", "loss", "streams"),
    [
        ("generator", "logistic", MAPPING | {Stream.AUGMENT_FAKES}),
        (
            "discriminator",
            "wgan",
            MAPPING
            | {Stream.AUGMENT_REALS, Stream.AUGMENT_FAKES}
            | {Stream.INTERPOLATION, Stream.AUGMENT_BETWEEN},
        ),
        ("path_length", "logistic", MAPPING | {Stream.PATH_NOISE}),
        ("r1", "logistic", {Stream.AUGMENT_REALS}),
    ],
)
def test_every_draw_has_its_own_stream(name, loss, streams):
    run = ObjectiveCall(name, mixing=0.9, loss=loss, gp_weight=1.0, r1_gamma=1.0)
    assert set(run.streams) == streams
    for key in run.generator.noise_keys:
        wanted = jax.random.key(int(Stream.NOISE))
        np.testing.assert_array_equal(*map(jax.random.key_data, (key, wanted)))


def test_discriminator_phase_has_no_gradient_through_the_generator():
    run = ObjectiveCall("discriminator")

    def loss(gain):
        params = run.inputs.state.params | {"generator": {"gain": gain}}
        state = run.inputs.state.replace(params=params)
        inputs = dataclasses.replace(run.inputs, state=state)
        return run.objective(run.params, inputs)[0]

    assert float(jax.grad(loss)(jnp.float32(GAIN))) == 0


def test_scores_are_those_of_normalized_weights(monkeypatch):
    """Their vectors take one iteration in the discriminator's loss."""

    def normalize(params, vectors):
        return params | {"slope": 2 * params["slope"]} if vectors else params

    monkeypatch.setattr(spectral_norm, "iterate", lambda params, vectors: {"u": W})
    monkeypatch.setattr(spectral_norm, "normalize", normalize)
    run = ObjectiveCall("discriminator", d_reg_interval=16)
    assert run.averages["spectral"] == {"u": W}
    monkeypatch.setattr(sys.modules[__name__], "SLOPE", 2 * SLOPE)
    wanted = softplus(scores(FAKES, LABELS)) + softplus(-scores(REALS, LABELS))
    np.testing.assert_allclose(run.loss, wanted.mean(), 1e-4)
    for name in ("generator", "r1"):
        assert "spectral" not in ObjectiveCall(name, d_reg_interval=16).averages
