"""All forms of the convolutions and their gradients against XLA's own."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.layers import conv2d, conv2d_cpu, conv2d_strided, conv2d_winograd
from stylegan_jax.layers.conv2d_cpu import WIDE
from stylegan_jax.layers.matmul import EXACT, Arithmetic

WINOGRAD = Arithmetic(winograd=True)
DILATED = re.compile(r"window=\{[^}]*[lr]hs_dilate")
TOLERANCE = 1e-5  # of the rms: sums of up to 9 * WIDE products in another order


def normal(seed, *shape):
    return np.random.RandomState(seed).normal(size=shape).astype(np.float32)


def orders(f, x, kernel):
    """Return the value, the gradient, and a gradient of the gradient."""
    y, pull_back = jax.vjp(f, x, kernel)
    first = pull_back(jnp.cos(jnp.arange(y.size).reshape(y.shape)))

    def of_gradients(x, kernel):
        y, pull_back = jax.vjp(f, x, kernel)
        by_x, by_kernel = pull_back(jnp.sin(y))
        return jnp.sum(by_x**2) + jnp.sum(jnp.cos(by_kernel))

    return y, *first, *jax.grad(of_gradients, (0, 1))(x, kernel)


def assert_same(f, reference, x, kernel, tolerance=TOLERANCE):
    @jax.jit
    def both(x, kernel):
        return orders(f, x, kernel), orders(reference, x, kernel)

    for got, expected in zip(*both(x, kernel), strict=True):
        rms = float(np.sqrt(np.mean(np.square(expected))))
        assert rms > 0
        np.testing.assert_allclose(got, expected, atol=tolerance * rms, rtol=tolerance)


@pytest.mark.parametrize("outputs", [5, WIDE])  # a matrix product, a convolution
@pytest.mark.parametrize(("size", "padding"), [(3, 1), (2, 1), (2, 0), (5, 2)])
def test_convolution(size, padding, outputs):
    x, kernel = normal(0, 2, 6, 5, 4), normal(1, size, size, 4, outputs)
    assert_same(
        lambda x, kernel: conv2d.conv2d_padded(x, kernel, padding, EXACT),
        functools.partial(conv2d._plain_conv, padding=padding),
        x,
        kernel / size,
    )


def operations(f, *arguments):
    return jax.jit(f).lower(*arguments).cost_analysis()["flops"]


@pytest.mark.parametrize("width", [8, 20])
@pytest.mark.parametrize(("size", "padding"), [(3, 1), (3, 0), (2, 1), (2, 0)])
def test_convolution_by_winograd(size, padding, width):
    columns = width + size - 1 - 2 * padding
    x, kernel = normal(0, 2, 6, columns, 64), normal(1, size, size, 64, 64) / size
    forms = [
        lambda x, kernel: conv2d.conv2d_padded(x, kernel, padding, WINOGRAD),
        functools.partial(conv2d._plain_conv, padding=padding),
    ]
    assert_same(*forms, x, kernel / 8, tolerance=1e-4)  # bits lost in each of three
    fewer, all_of_them = (operations(form, x, kernel) for form in forms)
    assert fewer < 0.95 * all_of_them  # XLA leaves out the products with padding


def strided(name, arithmetic=EXACT):
    function = getattr(conv2d_strided, name)
    static = (arithmetic, jnp.float32) if name == "_kernel_gradient" else (arithmetic,)
    return lambda x, kernel: function(x, kernel, *static)


@pytest.mark.parametrize("width", [8, 12])
@pytest.mark.parametrize("name", ["shrink", "grow"])
def test_strided_convolution_by_winograd(name, width):
    size = (5, width) if name == "grow" else (11, 2 * width + 1)
    x, kernel = normal(0, 2, *size, 64), normal(1, 3, 3, 64, 32) / 3
    form = strided(name, WINOGRAD)
    plain = getattr(conv2d_strided, f"_plain_{name}")
    assert_same(form, plain, x, kernel / 8, tolerance=1e-4)
    by_matmul = getattr(conv2d_cpu, f"_{name}_by_matmul")
    assert operations(form, x, kernel) < 0.9 * operations(by_matmul, x, kernel)


@pytest.mark.parametrize("width", [8, 12])
def test_kernel_gradients_by_winograd(width):
    x, y = normal(0, 2, 6, width, 64), normal(1, 2, 6, width, 64)
    big = normal(0, 2, 13, 2 * width + 1, 64)
    by_matmul = functools.partial(
        conv2d_cpu._kernel_gradient_by_matmul, size=3, padding=1
    )
    static = 3, 1, WINOGRAD, jnp.float32
    fewer = operations(lambda *a: conv2d._kernel_gradient(*a, *static), x, y)
    assert fewer < 0.9 * operations(by_matmul, x, y)
    fewer = operations(strided("_kernel_gradient", WINOGRAD), y, big)
    all_of_them = operations(conv2d_cpu._strided_gradient_by_matmul, y, big)
    assert fewer < 0.9 * all_of_them


def test_suits_winograd():
    suits = conv2d_winograd.suits
    assert suits(8, 3, jnp.float32) and suits(12, 2, jnp.float32)
    assert not suits(8, 3, jnp.bfloat16)
    assert not suits(8, 5, jnp.float32)  # other kernels
    assert not suits(4, 3, jnp.float32)  # too narrow
    assert not suits(9, 2, jnp.float32)  # no whole tiles


def test_winograd_only_where_it_is_allowed():
    """The forward pass and the gradients."""
    x, kernel = normal(0, 2, 6, 12, 64), normal(1, 3, 3, 64, 64)

    def count(*arithmetic):
        def gradients(x, kernel):
            convolve = lambda *xs: conv2d.conv2d(*xs, *arithmetic)  # noqa: E731
            y, pull_back = jax.vjp(convolve, x, kernel)
            return y, *pull_back(y)

        return operations(gradients, x, kernel)

    assert count(WINOGRAD) < 0.9 * count(EXACT)
    assert count(EXACT) == count()


def test_arithmetic_is_part_of_the_key_of_a_jitted_function():
    """One jitted function, traced in one way, is not reused for the other."""
    x, kernel = normal(0, 2, 6, 12, 64), normal(1, 3, 3, 64, 64)
    jitted = jax.jit(conv2d.conv2d, static_argnums=2)

    def count(arithmetic):
        outer = jax.jit(lambda x, kernel: jitted(x, kernel, arithmetic))
        return operations(outer, x, kernel)

    first = [count(arithmetic) for arithmetic in (EXACT, WINOGRAD)]
    again = [count(Arithmetic(winograd=w)) for w in (False, True)]
    assert first == again and first[1] < 0.9 * first[0]


@pytest.mark.parametrize("outputs", [5, WIDE])
@pytest.mark.parametrize(
    ("name", "height", "width"), [("shrink", 9, 7), ("grow", 4, 3)]
)
def test_strided_convolution(name, height, width, outputs):
    assert_same(
        strided(name),
        getattr(conv2d_strided, f"_plain_{name}"),
        normal(0, 2, height, width, 4),
        normal(1, 3, 3, 4, outputs) / 3,
    )


def test_kernel_gradients_of_other_platforms_agree():
    """Run XLA's forms, which GPUs and TPUs use, on this CPU."""

    @jax.jit
    def kernel_gradients(x, y, larger, largest, small, big):
        return (
            [
                conv2d_cpu._kernel_gradient_by_matmul(x, y, 3, 1),
                conv2d._plain_kernel_gradient(x, y, 3, 1),
                conv2d._float32_kernel_gradient(x, y, 3, 1),
            ],
            [
                conv2d_cpu._kernel_gradient_by_matmul(x, larger, 2, 1),
                conv2d._plain_kernel_gradient(x, larger, 2, 1),
                conv2d._float32_kernel_gradient(x, larger, 2, 1),
            ],
            [
                conv2d_cpu._kernel_gradient_by_matmul(x, largest, 3, 2),
                conv2d._plain_kernel_gradient(x, largest, 3, 2),
                conv2d._float32_kernel_gradient(x, largest, 3, 2),
            ],
            [
                conv2d_cpu._strided_gradient_by_matmul(small, big),
                conv2d_strided._plain_kernel_gradient(small, big),
                conv2d_strided._float32_kernel_gradient(small, big),
            ],
        )

    results = kernel_gradients(
        normal(0, 2, 6, 5, 4),
        normal(1, 2, 6, 5, 3),
        normal(2, 2, 7, 6, 3),
        normal(3, 2, 8, 7, 3),
        normal(0, 2, 4, 3, 4),
        normal(1, 2, 9, 7, 3),
    )
    for by_matmul, *forms in results:
        for form in forms:
            np.testing.assert_allclose(form, by_matmul, rtol=1e-4, atol=1e-5)


