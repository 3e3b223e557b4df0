"""FIR resampling: the official calls."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.layers import upfirdn2d
from tests import goldens
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
        name = case["fn"]
        if name == "filter2d":  # no function of ours
            name, kwargs["factor"] = "downsample2d", 1
        f = functools.partial(
            getattr(upfirdn2d, name), taps=calls.taps(case["f"]), **kwargs
        )
        functions[case["id"]] = f, {"x": calls.inputs("x")}
    calls.check(functions, TOLERANCE)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_results_keep_the_dtype(dtype):
    taps = upfirdn2d.setup_filter((1, 3, 3, 1))

    def both(x):
        return upfirdn2d.upsample2d(x, taps), upfirdn2d.downsample2d(x, taps)

    for y in jax.eval_shape(both, jnp.ones((1, 4, 4, 2), dtype)):
        assert y.dtype == dtype
