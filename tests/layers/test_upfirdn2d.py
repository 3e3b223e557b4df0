"""FIR resampling: the official calls, and the fast forms against the plain one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.layers import upfirdn2d
from tests import goldens, tiny
from tests.layers import official

TOLERANCE = 1e-5  # of the rms; the official float32 itself is off by up to 2e-7


def test_setup_filter():
    """The official code makes an outer product of short filters; ours stay [k]."""
    calls = official.Calls("C_setup_filter")
    assert len(calls.cases) == 16
    for case in calls.cases:
        kwargs = {
            {"flip_filter": "flip"}.get(k, k): v
            for k, v in case["kwargs"].items()
            if k != "separable"
        }
        taps = 1 if case["taps"] is None else case["taps"]  # no filter: the identity
        f = upfirdn2d.setup_filter(taps, **kwargs)
        wanted = calls.arrays[f"out/{case['id']}"]
        assert f.dtype == np.float32
        if wanted.ndim > f.ndim:
            f = np.outer(f, f)
        goldens.assert_close(f, wanted, TOLERANCE, str(case))


@pytest.mark.parametrize("taps", [[], [[[1.0]]]])
def test_setup_filter_refuses(taps):
    with pytest.raises(ValueError, match="it must be"):
        upfirdn2d.setup_filter(taps)


def test_upfirdn2d():
    calls = official.Calls("C_upfirdn2d")
    assert len(calls.cases) == 70
    functions = {}
    for case in calls.cases:
        f = functools.partial(
            upfirdn2d.upfirdn2d,
            taps=calls.taps(case["f"]),
            up=official.height_width(case["up"]),
            down=official.height_width(case["down"]),
            padding=official.padding(case["padding"]),
            flip=case["flip_filter"],
            gain=case["gain"],
        )
        functions[case["id"]] = f, {"x": calls.inputs("x")}
    calls.check(functions, TOLERANCE)


def test_upfirdn2d_refuses_to_leave_no_pixels():
    with pytest.raises(ValueError, match="leaves no pixels"):
        upfirdn2d.upfirdn2d(jnp.zeros((1, 4, 4, 1)), np.ones(6))


def test_resample_wrappers():
    calls = official.Calls("C_resample_wrappers")
    assert len(calls.cases) == 54
    functions = {}
    for case in calls.cases:
        kwargs = dict(case["kw"])
        for ours, theirs in (("factor", "up"), ("factor", "down")):
            if theirs in kwargs:
                kwargs[ours] = official.height_width(kwargs.pop(theirs))
        if "padding" in kwargs:
            kwargs["padding"] = official.padding(kwargs["padding"])
        if "flip_filter" in kwargs:
            kwargs["flip"] = kwargs.pop("flip_filter")
        f = functools.partial(
            getattr(upfirdn2d, case["fn"]), taps=calls.taps(case["f"]), **kwargs
        )
        functions[case["id"]] = f, {"x": calls.inputs("x")}
    calls.check(functions, TOLERANCE)


def test_conv2d_resample():
    calls = official.Calls("C_conv2d_resample")
    assert len(calls.cases) == 54
    functions, fast = {}, set()
    for case in calls.cases:
        taps = calls.taps(case["f"])
        f = functools.partial(
            upfirdn2d.conv2d_resample,
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
        return upfirdn2d.conv2d_resample(
            x,
            kernel,
            taps,
            padding=((pad, pad),) * 2,
            flip_kernel="up" in factor,
            **factor,
        )

    pairs = {
        "up": (functools.partial(upfirdn2d.up_conv2d, taps=taps), {"up": 2}),
        "down": (functools.partial(upfirdn2d.down_conv2d, taps=taps), {"down": 2}),
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
            x = upfirdn2d.up_conv2d(x, kernel, taps)
            return upfirdn2d.down_conv2d(x, kernel, taps)

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
            upfirdn2d.upsample2d(x, taps),
            upfirdn2d.downsample2d(x, taps),
            upfirdn2d.up_conv2d(x, kernel, taps),
            upfirdn2d.down_conv2d(x, kernel, taps),
            upfirdn2d.conv2d_resample(x, kernel, taps, up=2),
        )

    x, kernel = jnp.ones((1, 4, 4, 2), dtype), jnp.ones((3, 3, 2, 2))
    for y in jax.eval_shape(all_forms, x, kernel):
        assert y.dtype == dtype