def low_precision_kernel_gradients():
    """Return functions (x, y) of the gradients of float32 kernels, in bfloat16."""

    def of(f, *shape):
        return lambda x, y: jax.vjp(lambda k: f(x, k), jnp.zeros(shape))[1](y)[0]

    return {
        "conv": (of(conv2d.conv2d, 3, 3, 1, 1), (40, 40), (40, 40)),
        "larger": (
            of(lambda x, k: conv2d.conv2d_padded(x, k, 1, EXACT), 2, 2, 1, 1),
            *((40, 40), (41, 41)),
        ),
        "shrink": (of(strided("shrink"), 3, 3, 1, 1), (41, 41), (20, 20)),
        "grow": (of(strided("grow"), 3, 3, 1, 1), (20, 20), (41, 41)),
        "product": (of(conv2d.conv2d, 1, 1, 1, 1), (40, 40), (40, 40)),
    }


@pytest.mark.parametrize("name", low_precision_kernel_gradients())
def test_kernel_gradients_of_low_precision_are_float32_on_tpus(name):
    """Nothing rounds them, so devices sum them in float32."""
    f, *sizes = low_precision_kernel_gradients()[name]
    images = [jax.ShapeDtypeStruct((2, *size, 1), jnp.bfloat16) for size in sizes]
    traced = jax.jit(f).trace(*images)
    text = traced.lower(lowering_platforms=("tpu",)).as_text()
    products = re.findall(r"stablehlo\.(?:convolution|dot_general).*", text)
    assert len(products) == 1 and products[0].endswith("xf32>")
    assert "(tensor<" in products[0] and products[0].count("bf16") == 2
    assert not re.search(r"f32> to|convert.*f32>\) -> tensor<[x\d]*bf16>", text)


