"""Mapping networks, truncation and style mixing in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax import models
from stylegan_jax.models import mapping
from tests import tiny
from tests.models.random_variables import random_variables

_random = np.random.RandomState(0)
WS = _random.randn(2, 6, 3).astype(np.float32)
OTHER = _random.randn(2, 6, 3).astype(np.float32)
AVERAGE = np.float32([1.0, -2.0, 3.0])
LAYERS = np.arange(6)[None, :, None]


@pytest.mark.parametrize("psi", [0.0, 0.3, 0.7, -1.0])
@pytest.mark.parametrize("cutoff", [None, 0, 2, 6])
def test_truncation(psi, cutoff):
    """The distance to the average is multiplied by psi in the layers below cutoff."""
    used = psi if cutoff is None else np.where(cutoff > LAYERS, psi, 1.0)
    wanted = AVERAGE + used * (WS - AVERAGE)
    for value in (psi, jnp.float32(psi)):
        actual = mapping.truncate(jnp.asarray(WS), AVERAGE, value, cutoff)
        np.testing.assert_allclose(actual, wanted, 1e-5, 1e-6)
    for value in (1.0, None):
        actual = mapping.truncate(jnp.asarray(WS), AVERAGE, value, cutoff)
        np.testing.assert_array_equal(actual, WS)


GROWING = {"model.g_architecture": "growing", "model.d_architecture": "growing"}


@pytest.mark.parametrize(
    "changes",
    [{}, tiny.STYLEGAN2, tiny.STYLEGAN2 | GROWING],
    ids=["stylegan1", "stylegan2", "growing"],
)
def test_generators_truncate_to_their_average(changes):
    e = tiny.experiment(changes)
    g, _ = models.build(e.model, e.data, 0)
    ws = _random.randn(2, g.num_ws, g.w_dim).astype(np.float32)
    average = _random.randn(g.w_dim).astype(np.float32)
    variables = {"params": {}, "stats": {"w_avg": average}}
    for cutoff in (None, 1, 3):
        actual = g.apply(variables, ws, 0.25, cutoff, method="truncate")
        layers = np.arange(g.num_ws)[None, :, None]
        psi = 0.25 if cutoff is None else np.where(layers < cutoff, 0.25, 1)
        np.testing.assert_allclose(actual, average + psi * (ws - average), 1e-5, 1e-6)


@pytest.mark.parametrize("cutoff", [0, 1, 4, 6, [1, 5], [6, 2]])
def test_mixing(cutoff):
    """Coarse layers of the first, fine ones of the second, for each image."""
    limit = np.reshape(np.broadcast_to(cutoff, 2), (2, 1, 1))
    mixed = mapping.mix_styles(jnp.asarray(WS), jnp.asarray(OTHER), jnp.asarray(cutoff))
    np.testing.assert_array_equal(mixed, np.where(limit > LAYERS, WS, OTHER))


def test_average_of_w():
    moved = mapping.update_w_avg(jnp.asarray(AVERAGE), jnp.asarray(WS), 0.9)
    np.testing.assert_allclose(moved, 0.9 * AVERAGE + 0.1 * WS[:, 0].mean(0), 1e-5)


def unit(x):
    return x / np.sqrt(np.square(x).mean(1, keepdims=True) + 1e-8)


def dense(x, p, multiplier, gain):
    weight = p["kernel"]["weight"] * gain * multiplier / np.sqrt(x.shape[1])
    y = x @ np.asarray(weight) + np.asarray(p["bias"]["bias"]) * multiplier
    return y


def lrelu(x):
    return np.where(x > 0, x, 0.2 * x)


Z = 3 * _random.randn(2, 4).astype(np.float32)
LABELS = np.float32([[0, 1, 0], [2, 0, -1]])


@pytest.mark.parametrize("labelled", [False, True])
def test_mapping_of_stylegan1(labelled):
    """Label and z are normalized together; sqrt(2) is in the weights."""
    network = mapping.MappingNetwork(
        *(5, 2, 6), lr_multiplier=0.1, label_size=3 * labelled
    )
    labels = LABELS if labelled else None
    variables = jax.tree.map(lambda x: 5 * x, random_variables(network, Z, labels))
    p = variables["params"]
    x = Z
    if labelled:
        x = np.concatenate([x, LABELS @ np.asarray(p["label_embedding"])], 1)
    x = unit(x)
    for i in range(2):
        x = lrelu(dense(x, p[f"dense{i}"], 0.1, np.sqrt(2)))
    ws = jax.jit(network.apply)(variables, Z, labels)
    np.testing.assert_allclose(ws, x, 1e-4, 1e-5)


@pytest.mark.parametrize("labelled", [False, True])
def test_mapping_of_stylegan2(labelled):
    """Label and z are normalized apart; sqrt(2) is in the activation."""
    network = mapping.StyleGAN2Mapping(
        *(5, 4), label_size=3 * labelled, num_layers=2, features=6, lr_multiplier=0.1
    )
    labels = LABELS if labelled else None
    variables = jax.tree.map(lambda x: 5 * x, random_variables(network, Z, labels))
    p = variables["params"]
    x = unit(Z)
    if labelled:
        x = np.concatenate([x, unit(dense(LABELS, p["label_embedding"], 1, 1))], 1)
    for i in range(2):
        x = np.sqrt(2) * lrelu(dense(x, p[f"dense{i}"], 0.1, 1))
    ws = jax.jit(network.apply)(variables, Z, labels)
    np.testing.assert_allclose(ws, x, 1e-4, 1e-5)
