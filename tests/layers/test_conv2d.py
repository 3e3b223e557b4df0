"""The forms of the convolutions, and their gradients, against XLA's own."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.layers import conv2d, conv2d_cpu, conv2d_strided
from stylegan_jax.layers.conv2d import WIDE

DILATED = re.compile(r"window=\{[^}]*[lr]hs_dilate")
TOLERANCE = 1e-5  # of the rms: sums of up to 9 * WIDE products in another order


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def orders(f, x, kernel):
    """Value, gradient, and gradient of a function of the gradient."""
    y, pull_back = jax.vjp(f, x, kernel)
    first = pull_back(jnp.cos(jnp.arange(y.size).reshape(y.shape)))

    def of_gradients(x, kernel):
        y, pull_back = jax.vjp(f, x, kernel)
        by_x, by_kernel = pull_back(jnp.sin(y))
        return jnp.sum(by_x**2) + jnp.sum(jnp.cos(by_kernel))

    return y, *first, *jax.grad(of_gradients, (0, 1))(x, kernel)


def assert_same(f, reference, x, kernel, tolerance=TOLERANCE):
    for got, expected in zip(
        orders(f, x, kernel), orders(reference, x, kernel), strict=True
    ):
        rms = float(jnp.sqrt(jnp.mean(jnp.square(expected))))
        assert rms > 0
        np.testing.assert_allclose(got, expected, atol=tolerance * rms, rtol=tolerance)


@pytest.mark.parametrize("outputs", [5, WIDE])  # by matrix products, by convolution
@pytest.mark.parametrize(("size", "padding"), [(3, 1), (2, 1), (2, 0), (5, 2)])
def test_convolution(size, padding, outputs):
    x, kernel = normal(0, 2, 6, 5, 4), normal(1, size, size, 4, outputs)
    assert_same(
        functools.partial(conv2d.conv2d_padded, padding=padding),
        functools.partial(conv2d._plain_conv, padding=padding),
        x,
        kernel / size,
    )


def operations(f, *arguments):
    return jax.jit(f).lower(*arguments).compile().cost_analysis()["flops"]


@pytest.mark.parametrize("width", [8, 20])
@pytest.mark.parametrize(("size", "padding"), [(3, 1), (3, 0), (2, 1), (2, 0)])
@conv2d_cpu.allowed()
def test_convolution_in_fewer_multiplications(size, padding, width):
    columns = width + size - 1 - 2 * padding
    x, kernel = normal(0, 2, 6, columns, 64), normal(1, size, size, 64, 64) / size
    forms = [
        functools.partial(form, padding=padding)
        for form in (conv2d.conv2d_padded, conv2d._plain_conv)
    ]
    assert_same(*forms, x, kernel / 8, tolerance=1e-4)  # bits lost in each of three
    fewer, all_of_them = (operations(form, x, kernel) for form in forms)
    assert fewer < 0.95 * all_of_them  # XLA leaves out the products with padding


@pytest.mark.parametrize("width", [8, 12])
@pytest.mark.parametrize("name", ["shrink", "grow"])
@conv2d_cpu.allowed()
def test_strided_convolution_in_fewer_multiplications(name, width):
    size = (5, width) if name == "grow" else (11, 2 * width + 1)
    x, kernel = normal(0, 2, *size, 64), normal(1, 3, 3, 64, 32) / 3
    form = getattr(conv2d_strided, name)
    plain = getattr(conv2d_strided, f"_plain_{name}")
    assert_same(form, plain, x, kernel / 8, tolerance=1e-4)
    by_matmul = getattr(conv2d_strided, f"_{name}_by_matmul")
    assert operations(form, x, kernel) < 0.9 * operations(by_matmul, x, kernel)


@pytest.mark.parametrize("width", [8, 12])
@conv2d_cpu.allowed()
def test_kernel_gradients_in_fewer_multiplications(width):
    x, y = normal(0, 2, 6, width, 64), normal(1, 2, 6, width, 64)
    big = normal(0, 2, 13, 2 * width + 1, 64)
    sizes = {"size": 3, "padding": 1}
    fewer, all_of_them = (
        operations(functools.partial(form, **sizes), x, y)
        for form in (
            conv2d._kernel_gradient,
            conv2d._kernel_gradient_by_matmul,
        )
    )
    assert fewer < 0.9 * all_of_them
    fewer = operations(conv2d_strided._kernel_gradient, y, big)
    all_of_them = operations(conv2d_strided._kernel_gradient_by_matmul, y, big)
    assert fewer < 0.9 * all_of_them


@conv2d_cpu.allowed()
def test_where_there_are_fewer_multiplications():
    suits = conv2d_cpu.suits
    assert suits(8, 3, jnp.float32) and suits(12, 2, jnp.float32)
    assert not suits(8, 3, jnp.bfloat16)
    assert not suits(8, 5, jnp.float32)  # other kernels
    assert not suits(4, 3, jnp.float32)  # too narrow
    assert not suits(9, 2, jnp.float32)  # no whole tiles


@pytest.mark.parametrize("first", [True, False])
def test_fewer_multiplications_only_where_they_are_allowed(first):
    """Whichever is traced first, gradients too."""
    x, kernel = normal(0, 2, 6, 12, 64), normal(1, 3, 3, 64, 64)

    def gradients(x, kernel):
        y, pull_back = jax.vjp(lambda *xs: conv2d.conv2d(*xs), x, kernel)
        return y, *pull_back(y)

    counts = {}
    for allowed in (first, not first):
        f = conv2d_cpu.allowed()(gradients) if allowed else gradients
        counts[allowed] = operations(f, x, kernel)
    assert counts[True] < 0.9 * counts[False]


@pytest.mark.parametrize("outputs", [5, WIDE])
@pytest.mark.parametrize(
    ("name", "height", "width"), [("shrink", 9, 7), ("grow", 4, 3)]
)
def test_strided_convolution(name, height, width, outputs):
    assert_same(
        getattr(conv2d_strided, name),
        getattr(conv2d_strided, f"_plain_{name}"),
        normal(0, 2, height, width, 4),
        normal(1, 3, 3, 4, outputs) / 3,
    )


def test_the_forms_of_other_platforms_agree():
    """What GPU and TPU run, run here: the gradients by the kernel."""
    x, y = normal(0, 2, 6, 5, 4), normal(1, 2, 6, 5, 3)
    np.testing.assert_allclose(
        conv2d._plain_kernel_gradient(x, y, 3, 1),
        conv2d._kernel_gradient_by_matmul(x, y, 3, 1),
        rtol=1e-4,
        atol=1e-5,
    )
    small, big = normal(0, 2, 4, 3, 4), normal(1, 2, 9, 7, 3)
    np.testing.assert_allclose(
        conv2d_strided._plain_kernel_gradient(small, big),
        conv2d_strided._kernel_gradient_by_matmul(small, big),
        rtol=1e-4,
        atol=1e-5,
    )


def of_all_orders(f, *arguments):
    """Compiled: what `orders` makes, as HLO of this platform."""
    return jax.jit(functools.partial(orders, f)).lower(*arguments).compile().as_text()


@pytest.mark.parametrize(
    ("f", "height"),
    [
        (functools.partial(conv2d.conv2d_padded, padding=1), 7),
        (conv2d_strided.shrink, 9),
        (conv2d_strided.grow, 8),
    ],
)
@pytest.mark.parametrize("channels", [8, WIDE])
def test_no_dilated_convolution_on_a_cpu(f, height, channels):
    x, kernel = normal(0, 1, height, height, channels), normal(1, 3, 3, channels, 8)
    text = of_all_orders(f, x, jnp.tile(kernel, (1, 1, 1, channels // 8)))
    assert not DILATED.search(text)


def test_the_check_for_dilation_can_fail():
    text = of_all_orders(
        conv2d_strided._plain_shrink, normal(0, 1, 9, 9, 8), normal(1, 3, 3, 8, 8)
    )
    assert DILATED.search(text)
