"""Convolutions of images in blocks of pixels against those of plain images."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.layers import blocks, conv2d, conv2d_resample, upfirdn2d
from stylegan_jax.layers.linear import spread
from tests import goldens, tiny

TOLERANCE = 1e-5  # of the rms
FILTERS = [(1, 3, 3, 1), (1, 2, 5, 1), (1, 2, 1), (1, 2)]


def normal(*shape, seed=0):
    return np.random.RandomState(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("channels", [3, blocks.FEW + 1])
@pytest.mark.parametrize("shifted", [False, True])
def test_join_inverts_split(shifted, channels):
    """With few channels both multiply by matrices, which is exact."""
    x = normal(2, 6, 4, channels)
    split = blocks.split(jnp.asarray(x), shifted)
    assert split.shape == x.shape and len(split) == 2
    assert split.values.shape == (2, 3 + shifted, 2 + shifted, 4 * channels)
    pixels = split.values[:, 1, 1].reshape(2, 2, 2, channels)
    first = 2 - shifted
    window = slice(first, first + 2)
    np.testing.assert_array_equal(pixels, x[:, window, window])
    np.testing.assert_array_equal(blocks.join(split), x)
    np.testing.assert_array_equal(split.cleared(), split.values)
    np.testing.assert_array_equal(blocks.join(jnp.asarray(x)), x)


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("shape", [(3,), (2, 1, 1, 3), (1, 6, 4, 1), (2, 6, 4, 1)])
def test_values_of_channels_and_of_pixels(shape, shifted):
    x, values = jnp.asarray(normal(2, 6, 4, 3)), jnp.asarray(normal(*shape, seed=1))
    y = blocks.split(x, shifted)
    same = y.spread_pixels(values) if shape[-1] == 1 else spread(values, y)
    got = blocks.join(y * same + same)
    np.testing.assert_allclose(got, x * values + values, rtol=1e-6)


def test_pixels_outside_of_the_image_have_no_effect():
    """A bias or an activation may leave any values there."""
    x = blocks.split(jnp.asarray(normal(1, 4, 4, 2)), shifted=True)
    outside = blocks.split(jnp.ones(x.shape), shifted=True).values == 0
    dirty = blocks.Blocks(jnp.where(outside, 1e30, x.values), shifted=True)
    kernel, taps = jnp.asarray(normal(3, 3, 2, 2)), upfirdn2d.setup_filter((1, 2))

    def f(x):
        by_filter = blocks.down_conv2d(x, kernel[:1, :1], taps)
        return jnp.sum(blocks.conv2d(x, kernel).values) + jnp.sum(by_filter)

    value, gradient = jax.value_and_grad(f)(dirty)
    wanted, wanted_gradient = jax.value_and_grad(f)(x)
    assert value == wanted
    np.testing.assert_array_equal(gradient.values, wanted_gradient.values)
    np.testing.assert_array_equal(gradient.values[outside], 0)


def convolutions(taps):
    """Return pairs of convolutions (x, kernel) -> y, and the size of their kernel."""
    pairs = {}
    for shifted in (False, True):
        split = functools.partial(blocks.split, shifted=shifted)
        for size in (1, 3):
            pairs[f"same, {size}, {shifted}"] = (
                lambda x, k, split=split: blocks.join(blocks.conv2d(split(x), k)),
                conv2d.conv2d,
                size,
            )
        size = 1 if shifted else 3
        for in_blocks in (False, True):
            pairs[f"down, {size}, {in_blocks}"] = (
                lambda x, k, split=split, in_blocks=in_blocks: blocks.join(
                    blocks.down_conv2d(split(x), k, taps, in_blocks=in_blocks)
                ),
                functools.partial(conv2d_resample.down_conv2d, taps=taps),
                size,
            )
    for name, split in {
        "up": lambda x: x,
        "up, True": functools.partial(blocks.split, shifted=True),
    }.items():
        pairs[name] = (
            lambda x, k, split=split: blocks.join(blocks.up_conv2d(split(x), k, taps)),
            functools.partial(conv2d_resample.up_conv2d, taps=taps),
            3,
        )
    return pairs


def of_first_order(f, x, kernel):
    y, pull_back = jax.vjp(f, x, kernel)
    return y, pull_back(jnp.sin(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))


def of_second_order(f, x, kernel):
    """The gradient of the square of a gradient, as in R1."""
    by_x = jax.grad(lambda x, kernel: jnp.sum(jnp.sin(f(x, kernel))))
    penalty = lambda x, kernel: jnp.sum(jnp.square(by_x(x, kernel)))  # noqa: E731
    return jax.grad(penalty, (0, 1))(x, kernel)


@pytest.mark.parametrize(
    ("taps", "compared"),
    [(taps, of_first_order) for taps in FILTERS[:3]] + [(FILTERS[1], of_second_order)],
)
def test_convolutions_equal_those_of_plain_images(taps, compared):
    pairs = convolutions(upfirdn2d.setup_filter(taps))
    if taps != FILTERS[1]:  # without those that do not depend on it
        pairs = {k: v for k, v in pairs.items() if not k.startswith("same")}
    assert blocks.suits(upfirdn2d.setup_filter(taps))

    @jax.jit
    def both(x, kernels):
        return {
            name: [compared(f, x, kernels[size]) for f in pair]
            for name, (*pair, size) in pairs.items()
        }

    kernels = {size: normal(size, size, 3, 5, seed=size) for size in (1, 3)}
    with tiny.quick_compilation():
        results = both(normal(2, 4, 8, 3), kernels)
    for name, (ours, wanted) in results.items():
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(wanted), strict=True):
            goldens.assert_close(a, b, TOLERANCE, name)


@pytest.mark.parametrize("taps", [(1, 2, 3, 4, 5), ((1, 2), (3, 4))], ids=str)
def test_filters_that_do_not_fit(taps):
    assert not blocks.suits(upfirdn2d.setup_filter(taps))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_dtypes(dtype):
    """Activations keep theirs; gradients of kernels are float32 as the kernels are."""
    taps = upfirdn2d.setup_filter((1, 3, 3, 1))
    x, kernel = jnp.zeros((1, 4, 4, 2), dtype), jnp.zeros((3, 3, 2, 2))
    for name, (f, _, size) in convolutions(taps).items():
        orders = functools.partial(of_first_order, f)
        y, gradients = jax.eval_shape(orders, x, kernel[:size, :size])
        assert y.dtype == dtype, name
        assert [g.dtype for g in gradients] == [dtype, jnp.float32], name
