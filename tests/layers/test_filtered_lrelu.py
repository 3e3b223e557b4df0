"""StyleGAN3's activation: the official calls, and what its gradient keeps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.layers.filtered_lrelu import filtered_lrelu
from stylegan_jax.layers.matmul import EXACT, Arithmetic
from stylegan_jax.layers.upfirdn2d import IDENTITY
from tests import goldens
from tests.layers import official

TOLERANCE = 1e-5  # of the rms
SLOW = pytest.mark.slow
FORMS = pytest.mark.parametrize("form", [None, "pixel_blocks", "fused_columns"])


def _arithmetic(form):
    return Arithmetic(**{form: True}) if form else EXACT


@pytest.mark.parametrize(
    ("form", "count"),
    [
        (None, 41),
        ("pixel_blocks", 41),
        # Calls whose filters are both vectors and upsample and downsample.
        ("fused_columns", 3),
        pytest.param("fused_columns", 9, marks=SLOW),
    ],
)
def test_official_calls(form, count):
    calls = official.Calls("F7_filtered_lrelu")
    assert len(calls.cases) == 41
    arithmetic = _arithmetic(form)
    functions = {}
    for case in calls.cases:
        taps = {
            name: IDENTITY if case[key] == "none" else calls.taps(case[key])
            for name, key in (("up_taps", "fu"), ("down_taps", "fd"))
        }
        factors = case["up"], case["down"]
        filters = zip(taps.values(), factors, strict=True)
        has_form = all(f.ndim == 1 and len(f) >= n > 1 for f, n in filters)
        if form == "fused_columns" and not has_form:
            continue  # the same program as without this form
        call = functools.partial(
            filtered_lrelu,
            **taps,
            **{name: case[name] for name in ("up", "down", "gain", "slope", "clamp")},
            padding=official.padding(case["padding"]),
            flip=case["flip_filter"],
            arithmetic=arithmetic,
        )
        inputs = {"x": calls.inputs("x")}
        if case["b"]:
            inputs["b"] = calls.arrays["in/b"]
        functions[case["id"]] = (
            lambda x, b=None, call=call: call(x, b),
            inputs,
        )
    assert len(functions) in (9, 41)
    functions = dict([*functions.items()][:count])
    assert len(functions) == count
    calls.check(functions, TOLERANCE)


@pytest.mark.parametrize("factors", [(3, 2), (2, 3), pytest.param((4, 3), marks=SLOW)])
def test_fused_columns_of_other_factors(factors):
    """Odd sizes, a crop at the top, and filters as long as the factor needs."""
    up, down = factors
    draw = np.random.default_rng(0).standard_normal
    taps = draw(up + 1).astype(np.float32), draw(down).astype(np.float32)
    x = jax.random.normal(jax.random.key(0), (2, 7, 10, 3))

    def run(arithmetic):
        layer = functools.partial(
            filtered_lrelu,
            bias=None,
            up_taps=taps[0],
            down_taps=taps[1],
            up=up,
            down=down,
            padding=((-1, 3), (2, 2)),
            clamp=1.0,
            arithmetic=arithmetic,
        )
        y, pull_back = jax.vjp(layer, x)
        return y, pull_back(jnp.cos(jnp.arange(y.size)).reshape(y.shape))[0]

    fused = jax.jit(run, static_argnums=0)(Arithmetic(fused_columns=True))
    for found, wanted in zip(fused, run(EXACT), strict=True):
        goldens.assert_close(found, wanted, TOLERANCE)


def test_short_filters_are_not_fused():
    """Some pixels of the finer grid would not depend on any input."""
    x = jax.random.normal(jax.random.key(0), (1, 5, 6, 2))
    run = functools.partial(filtered_lrelu, x, None, IDENTITY, np.ones(3), 2, 2)
    fused = run(arithmetic=Arithmetic(fused_columns=True))
    np.testing.assert_array_equal(fused, run())


def _layer(x, form=None):
    """An activation with upsampling by 2; without a form, its filter is that of R."""
    taps = np.hanning(14)[1:-1] / 6.5
    down = taps if form else np.outer(taps, taps)
    padding = ((11, 10), (11, 10))
    arithmetic = _arithmetic(form)
    return filtered_lrelu(
        x, None, taps, down, 2, 2, padding, clamp=1.0, arithmetic=arithmetic
    )


def test_the_gradient_passes_up_to_the_clamp():
    x = jnp.asarray([-6.0, -5.0, -1.0, 0.5, 1.0, 1.5]).reshape(1, 1, 6, 1)
    y, pull_back = jax.vjp(lambda x: filtered_lrelu(x, None, gain=1, clamp=1), x)
    np.testing.assert_allclose(y.ravel(), [-1, -1, -0.2, 0.5, 1, 1])
    slopes = pull_back(jnp.ones_like(y))[0].ravel()
    np.testing.assert_allclose(slopes, [0, 0.2, 0.2, 1, 1, 0])


@pytest.mark.parametrize("form", [None, pytest.param("fused_columns", marks=SLOW)])
def test_the_gradient_has_a_gradient(form):
    """Compare it with differences of the first one, which are exact between kinks."""
    x, u, v = jax.random.normal(jax.random.key(0), (3, 1, 6, 8, 2))
    layer = functools.partial(_layer, form=form)
    first = jax.grad(lambda x: jnp.vdot(jnp.sin(layer(x)), layer(u)))
    along = lambda x: jnp.vdot(first(x), v)  # noqa: E731
    step = 1e-3
    difference = (along(x + step * u) - along(x - step * u)) / (2 * step)
    found = jnp.vdot(jax.grad(along)(x), u)
    np.testing.assert_allclose(found, difference, 0.02)


@FORMS
def test_the_gradient_keeps_two_bits_per_pixel(form):
    """The finer grid is 22x26, and 2x2 pixels or four rows share a byte."""
    shapes = {
        None: [(2, 11, 13, 3)],
        "pixel_blocks": [(2, 6, 26, 3)],
        "fused_columns": 4 * [(2, 11, 4, 3)],  # every fourth byte of each row
    }
    x = jnp.ones((2, 6, 8, 3))
    _, pull_back = jax.vjp(lambda x: _layer(x, form), x)
    kept = jax.tree.leaves(pull_back)
    assert [k.shape for k in kept] == shapes[form]
    assert all(k.dtype == jnp.uint8 for k in kept)


def test_no_zeros_are_inserted():
    """XLA is slow at convolutions with dilated inputs, and at those with strides."""
    x = jnp.ones((1, 6, 8, 3))
    program = jax.jit(lambda x, y: jax.vjp(_layer, x)[1](y)).lower(x, _layer(x))
    assert "convolution" not in program.as_text()


@FORMS
def test_activations_of_bfloat16(form):
    x = jax.random.normal(jax.random.key(0), (1, 6, 8, 3))

    @jax.jit
    def run(x):
        y, pull_back = jax.vjp(functools.partial(_layer, form=form), x)
        return y, pull_back(y)[0]

    exact, _ = run(x)
    y, gradient = run(x.astype(jnp.bfloat16))
    assert y.dtype == gradient.dtype == jnp.bfloat16
    np.testing.assert_allclose(y.astype(jnp.float32), exact, atol=0.01)
