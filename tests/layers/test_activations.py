"""Bias, activation, gain and clamp against the official ones."""

import functools

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
