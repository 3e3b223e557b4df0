"""StyleGAN2's layers against the official ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.layers import blocks, conv2d, linear
from stylegan_jax.layers.activations import activate
from stylegan_jax.layers.matmul import EXACT, Arithmetic
from stylegan_jax.layers.minibatch_stddev import minibatch_stddev
from stylegan_jax.layers.modulation import modulated_conv2d
from stylegan_jax.layers.noise import NoiseInjection
from stylegan_jax.layers.normalization import StyleModulation, pixel_norm
from stylegan_jax.models.stylegan2 import ConvLayer, LayerOptions
from tests import goldens
from tests.layers import official

TOLERANCE = 1e-5  # of the rms; the official float32 itself is off by up to 3e-7


def dense(case, params, x):
    kw = case["kw"]
    assert ("bias" in params) == kw["bias"]
    layer = linear.Dense(
        kw["out_features"], gain=1.0, lr_multiplier=kw["lr_multiplier"]
    )
    bias = params.get("bias", np.zeros(kw["out_features"]))  # ours always has one
    variables = {"kernel": {"weight": params["weight"].T}, "bias": {"bias": bias}}
    return activate(layer.apply({"params": variables}, x), kw["activation"])


def conv(case, params, x, arithmetic=EXACT):
    kw = case["kw"]
    direction = {(1, 1): "same", (2, 1): "up", (1, 2): "down"}[kw["up"], kw["down"]]
    layer = ConvLayer(
        kw["out_channels"],
        kw["kernel_size"],
        LayerOptions(
            resample_filter=tuple(kw["resample_filter"]),
            conv_clamp=kw["conv_clamp"],
            arithmetic=arithmetic,
        ),
        direction,
        activation=kw["activation"],
        bias=kw["bias"],
        gain=case["gain"],
    )
    variables = {"kernel": {"weight": official.hwio(params["weight"])}}
    if kw["bias"]:
        variables["bias"] = {"bias": params["bias"]}
    return layer.apply({"params": variables}, x)


def conv_in_blocks(case, params, x):
    """The forms for TPUs; a TPU's matrix unit multiplies narrow images in blocks."""
    kw = case["kw"]
    if kw["up"] == 1:
        x = blocks.split(x, shifted=kw["kernel_size"] == 1)
    return blocks.join(conv(case, params, x, Arithmetic(pixel_blocks=True)))


def statistics(case, params, x):
    group, features = case["kw"]["group_size"], case["kw"]["num_channels"]
    y = minibatch_stddev(x[: case["n"]], group, features)
    assert y.shape == (case["n"], *x.shape[1:-1], x.shape[-1] + features)
    return y[:, 0, 0, x.shape[-1] :]  # all that is stored


LAYERS = {
    "FullyConnectedLayer": dense,
    "Conv2dLayer": conv,
    "Conv2dLayer in blocks": conv_in_blocks,
    "MinibatchStdLayer": statistics,
    "normalize_2nd_moment": lambda case, params, x: pixel_norm(x),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_layer(layer):
    calls = official.Calls("C_layers")
    assert len(calls.cases) == 23
    functions = {}
    for case in calls.cases:
        if case["cls" if "cls" in case else "fn"] != layer.removesuffix(" in blocks"):
            continue
        params = goldens.below(calls.arrays, f"param{case['id']}/")
        f = lambda x, case=case, params=params: LAYERS[layer](case, params, x)  # noqa: E731
        x = calls.inputs(case["x"])
        rows = calls.arrays[f"out/{case['id']}"].shape[0]
        functions[case["id"]] = f, {"x": x if "n" in case else x[:rows]}
    assert functions
    calls.check(functions, TOLERANCE)


def _modulated(x, p):
    return modulated_conv2d(x, p["kernel"], p["style"], conv2d.conv2d, False)


ONES = jnp.ones((4, 32, 32, 2), jnp.bfloat16)
SHARED = {  # function of ONES and float32 parameters that all pixels share
    "bias": (
        lambda x, p: linear.Bias().apply({"params": p}, x),
        {"bias": jnp.zeros(2)},
        4 * 32 * 32,
    ),
    "noise": (
        lambda x, p: NoiseInjection(per_channel=False).apply(
            {"params": p, "noise": {"const": jnp.ones((1, 32, 32, 1))}}, x, "const"
        ),
        {"strength": jnp.zeros(())},
        4 * 32 * 32 * 2,
    ),
    "style": (
        _modulated,
        {"style": jnp.ones((4, 2)), "kernel": jnp.eye(2)[None, None]},
        32 * 32,
    ),
    "adain": (
        lambda x, p: StyleModulation().apply(
            {"params": {"affine": {"kernel": {"weight": jnp.zeros((1, 4))}} | p}},
            x,
            jnp.ones((4, 1)),
        ),
        {"bias": {"bias": jnp.zeros(4)}},
        4 * 32 * 32,
    ),
}


@pytest.mark.parametrize("name", SHARED)
def test_low_precision_gradients_accumulate_in_float32(name):
    """In bfloat16 the sums would stop at 256."""
    f, params, wanted = SHARED[name]
    y = f(ONES, params)
    assert y.dtype == ONES.dtype
    total = lambda p: jnp.sum(f(ONES, p).astype(jnp.float32))  # noqa: E731
    gradients = jax.jit(jax.grad(total))(params)
    gradients.pop("kernel", None)  # a matrix product, which adds in float32 anyway
    for gradient in jax.tree.leaves(gradients):
        assert gradient.dtype == jnp.float32
        np.testing.assert_array_equal(gradient, wanted)
