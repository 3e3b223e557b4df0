"""Bias, activation, gain and clamp against the official ones."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.layers import activations, linear
from tests.layers import official


def test_bias_act(monkeypatch):
    """Gain and clamp are relative to the activation's own gain; slopes are fixed."""
    calls = official.Calls("C_bias_act")
    assert len(calls.cases) == 38
    functions = {}
    for case in calls.cases:
        kw = dict(case["kw"])
        name = kw["act"]
        own = activations.ACTIVATIONS[name]
        if name == "lrelu" and "alpha" in kw:  # the others ignore it
            name = f"lrelu{kw['alpha']}"
            function = functools.partial(activations.leaky_relu, slope=kw["alpha"])
            entry = activations.Activation(function, own.gain)
            monkeypatch.setitem(activations.ACTIVATIONS, name, entry)
        gain = kw.get("gain", own.gain) / own.gain
        clamp = None if "clamp" not in kw else kw["clamp"] / gain
        dim3 = kw.get("dim") == 3  # the bias is along the width

        def f(x, b=None, name=name, gain=gain, clamp=clamp, dim3=dim3):
            x = x.transpose(0, 3, 1, 2) if dim3 else x
            if b is not None:
                x = linear.Bias().apply({"params": {"bias": b}}, x)
            y = activations.activate(x, name, gain, clamp)
            return y.transpose(0, 2, 3, 1) if dim3 else y

        inputs = {"x": calls.inputs(case["x"])}
        if case["b"]:
            inputs["b"] = calls.arrays[f"in/{case['b']}"]
        functions[case["id"]] = f, inputs
    calls.check(functions, 1e-5)  # of the rms; sums of few terms


def plain(x, clamp):
    """Return the leaky ReLU with its gain and a clamp, in operations of JAX."""
    y = jnp.where(x >= 0, x, 0.2 * x) * jnp.asarray(np.sqrt(2), x.dtype)
    return y if clamp is None else jnp.where(abs(y) < clamp, y, jnp.sign(y) * clamp)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("clamp", [None, 0.5])
def test_gradients_of_the_leaky_relu(clamp, dtype):
    """The first and second derivatives equal those that JAX derives, bit for bit."""
    x = jax.random.normal(jax.random.key(0), (8, 64), dtype)
    x = x.at[0, 0].set(0)

    def results(f):
        y, pull_back = jax.vjp(f, x)
        first = lambda x: jax.vjp(f, x)[1](jnp.sin(f(x)))[0]  # noqa: E731
        second = jax.vjp(first, x)[1](jnp.cos(x))[0]
        return y, pull_back(jnp.cos(y))[0], second

    ours = results(lambda x: activations.activate(x, "lrelu", clamp=clamp))
    for a, b in zip(ours, results(lambda x: plain(x, clamp)), strict=True):
        assert a.dtype == dtype and np.any(np.asarray(a, np.float32))
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("clamp", [None, 256.0])
def test_the_gradient_of_the_leaky_relu_keeps_only_its_result(clamp):
    """The next layer keeps this array in any case, so its gradient costs no memory."""
    x, kernel = jnp.ones((64, 32)), jnp.ones((32, 8))

    def layer(x, kernel):
        return activations.activate(x, "lrelu", 0.5, clamp) @ kernel

    _, pull_back = jax.vjp(layer, x, kernel)
    kept = {id(a): a.nbytes for a in jax.tree.leaves(pull_back) if a.shape == x.shape}
    assert sum(kept.values()) == x.nbytes
