"""Activations in bfloat16 at the highest resolutions, compared with float32."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.models import stylegan1
from stylegan_jax.models.interface import Channels
from stylegan_jax.models.stylegan2 import Discriminator, Generator, LayerOptions
from tests import tiny

UNIT_ROUNDOFF = 2.0**-9  # largest relative error of one bfloat16 rounding
# Roundings of a value in a layer: kernel, style, product, eight additions of the
# filter, demodulation, noise (two), bias, activation, gain.
ROUNDINGS = 16
SIZE, LOW = 32, 2  # the two highest resolutions, with two convolutions each
COMMON = {
    "resolution": SIZE,
    "channels": Channels(256, 16),
    "options": LayerOptions(conv_clamp=256.0),
}


def build_pair(cls, **kwargs):
    """Return a network in float32 and in bfloat16."""
    low = {"dtype": jnp.bfloat16, "low_precision_resolutions": LOW}
    return cls(**COMMON, **kwargs), cls(**COMMON, **kwargs, **low)


def bound(layers: int) -> float:
    """Return the expected rms error: independent errors add up as squares."""
    return UNIT_ROUNDOFF * np.sqrt(ROUNDINGS * layers)


def error(actual, desired) -> float:
    actual, desired = np.asarray(actual), np.asarray(desired)
    rms = lambda x: float(np.sqrt(np.mean(np.square(x))))  # noqa: E731
    return rms(actual - desired) / rms(desired)


def check_gradients(low, high, layers: int) -> None:
    """Check gradients, whose errors are larger because of sign changes at leaky ReLUs.

    With a relative error e, a share 0.3 e of the activations changes sign, which moves
    a gradient of rms 0.72 by 0.8.
    """
    jumps = np.sqrt(0.3 * bound(layers) * (0.8 / 0.72) ** 2 * layers)
    flat = lambda tree: np.concatenate(  # noqa: E731
        [np.ravel(x) for x in jax.tree.leaves(tree)]
    )
    assert 1e-4 < error(flat(low), flat(high)) < jumps / 2
    for (path, a), b in zip(
        jax.tree_util.tree_leaves_with_path(low), jax.tree.leaves(high), strict=True
    ):
        chex.assert_type(a, jnp.float32)
        if a.size > 1:  # a scalar may be the remainder of sums that cancel
            assert error(a, b) < jumps, jax.tree_util.keystr(path)


def test_generator():
    high, low = build_pair(Generator, z_dim=16, w_dim=16, mapping_layers=2)
    z = jax.random.normal(jax.random.key(1), (4, 16))
    variables = jax.jit(low.init)(jax.random.key(0), z)
    chex.assert_type(jax.tree.leaves(variables), jnp.float32)
    direction = jax.random.normal(jax.random.key(2), (4, SIZE, SIZE, 3))

    def results(model):
        def f(params):
            images = model.apply(variables | {"params": params}, z)
            return jnp.sum(images * direction), images

        (_, images), gradient = jax.value_and_grad(f, has_aux=True)(variables["params"])
        return images, gradient

    with tiny.quick_compilation():
        (a, by_a), (b, by_b) = (jax.jit(lambda m=m: results(m))() for m in (high, low))
    assert b.dtype == jnp.float32
    assert 1e-4 < error(b, a) < bound(2 * LOW)
    check_gradients(by_b, by_a, 2 * LOW)


@pytest.mark.slow
def test_discriminator():
    high, low = build_pair(Discriminator)
    images = jax.random.normal(jax.random.key(1), (8, SIZE, SIZE, 3))
    variables = jax.jit(low.init)(jax.random.key(0), images)
    chex.assert_type(jax.tree.leaves(variables), jnp.float32)

    def results(model):
        f = lambda v: (lambda s: (jnp.sum(s), s))(model.apply(v, images))  # noqa: E731
        (_, scores), gradient = jax.value_and_grad(f, has_aux=True)(variables)
        return scores, gradient

    with tiny.quick_compilation():
        (a, by_a), (b, by_b) = (jax.jit(lambda m=m: results(m))() for m in (high, low))
    assert b.dtype == jnp.float32
    assert 1e-5 < error(b, a) < bound(2 * LOW + 1)  # one more layer: from_rgb
    check_gradients(by_b, by_a, 2 * LOW + 1)


def test_low_precision_resolutions():
    """They are at least max(2^(log2(R) + 1 - N), 8), as in the official code."""
    for n, lowest in ((0, None), (1, 32), (2, 16), (3, 8), (4, 8), (9, 8)):
        model = Generator(
            resolution=SIZE, low_precision_resolutions=n, dtype=jnp.bfloat16
        )
        low = [r for r in (4, 8, 16, 32) if model.dtype_at(r) == jnp.bfloat16]
        assert low == [r for r in (8, 16, 32) if lowest and r >= lowest]


@pytest.mark.parametrize(("n", "lowest"), [(1, 32), (2, 16), (3, 8), (4, 4), (9, 4)])
def test_low_precision_resolutions_of_stylegan(n, lowest):
    """4x4 included; the dtypes of the layers' outputs, from the highest down."""
    shape = {"resolution": SIZE, "channels": Channels(64, 8)}
    low = {"dtype": jnp.bfloat16, "low_precision_resolutions": n}
    g = stylegan1.Generator(z_dim=8, w_dim=8, mapping_layers=1, **shape, **low)
    d = stylegan1.Discriminator(**shape, **low)
    resolutions = [r for r in (4, 8, 16, 32) if r >= lowest]
    z, images = jnp.zeros((4, 8)), jnp.zeros((4, SIZE, SIZE, 3))

    def shapes(network, x, prefix):
        kept = {"capture_intermediates": True, "mutable": ["intermediates"]}
        variables = jax.eval_shape(network.init, jax.random.key(0), x)
        apply = lambda v: network.apply(v, x, **kept)  # noqa: E731
        out, captured = jax.eval_shape(apply, variables)
        assert out.dtype == jnp.float32
        layers = captured["intermediates"]
        names = [name for name in layers if name.startswith(prefix)]
        return [layers[name]["__call__"][0] for name in names]

    outputs = shapes(g, z, "layers_")
    assert len(outputs) == 8
    found = {x.shape[1] for x in outputs if x.dtype == jnp.bfloat16}
    assert found == set(resolutions)
    # A block of the discriminator halves the size; the head is float32.
    outputs = shapes(d, images, "blocks_")
    assert len(outputs) == 3
    found = {2 * x.shape[1] for x in outputs if x.dtype == jnp.bfloat16}
    assert found == {r for r in resolutions if r > 4}


def test_stylegan_has_low_precision_everywhere_unless_told_otherwise():
    shape = {"resolution": SIZE, "dtype": jnp.bfloat16}
    for network in (stylegan1.Generator(**shape), stylegan1.Discriminator(**shape)):
        assert {network.dtype_at(r) for r in (4, 8, 16, 32)} == {jnp.bfloat16}


def test_zero_low_precision_resolutions_equal_float32_bit_for_bit():
    images = jax.random.normal(jax.random.key(1), (4, SIZE, SIZE, 3))
    high = Discriminator(**COMMON)
    none = Discriminator(**COMMON, dtype=jnp.bfloat16, low_precision_resolutions=0)
    variables = jax.jit(high.init)(jax.random.key(0), images)
    scores = [jax.jit(m.apply)(variables, images) for m in (high, none)]
    chex.assert_trees_all_equal(*scores)
