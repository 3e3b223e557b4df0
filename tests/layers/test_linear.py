"""The equalized learning rate: what is stored, and by what it is scaled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.layers import linear
from tests.models.random_variables import random_variables


def stored_and_used(module, x):
    y, variables = jax.jit(module.init_with_output)(jax.random.key(0), x)
    return variables["params"], y


def normal(*shape):
    return np.random.RandomState(1).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("multiplier", [1.0, 0.01])
def test_weights_are_stored_at_unit_variance_over_their_multiplier(multiplier):
    dense = linear.Dense(200, lr_multiplier=multiplier, bias_init=2.0)
    params, _ = stored_and_used(dense, np.ones((1, 300), np.float32))
    spread = np.std(params["kernel"]["weight"])
    assert spread * multiplier == pytest.approx(1, rel=0.02)
    np.testing.assert_array_equal(params["bias"]["bias"], 2)


@pytest.mark.parametrize("multiplier", [1.0, 0.01])
@pytest.mark.parametrize("gain", [1.0, np.sqrt(2)])
def test_dense(gain, multiplier):
    """He's constant at run time, of the inputs only; the multiplier on both."""
    x = normal(2, 5)
    dense = linear.Dense(3, gain, multiplier, bias_init=2.0)
    params, y = stored_and_used(dense, x)
    weight = np.asarray(params["kernel"]["weight"]) * gain / np.sqrt(5) * multiplier
    np.testing.assert_allclose(y, x @ weight + 2 * multiplier, 1e-4, 1e-5)


def test_outputs_keep_the_variance_of_the_inputs():
    x = normal(50, 400)
    _, y = stored_and_used(linear.Dense(100, gain=1.0, lr_multiplier=0.01), x)
    assert np.std(y) == pytest.approx(1, rel=0.1)
    x = normal(2, 12, 12, 60)
    _, y = stored_and_used(linear.Conv(40, 3), x)
    assert np.std(np.asarray(y)[:, 1:-1, 1:-1]) == pytest.approx(np.sqrt(2), rel=0.1)


def test_frozen_weights_have_no_gradient():
    for frozen in (False, True):
        kernel = linear.EqualizedKernel((4, 3), frozen=frozen)
        bias = linear.Bias(frozen=frozen)
        for module, args in ((kernel, ()), (bias, (np.ones((2, 3), np.float32),))):
            variables = random_variables(module, *args)
            total = lambda v, m=module, a=args: jnp.sum(m.apply(v, *a))  # noqa: E731
            by = jax.jit(jax.grad(total))(variables)
            assert bool(np.any(jax.tree.leaves(by)[0])) is not frozen
