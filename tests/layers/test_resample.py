"""The fused forms against the plain ones, in every order of gradient."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from stylegan_jax.layers import resample
from tests import goldens


@pytest.mark.parametrize("f", [resample.upscale_conv2d, resample.conv_downscale2d])
@pytest.mark.parametrize(
    "shape", [(1, 2, 6, 5), pytest.param((1, 2, 16, 3), marks=pytest.mark.slow)]
)
def test_fused_equals_plain(f, shape):
    random = np.random.RandomState(0)
    normal = lambda *shape: random.normal(size=shape).astype(np.float32)  # noqa: E731
    x, w = normal(*shape), normal(3, 3, shape[-1], 4)
    dy = normal(*jax.eval_shape(f, x, w).shape)

    def orders(x, w, plain):
        y, pull_back = jax.vjp(lambda x, w: f(x, w, plain), x, w)
        penalty = lambda w: jnp.sum(  # noqa: E731
            jax.grad(lambda x: jnp.sum(jnp.sin(f(x, w, plain))))(x) ** 2
        )
        return y, pull_back(dy), jax.grad(penalty)(w)

    both = jax.jit(lambda x, w: (orders(x, w, False), orders(x, w, True)))
    for fused, wanted in zip(*map(jax.tree.leaves, both(x, w)), strict=True):
        goldens.assert_close(fused, wanted, 2e-5)  # sums in another order


def test_no_dilation_or_stride_in_any_order():
    """XLA's CPU convolutions are slow with dilation or stride."""

    def penalty(w, x):
        y = lambda x: resample.conv_downscale2d(resample.upscale_conv2d(x, w), w)  # noqa: E731
        return jnp.sum(jax.grad(lambda x: jnp.sum(jnp.tanh(y(x))))(x) ** 2)

    x, w = jnp.zeros((2, 4, 4, 3)), jnp.zeros((3, 3, 3, 3))
    text = jax.jit(jax.grad(penalty)).lower(w, x).as_text()
    assert "dot_general" in text
    assert "convolution" not in text


class BlurTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.parameters((1, 2, 1), (1, 3, 3, 1), (1,), (1, 4, 6, 4, 1))
    def test_against_numpy(self, *taps):
        x = np.random.RandomState(0).randn(2, 5, 7, 3).astype(np.float32)
        weights = np.asarray(taps) / sum(taps)
        before = (len(taps) - 1) // 2
        pad = (before, len(taps) - 1 - before)
        padded = np.pad(x, ((0, 0), pad, pad, (0, 0)))
        wanted = sum(
            a * b * padded[:, i : i + 5, j : j + 7]
            for i, a in enumerate(weights)
            for j, b in enumerate(weights)
        )
        blur2d = self.variant(resample.blur2d, static_argnums=1)
        np.testing.assert_allclose(blur2d(x, taps), wanted, atol=1e-6)
        np.testing.assert_array_equal(blur2d(x, ()), x)
