"""Every primitive of the official networks, with its vector-Jacobian products."""

import jax
import numpy as np
import pytest

from stylegan_jax.layers import activations, conv2d, linear, normalization, resample
from stylegan_jax.layers.minibatch_stddev import minibatch_stddev
from stylegan_jax.layers.noise import NoiseInjection
from tests import goldens

FORWARD, GRADIENT = 1e-5, 1e-5  # of the rms; the noise floor is 1e-6


@pytest.fixture(scope="module")
def ops():
    return goldens.arrays("stylegan1/ops.npz")


def _kernel(w, gain=linear.GAIN_LRELU):
    return w * (gain / np.sqrt(np.prod(w.shape[:-1])))


def _param(*path):
    def wrap(w):
        for name in reversed(path):
            w = {name: w}
        return w

    return wrap


def _dense(v, w, b):
    params = {"kernel": {"weight": w}, "bias": {"bias": b}}
    return linear.Dense(w.shape[1], lr_multiplier=0.01).apply({"params": params}, v)


def _style(x, w, weight, bias):
    affine = {"kernel": {"weight": weight}, "bias": {"bias": bias}}
    return normalization.StyleModulation().apply({"params": {"affine": affine}}, x, w)


def value_and_gradients(f, *inputs, cotangent=None):
    """Return f(*inputs) and its vector-Jacobian products, None without a cotangent."""

    @jax.jit
    def run(cotangent, *inputs):
        y, pull_back = jax.vjp(f, *inputs)
        return y, None if cotangent is None else pull_back(cotangent)

    return run(cotangent, *inputs)


# op -> (function of the 4D input and the official variables, their names, cotangent)
IMAGE_OPS = {
    "blur2d": (lambda x: resample.blur2d(x, (1, 2, 1)), "same"),
    "upscale2d": (resample.upscale2d, "up"),
    "downscale2d": (resample.downscale2d, "down"),
    "leaky_relu": (activations.leaky_relu, "same"),
    "pixel_norm_4d": (normalization.pixel_norm, "same"),
    "instance_norm": (normalization.instance_norm, "same"),
}


@pytest.mark.parametrize("op", IMAGE_OPS)
def test_image_op(ops, op):
    f, cotangent = IMAGE_OPS[op]
    x = goldens.nhwc(ops["in/x"])
    stored = f"grad/{op}/x" in ops
    dy = goldens.nhwc(ops[f"in/dy_{cotangent}"]) if stored else None
    y, gradients = value_and_gradients(f, x, cotangent=dy)
    goldens.assert_close(y, goldens.nhwc(ops[f"out/{op}"]), FORWARD, op)
    if stored:
        (dx,) = gradients
        goldens.assert_close(dx, goldens.nhwc(ops[f"grad/{op}/x"]), GRADIENT, op)


def test_scaling_by_four(ops):
    x = goldens.nhwc(ops["in/x"])
    up = resample.upscale2d(resample.upscale2d(x))
    np.testing.assert_array_equal(up, goldens.nhwc(ops["out/upscale2d_x4"]))
    down = resample.downscale2d(resample.downscale2d(x))
    goldens.assert_close(down, goldens.nhwc(ops["out/downscale2d_x4"]), FORWARD)


CONV_OPS = {  # official op -> (ours, cotangent, gain)
    "upscale2d_conv2d_fusedFalse": (resample.upscale_conv2d, "up_co", np.sqrt(2)),
    "upscale2d_conv2d_fusedTrue": (
        lambda x, w: resample.upscale_conv2d(x, w[::-1, ::-1]),
        "up_co",
        np.sqrt(2),
    ),
    "conv2d_downscale2d_fusedFalse": (
        resample.conv_downscale2d,
        "down_co",
        np.sqrt(2),
    ),
    "conv2d_downscale2d_fusedTrue": (
        resample.conv_downscale2d,
        "down_co",
        np.sqrt(2),
    ),
    "conv2d_3x3": (conv2d.conv2d, None, np.sqrt(2)),
    "conv2d_1x1_gain1": (conv2d.conv2d, None, 1.0),
}