def test_gradients_of_mixed_products():
    """Compare gradients of both orders with those in float32."""
    x, kernel = normal(0, 2, 4, 4, 8), normal(1, 1, 1, 8, 4)
    low = lambda x, k: conv2d.conv2d(x.astype(jnp.bfloat16), k).astype(x.dtype)  # noqa: E731
    assert_same(low, conv2d.conv2d, x, kernel / 3, tolerance=0.05)


def transpose_of_grow(small, big):
    kernel = jax.ShapeDtypeStruct((3, 3, small.shape[-1], big.shape[-1]), small.dtype)
    grow = functools.partial(conv2d_strided._plain_grow, small)
    return jax.linear_transpose(grow, kernel)(big)[0]


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(jnp.float32, 1e-5), (jnp.bfloat16, 2**-7)]
)
def test_strided_kernel_gradient_is_the_transpose_of_grow(dtype, tolerance):
    """Compare values and gradients; bfloat16 has eight bits."""
    small, big = (
        normal(0, 2, 4, 3, 5).astype(dtype),
        normal(1, 2, 9, 7, 6).astype(dtype),
    )
    y, pull_back = jax.vjp(conv2d_strided._plain_kernel_gradient, small, big)
    expected, expected_pull_back = jax.vjp(transpose_of_grow, small, big)
    pairs = [(y, expected)]
    pairs += zip(pull_back(jnp.cos(y)), expected_pull_back(jnp.cos(y)), strict=True)
    for got, wanted in pairs:
        assert got.dtype == dtype and got.shape == wanted.shape
        wanted = wanted.astype(jnp.float32)
        rms = float(jnp.sqrt(jnp.mean(jnp.square(wanted))))
        np.testing.assert_allclose(
            got.astype(jnp.float32), wanted, atol=tolerance * rms, rtol=tolerance
        )


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_strided_kernel_gradient_reverses_nothing_on_accelerators(platform):
    """A reversed filter is not recognized as a kernel gradient (test_ahead_of_time).

    A window dilated by two is the gradient of a stride of two.
    """
    shapes = (2, 4, 3, 5), (2, 9, 7, 6)

    def lowered(f):
        arguments = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)
        traced = jax.jit(f).trace(*arguments)
        return traced.lower(lowering_platforms=(platform,)).as_text()

    text = lowered(strided("_kernel_gradient"))
    assert "stablehlo.reverse" not in text
    assert "rhs_dilate = [2, 2]" in text and "lhs_dilate = [2, 2]" not in text
    assert "stablehlo.reverse" in lowered(transpose_of_grow)


def of_all_orders(f, *arguments):
    """Return the compiled HLO of `orders` on this platform."""
    return jax.jit(functools.partial(orders, f)).lower(*arguments).compile().as_text()


@pytest.mark.parametrize(
    ("f", "height"),
    [
        (lambda x, kernel: conv2d.conv2d_padded(x, kernel, 1, EXACT), 7),
        (strided("shrink"), 9),
        (strided("grow"), 8),
    ],
)
@pytest.mark.parametrize("channels", [8, WIDE])
def test_no_dilated_convolution_on_a_cpu(f, height, channels):
    x, kernel = normal(0, 1, height, height, channels), normal(1, 3, 3, channels, 8)
    text = of_all_orders(f, x, np.tile(kernel, (1, 1, 1, channels // 8)))
    assert not DILATED.search(text)


def test_the_check_for_dilation_can_fail():
    text = of_all_orders(
        conv2d_strided._plain_shrink, normal(0, 1, 9, 9, 8), normal(1, 3, 3, 8, 8)
    )
    assert DILATED.search(text)
