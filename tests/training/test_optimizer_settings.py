"""The settings of Adam in an experiment, and its reset."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.runtime import parallel
from stylegan_jax.training import optimizer, setup
from stylegan_jax.training.state import DISCRIMINATOR, GENERATOR, reset_optimizers
from tests import tiny

EPSILON = 1e-4
GRADIENTS = np.float32([[1e-4, -3e-4, 2.0], [5e-5, 2e-4, -1.0], [0.0, 1e-4, 3.0]])


def adam_directions(beta1, beta2, placement):
    """Yield the directions of all steps."""
    m = v = np.zeros(3)
    for t, g in enumerate(GRADIENTS, 1):
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        unbiased = m / (1 - beta1**t)
        if placement == "pytorch":
            yield unbiased / (np.sqrt(v / (1 - beta2**t)) + EPSILON)
        else:
            yield np.sqrt(1 - beta2**t) * unbiased / (np.sqrt(v) + EPSILON)


@pytest.mark.parametrize("beta1", [0.0, 0.8])
@pytest.mark.parametrize(
    ("family", "configured", "placement"),
    [
        ("stylegan1", None, "tensorflow"),
        ("stylegan2", None, "pytorch"),
        ("stylegan1", "pytorch", "pytorch"),
        ("stylegan2", "tensorflow", "tensorflow"),
    ],
)
def test_settings_of_both_networks(family, configured, placement, beta1):
    """The family decides where epsilon is added; the interval scales the rates."""
    changes = tiny.STYLEGAN2 if family == "stylegan2" else {}
    e = tiny.experiment(
        changes
        | {
            "training.adam_beta1": beta1,
            "training.adam_beta2": 0.9,
            "training.adam_epsilon": EPSILON,
            "training.adam_epsilon_placement": configured,
            "training.learning_rate": 0.002,
            "training.discriminator_learning_rate": 0.006,
            "training.path_length_weight": 2.0,
            "training.g_reg_interval": 4,
            "training.d_reg_interval": 16,
        }
    )
    adams = optimizer.build_optimizers(e)
    for network, ratio, rate in ((GENERATOR, 4 / 5, 1), (DISCRIMINATOR, 16 / 17, 3)):
        adam = adams[network]
        state = adam.init(jnp.zeros(3))
        wanted = adam_directions(beta1**ratio if beta1 else 0.0, 0.9**ratio, placement)
        for gradient, direction in zip(GRADIENTS, wanted, strict=True):
            update, state = adam.update(jnp.asarray(gradient), state)
            np.testing.assert_allclose(update, ratio * rate * direction, 1e-4, 1e-7)


def test_reset_changes_only_the_optimizers():
    training = setup.build(tiny.experiment(tiny.SMALLEST), parallel.data_parallel())
    start = training.abstract_state
    used = jax.tree.map(lambda x: jnp.full(x.shape, 7, x.dtype), start)
    fresh = reset_optimizers(used, training.optimizers)
    for network in (GENERATOR, DISCRIMINATOR):
        leaves = jax.tree.leaves(fresh.optimizer[network])
        assert len(leaves) > 5 and not any(np.any(x) for x in leaves), network
    chex.assert_trees_all_equal(fresh.replace(optimizer={}), used.replace(optimizer={}))
