"""The order of operations in a synthesis layer whose convolution gives zeros."""

import jax
import numpy as np
import pytest

from stylegan_jax.models import stylegan1, stylegan2_layers

SHAPE = (2, 4, 4, 3)
STRENGTH, BIAS = np.float32([0.5, -1.0, 2.0]), np.float32([0.3, -0.2, -0.9])
GAIN, CLAMP = 0.7, 0.8


def zeros_but(shapes, **values):
    """Variables that are zero, but for those whose path ends so."""

    def fill(path, x):
        names = [p.key for p in path]
        found = [v for name, v in values.items() if name.split("_") == names[1:]]
        return np.broadcast_to(np.float32(found[0] if found else 0), x.shape)

    filled = jax.tree_util.tree_map_with_path(fill, shapes)
    noise = np.random.RandomState(0).randn(1, 4, 4, 1).astype(np.float32)
    filled["noise"] = jax.tree.map(lambda x: noise, filled["noise"])
    return filled, noise


def lrelu(x):
    return np.where(x > 0, x, 0.2 * x)


@pytest.mark.parametrize("clamp", [None, CLAMP])
def test_stylegan2(clamp):
    """Noise, bias, activation with its gain and the layer's, clamp."""
    options = stylegan2_layers.LayerOptions(conv_clamp=clamp)
    layer = stylegan2_layers.SynthesisLayer(3, "same", options, GAIN)
    x, w = np.ones(SHAPE, np.float32), np.ones((2, 5), np.float32)
    shapes = jax.eval_shape(lambda: layer.init(jax.random.key(0), x, w, "const"))
    variables, noise = zeros_but(shapes, noise_strength=0.5, bias_bias=BIAS)
    y = jax.jit(layer.apply, static_argnums=3)(variables, x, w, "const")
    wanted = np.sqrt(2) * GAIN * lrelu(0.5 * noise + BIAS)
    if clamp is not None:
        assert np.abs(wanted).max() > clamp * GAIN
        wanted = np.clip(wanted, -clamp * GAIN, clamp * GAIN)
    np.testing.assert_allclose(y, np.broadcast_to(wanted, SHAPE), 1e-5, 1e-6)


@pytest.mark.parametrize("instance_norm", [False, True])
def test_stylegan1(instance_norm):
    """Noise, bias, activation, norm, style."""
    options = stylegan1.LayerOptions(instance_norm=instance_norm)
    layer = stylegan1.SynthesisLayer(3, "conv", options)
    x, w = np.ones(SHAPE, np.float32), np.ones((2, 5), np.float32)
    shapes = jax.eval_shape(lambda: layer.init(jax.random.key(0), x, w, "const"))
    affine = np.float32([1, -2, 0.5, 4, 5, 6])  # scales, then shifts
    variables, noise = zeros_but(
        shapes,
        noise_strength=STRENGTH,
        bias_bias=BIAS,
        style_affine_bias_bias=affine,
    )
    y = jax.jit(layer.apply, static_argnums=3)(variables, x, w, "const")
    wanted = lrelu(STRENGTH * noise + BIAS)
    if instance_norm:
        wanted = wanted - wanted.mean((1, 2), keepdims=True)
        wanted = wanted / np.sqrt(np.square(wanted).mean((1, 2), keepdims=True) + 1e-8)
    wanted = wanted * (affine[:3] + 1) + affine[3:]
    np.testing.assert_allclose(y, np.broadcast_to(wanted, SHAPE), 1e-4, 1e-5)


def test_to_rgb_is_not_demodulated_but_scaled_by_its_inputs():
    options = stylegan2_layers.LayerOptions()
    layer = stylegan2_layers.ToRGB(2, options)
    x = np.random.RandomState(0).randn(*SHAPE).astype(np.float32)
    w = np.random.RandomState(1).randn(2, 5).astype(np.float32)
    y, variables = jax.jit(layer.init_with_output)(jax.random.key(0), x, w)
    p = jax.tree.map(np.asarray, variables["params"])
    weight = p["affine"]["kernel"]["weight"] / np.sqrt(5)
    style = (w @ weight + 1) / np.sqrt(3)
    wanted = np.einsum("bhwi,bi,io->bhwo", x, style, p["weight"][0, 0])
    np.testing.assert_allclose(y, wanted, 1e-4, 1e-4)