@pytest.mark.parametrize("op", CONV_OPS)
def test_convolution(ops, op):
    f, cotangent, gain = CONV_OPS[op]
    x, w = goldens.nhwc(ops["in/x"]), ops[f"vars/{op}/weight"]
    dy = goldens.nhwc(ops[f"in/dy_{cotangent}"]) if cotangent else None
    y, gradients = value_and_gradients(
        lambda x, w: f(x, _kernel(w, gain)), x, w, cotangent=dy
    )
    goldens.assert_close(y, goldens.nhwc(ops[f"out/{op}"]), FORWARD, op)
    if cotangent is None:  # the file holds no gradients for it
        return
    dx, dw = gradients
    goldens.assert_close(dx, goldens.nhwc(ops[f"grad/{op}/x"]), GRADIENT, op)
    goldens.assert_close(dw, ops[f"grad/{op}/weight"], GRADIENT, op)


def test_dense_with_lr_multiplier(ops):
    name = "dense_lrmul0.01_bias"
    w, b = ops[f"vars/{name}/weight"], ops[f"vars/{name}/bias"]
    y, gradients = value_and_gradients(
        _dense, ops["in/v"], w, b, cotangent=ops[f"in/dy_{name}"]
    )
    goldens.assert_close(y, ops[f"out/{name}"], FORWARD)
    wanted = [ops[f"grad/{name}/{k}"] for k in ("x", "weight", "bias")]
    for got, want in zip(gradients, wanted, strict=True):
        goldens.assert_close(got, want, GRADIENT)


def test_dense_after_flattening(ops):
    """The official order is C,H,W; interop permutes the rows for our H,W,C."""
    stored = ops["vars/dense_flatten_nchw/weight"]
    rows = stored.reshape(6, 8, 8, 4).transpose(1, 2, 0, 3).reshape(stored.shape)
    params = {"kernel": {"weight": rows}, "bias": {"bias": np.zeros(4, np.float32)}}
    x = goldens.nhwc(ops["in/x"]).reshape(2, -1)
    y = linear.Dense(4).apply({"params": params}, x)
    goldens.assert_close(y, ops["out/dense_flatten_nchw"], FORWARD)


def test_pixel_norm_of_vectors(ops):
    y = normalization.pixel_norm(ops["in/v"])
    goldens.assert_close(y, ops["out/pixel_norm_2d"], FORWARD)


def test_style_modulation(ops):
    w, b = (ops[f"vars/style_mod/StyleMod/{k}"] for k in ("weight", "bias"))
    x, dlatent = goldens.nhwc(ops["in/x"]), ops["in/dlatent"]
    y, (dx, dlatent, dw, db) = value_and_gradients(
        _style, x, dlatent, w, b, cotangent=goldens.nhwc(ops["in/dy_same"])
    )
    goldens.assert_close(y, goldens.nhwc(ops["out/style_mod"]), FORWARD)
    goldens.assert_close(dx, goldens.nhwc(ops["grad/style_mod/x"]), GRADIENT)
    for got, name in ((dw, "StyleMod/weight"), (db, "StyleMod/bias")):
        goldens.assert_close(got, ops[f"grad/style_mod/{name}"], GRADIENT, name)


def test_noise(ops):
    params = {"strength": ops["vars/apply_noise/Noise/weight"]}
    variables = {
        "params": params,
        "noise": {"const": goldens.nhwc(ops["in/noise"])},
    }
    y = NoiseInjection().apply(variables, goldens.nhwc(ops["in/x"]), "const")
    goldens.assert_close(y, goldens.nhwc(ops["out/apply_noise"]), FORWARD)


@pytest.mark.parametrize("group, features", [(4, 1), (4, 2), (2, 3), (16, 1)])
def test_minibatch_stddev(ops, group, features):
    name = f"mbstd_g{group}_f{features}" + "_batch8" * (group == 16)
    x = goldens.nhwc(ops["in/x_mbstd8"])
    stored = f"grad/{name}/x" in ops
    y, gradients = value_and_gradients(
        lambda x: minibatch_stddev(x, group, features),
        x,
        cotangent=goldens.nhwc(ops[f"in/dy_{name}"]) if stored else None,
    )
    goldens.assert_close(y, goldens.nhwc(ops[f"out/{name}"]), FORWARD, name)
    if stored:
        (dx,) = gradients
        goldens.assert_close(dx, goldens.nhwc(ops[f"grad/{name}/x"]), GRADIENT, name)
