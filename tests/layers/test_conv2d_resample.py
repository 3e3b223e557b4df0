"""Convolutions that resample: the official calls, and the fast forms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.layers import conv2d_resample, upfirdn2d
from tests import goldens, tiny
from tests.layers import official

TOLERANCE = 1e-5  # of the rms; the official float32 itself is off by up to 2e-7


def test_conv2d_resample():
    calls = official.Calls("C_conv2d_resample")
    assert len(calls.cases) == 54
    functions, fast = {}, set()
    for case in calls.cases:
        taps = calls.taps(case["f"])
        f = functools.partial(
            conv2d_resample.conv2d_resample,
            taps=np.flip(taps) if case["flip_filter"] else taps,
            up=case["up"],
            down=case["down"],
            padding=official.padding(case["padding"]),
            flip_kernel=not case["flip_weight"],  # officially True: correlate
            groups=2 if case["w"].endswith("g2") else 1,
        )
        x, kernel = calls.inputs("x"), calls.kernel(case["w"])
        functions[case["id"]] = lambda x, w, f=f: f(x, w), {"x": x, "w": kernel}
        fast.add((case["up"], case["down"], kernel.shape[0]))
    assert {(2, 1, 1), (2, 1, 3), (1, 2, 1), (1, 2, 3), (2, 2, 3)} <= fast
    calls.check(functions, TOLERANCE)


# Taps, and sizes of the smaller image.
FILTERS = {
    (1, 2): (4, 4),
    (1, 2, 5): (1, 3),
    (1, 4, 2, 1): (2, 6),
    (1, 2, -3, 5, 4, 2): (5, 4),
    ((1, 2, 3, 1), (0, 4, 1, 2), (2, 1, 1, 1)): (4, 2),
}


@pytest.mark.parametrize("taps", FILTERS, ids=str)
def test_fast_forms_equal_the_plain_one(taps):
    """Compare the value, the gradient, and the gradient of its square (as in R1)."""
    h, w = FILTERS[taps]
    taps = upfirdn2d.setup_filter(taps)

    def plain(x, kernel, **factor):
        pad = kernel.shape[0] // 2
        return conv2d_resample.conv2d_resample(
            x,
            kernel,
            taps,
            padding=((pad, pad),) * 2,
            flip_kernel="up" in factor,
            **factor,
        )

    pairs = {
        "up": (functools.partial(conv2d_resample.up_conv2d, taps=taps), {"up": 2}),
        "down": (
            functools.partial(conv2d_resample.down_conv2d, taps=taps),
            {"down": 2},
        ),
    }

    def orders(f, x, kernel):
        """Everything that training asks for, of a function that is not linear."""
        y, pull_back = jax.vjp(f, x, kernel)
        by_x = jax.grad(lambda x, kernel: jnp.sum(jnp.sin(f(x, kernel))))
        penalty = lambda x, kernel: jnp.sum(jnp.square(by_x(x, kernel)))  # noqa: E731
        cotangent = jnp.sin(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape)
        return y, pull_back(cotangent), jax.grad(penalty, (0, 1))(x, kernel)

    @jax.jit
    def both(arguments):
        return {
            (name, k): (
                orders(pairs[name][0], x, kernel),
                orders(functools.partial(plain, **pairs[name][1]), x, kernel),
            )
            for (name, k), (x, kernel) in arguments.items()
        }

    random = np.random.RandomState(0)
    normal = lambda *shape: random.normal(size=shape).astype(np.float32)  # noqa: E731
    sizes = {"up": (h, w), "down": (2 * h, 2 * w)}
    arguments = {
        (name, k): (normal(2, *size, 3), normal(k, k, 3, 4))
        for name, size in sizes.items()
        for k in (1, 3)
    }
    with tiny.quick_compilation():
        results = both(arguments)
    for (name, k), (fast, wanted) in results.items():
        size = (2 * h, 2 * w) if name == "up" else (h, w)
        assert fast[0].shape == (2, *size, 4)
        for ours, theirs in zip(
            jax.tree.leaves(fast), jax.tree.leaves(wanted), strict=True
        ):
            goldens.assert_close(ours, theirs, TOLERANCE, f"{name} {k}x{k}")


def test_no_dilation_or_stride_in_any_order():
    """XLA's CPU convolutions are slow with dilation or stride."""
    taps = upfirdn2d.setup_filter((1, 3, 3, 1))

    def penalty(kernel, x):
        def y(x):
            x = conv2d_resample.up_conv2d(x, kernel, taps)
            return conv2d_resample.down_conv2d(x, kernel, taps)

        return jnp.sum(jax.grad(lambda x: jnp.sum(jnp.tanh(y(x))))(x) ** 2)

    x, kernel = jnp.zeros((2, 4, 4, 3)), jnp.zeros((3, 3, 3, 3))
    text = jax.jit(jax.grad(penalty)).lower(kernel, x).as_text()
    assert "dot_general" in text
    assert "convolution" not in text


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_results_keep_the_dtype(dtype):
    taps = upfirdn2d.setup_filter((1, 3, 3, 1))

    def all_forms(x, kernel):
        return (
            conv2d_resample.up_conv2d(x, kernel, taps),
            conv2d_resample.down_conv2d(x, kernel, taps),
            conv2d_resample.conv2d_resample(x, kernel, taps, up=2),
        )

    x, kernel = jnp.ones((1, 4, 4, 2), dtype), jnp.ones((3, 3, 2, 2))
    for y in jax.eval_shape(all_forms, x, kernel):
        assert y.dtype == dtype
