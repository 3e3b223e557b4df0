"""Minibatch standard deviation in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.layers import minibatch_stddev as module

minibatch_stddev = jax.jit(module.minibatch_stddev, static_argnums=(1, 2))


def test_equal_images_have_none_and_a_finite_gradient():
    """The epsilon is of the variance: its root is what is left."""
    x = np.ones((4, 2, 2, 3), np.float32)
    y = minibatch_stddev(x, 4, 1)
    np.testing.assert_array_equal(y[..., :3], x)
    np.testing.assert_allclose(y[..., 3], 1e-4, 1e-3)
    total = lambda x: jnp.sum(minibatch_stddev(x, 4, 1)[..., 3])  # noqa: E731
    by = jax.jit(jax.grad(total))(x)
    np.testing.assert_array_equal(by, 0)


@pytest.mark.parametrize(("group", "features"), [(2, 1), (4, 2), (None, 1), (8, 3)])
def test_strided_groups_and_runs_of_channels(group, features):
    """Image n of N in groups of G is in group n mod N/G, wherever it lies."""
    x = np.random.RandomState(0).randn(8, 2, 3, 6).astype(np.float32)
    y = np.asarray(minibatch_stddev(jnp.asarray(x), group, features))
    assert y.shape == (8, 2, 3, 6 + features)
    groups = 8 // (group or 8)
    for n in range(8):
        deviation = x[n % groups :: groups].std(0)
        wanted = deviation.reshape(2, 3, features, -1).mean((0, 1, 3))
        np.testing.assert_allclose(y[n, :, :, 6:], wanted + np.zeros((2, 3, 1)), 1e-5)


def test_a_batch_smaller_than_a_group_is_one_group():
    x = jnp.asarray(np.random.RandomState(0).randn(2, 2, 2, 3), jnp.float32)
    np.testing.assert_array_equal(
        minibatch_stddev(x, 4, 1), minibatch_stddev(x, None, 1)
    )
