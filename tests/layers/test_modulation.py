"""Modulated convolutions against the official ones, and in low precision."""

import functools

import jax
import numpy as np
import pytest

from stylegan_jax.layers import conv2d as plain
from stylegan_jax.layers import conv2d_resample
from stylegan_jax.layers.modulation import demodulation, modulated_conv2d
from tests import goldens
from tests.layers import official

TOLERANCE = 1e-5  # of the rms; the official float32 itself is off by up to 3e-7
# Against float16, of the rms: a few roundings (2^-11) of values up to 4 rms; bfloat16
# rounds eight times as coarsely.
HALF = {"float32": 5e-3, "float16": 1e-2, "bfloat16": 4e-2}


def convolution(case, taps):
    return functools.partial(
        conv2d_resample.conv2d_resample,
        taps=taps,
        up=case["up"],
        down=case["down"],
        padding=official.padding(case["padding"]),
        flip_kernel=not case["flip_weight"],
    )


def in_networks(case, taps):
    """Return the form of this convolution that networks use, or None."""
    mirrored = case["w"] != "k1" and case["flip_weight"] != (case["up"] == 1)
    if mirrored:
        return None
    if case["up"] == 2:
        return functools.partial(conv2d_resample.up_conv2d, taps=taps)
    if case["down"] == 2:
        return functools.partial(conv2d_resample.down_conv2d, taps=taps)
    return plain.conv2d


@pytest.fixture(scope="module")
def calls():
    calls = official.Calls("C_modulated_conv2d")
    assert len(calls.cases) == 28
    return calls


@pytest.mark.parametrize("form", [convolution, in_networks])
def test_modulated_conv2d(calls, form):
    """Compare with both official ways to compute it (fused_modconv)."""
    functions = {}
    for case in calls.cases:
        convolve = form(case, calls.taps(case["f"]))
        if case.get("half") or convolve is None:
            continue

        def f(x, styles, w, noise=0.0, convolve=convolve, case=case):
            y = modulated_conv2d(x, w, styles, convolve, case["demodulate"])
            return y + noise

        inputs = {name: calls.inputs(name) for name in ("x", "styles")}
        inputs["w"] = calls.kernel(case["w"])
        if case["noise"]:
            noise = calls.inputs(case["noise"])
            f = functools.partial(f, noise=noise)
        functions[case["id"]] = f, inputs
    assert len(functions) == (26 if form is convolution else 21)
    calls.check(functions, TOLERANCE)


@pytest.mark.parametrize("dtype", HALF)
def test_half_precision(calls, dtype):
    cases = [case for case in calls.cases if case.get("half")]
    assert len(cases) == 2
    for case in cases:
        x = calls.inputs("x").astype(dtype)
        convolve = convolution(case, calls.taps(case["f"]))
        y = jax.jit(functools.partial(modulated_conv2d, convolution=convolve))(
            x, calls.kernel(case["w"]), calls.inputs("styles")
        )
        assert y.dtype == dtype
        wanted = goldens.nhwc(calls.arrays[f"out/{case['id']}"])
        goldens.assert_close(y.astype(np.float32), wanted, HALF[dtype], case["id"])


def test_unit_variance_for_every_style():
    """Independent inputs with unit variance give outputs with unit variance."""
    random = np.random.RandomState(0)
    normal = lambda *shape: random.normal(size=shape).astype(np.float32)  # noqa: E731
    style, kernel = np.exp(2 * normal(3, 64)), 7 * normal(3, 3, 64, 16)
    x = normal(3, 32, 32, 64)
    modulated = functools.partial(modulated_conv2d, convolution=plain.conv2d)
    y = np.asarray(jax.jit(modulated)(x, kernel, style))[:, 1:-1, 1:-1]
    np.testing.assert_allclose(np.std(y, axis=(1, 2)), 1, atol=0.12)
    products = kernel * style[:, None, None, :, None]
    norm = np.sqrt(np.sum(np.square(products), axis=(1, 2, 3)))
    scales = jax.jit(demodulation)(kernel, style)
    np.testing.assert_allclose(scales * norm, 1, rtol=1e-5)
