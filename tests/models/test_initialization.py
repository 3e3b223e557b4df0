"""Initial parameters of the networks, and the effective weights they give."""

import functools

import chex
import flax.traverse_util
import jax
import numpy as np
import pytest

from stylegan_jax import rngs
from stylegan_jax.rngs import Stream
from stylegan_jax.runtime import parallel
from stylegan_jax.training import setup
from tests import tiny

SMALL = {"data.resolution": 8, "training.initial_resolution": 4}
FAMILIES = {
    "stylegan1": SMALL,
    "stylegan2": tiny.STYLEGAN2
    | SMALL
    | {"model.d_mapping_layers": 2}
    | {"training.augment": "bg", "training.augment_probability": 0.25},
}


def flat(variables):
    return flax.traverse_util.flatten_dict(variables, sep="/")


MULTIPLIER, Z, CLASSES = 0.05, 64, 3


@pytest.fixture(scope="module", params=FAMILIES)
def start(request):
    changes = FAMILIES[request.param] | {
        "model.mapping_lr_multiplier": MULTIPLIER,
        "model.mapping_features": Z,
        "model.w_dim": Z,
        "model.z_dim": Z,
        "data.conditional": True,
    }
    with tiny.quick_compilation():
        e = tiny.experiment(changes)
        training = setup.build(e, parallel.data_parallel(), CLASSES)
        return request.param, training, training.create_state()


def test_averages_start_at_zero_and_the_averaged_generator_at_the_trained(start):
    family, _, state = start
    np.testing.assert_array_equal(state.w_avg, 0)
    np.testing.assert_array_equal(state.ema["stats"]["w_avg"], 0)
    assert float(state.path_length_mean) == int(state.step) == 0
    assert int(state.images_seen) == 0
    probability = 0.25 if family == "stylegan2" else 0.0
    assert float(state.augment_probability) == probability
    chex.assert_trees_all_equal(state.ema["params"], state.params["generator"])


def test_stored_values(start):
    """Weights N(0,1) over their multiplier; biases zero but for StyleGAN2's styles."""
    family, _, state = start
    compared = 0
    for network, params in state.params.items():
        for path, x in flat(params).items():
            kind, x = path.rsplit("/", 1)[-1], np.asarray(x)
            multiplier = 1.0
            if path.startswith("mapping/dense"):
                multiplier = MULTIPLIER if network == "generator" else 0.01
            styled = "affine" in path and family != "stylegan1"
            if kind == "bias":
                np.testing.assert_array_equal(x, float(styled), path)
            elif kind == "strength":
                np.testing.assert_array_equal(x, 0, path)
            elif kind == "const" and family == "stylegan1":
                np.testing.assert_array_equal(x, 1, path)
            elif x.size > 150:
                compared += 1
                assert np.std(x) * multiplier == pytest.approx(1, rel=0.2), path
                assert np.mean(x) * multiplier == pytest.approx(0, abs=0.2), path
        assert compared > 3, network


def test_every_layer_has_a_noise_map_of_its_own(start):
    *_, state = start
    maps = [np.asarray(x) for x in jax.tree.leaves(state.ema["noise"])]
    values = np.concatenate([x.ravel() for x in maps])
    assert len(maps) >= 3 and len(np.unique(values)) == values.size
    assert np.std(values) == pytest.approx(1, rel=0.2)


def test_networks_are_drawn_from_the_seed_by_streams_of_their_own(monkeypatch):
    asked, key = [], rngs.key
    monkeypatch.setattr(
        rngs, "key", lambda seed, s: (asked.append((seed, s)), key(seed, s))[1]
    )
    e = tiny.experiment(SMALL | {"run.seed": 5})
    assert setup.build(e, parallel.data_parallel()).abstract_state
    assert asked == [(5, Stream.INIT_GENERATOR), (5, Stream.INIT_DISCRIMINATOR)]


def latents_and_labels(batch):
    z = np.random.RandomState(0).normal(size=(batch, Z)).astype(np.float32)
    return z, np.eye(batch, CLASSES, dtype=np.float32)


@functools.partial(jax.jit, static_argnums=0)
def mapped(generator, variables, z, labels):
    return generator.apply(variables, z, labels, method="map")


def test_w_keeps_about_the_variance_of_z(start):
    """The mapping's multiplier scales what is stored, and back again."""
    family, training, state = start
    z, labels = latents_and_labels(64)
    ws = np.asarray(mapped(training.generator, state.ema, z, labels))
    np.testing.assert_array_equal(ws, ws[:, :1] + np.zeros_like(ws))  # in all layers
    root_mean_square = float(np.sqrt(np.mean(np.square(ws))))
    assert 0.5 < root_mean_square < 2, family


def test_a_multiplier_and_its_stored_weights_cancel(start):
    """Twice the weights with half the multiplier are the same mapping."""
    _, training, state = start
    half = training.generator.clone(mapping_lr_multiplier=MULTIPLIER / 2)
    params = {
        path: 2 * x if path.startswith("mapping/dense") else x
        for path, x in flat(state.ema["params"]).items()
    }
    doubled = state.ema | {"params": flax.traverse_util.unflatten_dict(params, sep="/")}
    z, labels = latents_and_labels(4)
    np.testing.assert_allclose(
        mapped(half, doubled, z, labels),
        mapped(training.generator, state.ema, z, labels),
        *(1e-4, 1e-5),
    )
