"""Programs compiled for absent TPUs and GPUs."""

import functools
import json
import subprocess
import sys
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AbstractMesh, AxisType, SingleDeviceSharding

from benchmarks import ahead_of_time, ahead_of_time_block
from benchmarks.ahead_of_time import DEVICES
from stylegan_jax.layers import (
    blocks,
    conv2d,
    conv2d_resample,
    conv2d_strided,
    upfirdn2d,
)
from stylegan_jax.layers.matmul import Arithmetic
from stylegan_jax.models.stylegan2 import LayerOptions
from stylegan_jax.runtime import parallel
from stylegan_jax.training import schedule
from tests.test_hlo import convolutions
from tests.test_lowering import small

ROOT = Path(__file__).resolve().parent.parent


def test_unknown_device():
    with pytest.raises(ValueError, match="'v6x'.* must be one of v5e, h100"):
        ahead_of_time.topology("v6x", 1)


def test_too_many_devices():
    with pytest.raises(ValueError, match=r"devices \(=512\) must be at most 256"):
        ahead_of_time.topology("v5e", 512)


@pytest.mark.parametrize("kind", DEVICES)
def test_missing_compiler(kind, monkeypatch):
    def fail(*args, **kwargs):
        raise NotImplementedError("topology not implemented for cuda")

    monkeypatch.setattr(ahead_of_time.topologies, "get_topology_desc", fail)
    with pytest.raises(ImportError, match=f"{DEVICES[kind].package} .*`make aot`"):
        ahead_of_time.topology(kind, 1)


@pytest.fixture(params=DEVICES)
def kind(request):
    """Return a kind of device whose compiler is installed."""
    try:
        ahead_of_time.topology(request.param, 1)
    except ImportError as error:
        pytest.skip(str(error))
    return request.param


def kinds_of(kind, f, *shapes, dtype=jnp.bfloat16):
    """Compile a function of arrays for one device; return its kinds of operation."""
    (device,) = ahead_of_time.topology(kind, 1)
    arguments = [
        jax.ShapeDtypeStruct(shape, dtype, sharding=SingleDeviceSharding(device))
        for shape in shapes
    ]
    text = jax.jit(f).lower(*arguments).compile().as_text()
    return ahead_of_time.take_stock(text, DEVICES[kind])["kinds"]


KERNEL_GRADIENTS = {
    "strided": (
        conv2d_strided._plain_kernel_gradient,
        (8, 16, 16, 128),
        (8, 33, 33, 64),
    ),
    "stride one": (
        functools.partial(conv2d._plain_kernel_gradient, size=3, padding=1),
        (8, 16, 16, 64),
        (8, 16, 16, 128),
    ),
}


@pytest.mark.aot
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", KERNEL_GRADIENTS)
def test_kernel_gradients(kind, name, dtype):
    """Check that they need no filter as large as the image, no reversal, no zeros."""
    kinds = kinds_of(kind, *KERNEL_GRADIENTS[name], dtype=dtype)
    expected = {
        "h100": "cuDNN BackwardFilter",
        "v5e": "kernel gradient" + (", rhs_dilate" if name == "strided" else ""),
    }
    assert convolutions(kinds) == {expected[kind]}
    assert "reverse" not in kinds


@pytest.mark.aot
def test_the_checks_of_kernel_gradients_can_fail(kind):
    """Compile the form that `_plain_kernel_gradient` avoids."""

    def transpose_of_grow(small, big):
        shape = (3, 3, small.shape[-1], big.shape[-1])
        kernel = jax.ShapeDtypeStruct(shape, small.dtype)
        grow = functools.partial(conv2d_strided._plain_grow, small)
        return jax.linear_transpose(grow, kernel)(big)

    kinds = kinds_of(kind, transpose_of_grow, *KERNEL_GRADIENTS["strided"][1:])
    expected = {
        "h100": "cuDNN Forward, image-sized filter",
        "v5e": "kernel gradient, rhs_dilate, rhs_reversal",
    }
    assert convolutions(kinds) == {expected[kind]}


@pytest.mark.parametrize("build", ["_generator", "_discriminator"])
def test_blocks_are_traced(build):
    """Trace what `ahead_of_time_block` compiles, with narrow images on both sides."""
    options = LayerOptions(arithmetic=Arithmetic(pixel_blocks=True))
    loss, arguments = getattr(ahead_of_time_block, build)(
        16, 2, jnp.dtype("bfloat16"), options, [4, 8], False, "none"
    )
    gradients = jax.value_and_grad(loss, argnums=tuple(range(len(arguments))))
    value, gradients = jax.eval_shape(gradients, *arguments)
    assert value.shape == ()
    chex.assert_trees_all_equal_shapes_and_dtypes(gradients, arguments)


def estimated_seconds(f, *shapes):
    kinds = kinds_of("v5e", f, *shapes)
    return sum(kind["seconds"] for kind in kinds.values())


TAPS = upfirdn2d.setup_filter((1, 3, 3, 1))
KERNEL = (3, 3, 64, 64)
FORMS_FOR_TPUS = {  # function and shape of x, for TPUs and in general
    "same": (
        (lambda x, k: blocks.conv2d(blocks.Blocks(x, True), k), (8, 65, 65, 256)),
        (conv2d.conv2d, (8, 128, 128, 64)),
    ),
    "up": (
        (lambda x, k: blocks.up_conv2d(x, k, TAPS), (8, 64, 64, 64)),
        (lambda x, k: conv2d_resample.up_conv2d(x, k, TAPS), (8, 64, 64, 64)),
    ),
    "down": (
        (
            lambda x, k: blocks.down_conv2d(blocks.Blocks(x), k, TAPS),
            (8, 64, 64, 256),
        ),
        (lambda x, k: conv2d_resample.down_conv2d(x, k, TAPS), (8, 128, 128, 64)),
    ),
}


@pytest.mark.aot
@pytest.mark.parametrize("name", FORMS_FOR_TPUS)
def test_narrow_convolutions_in_blocks_are_faster(name):
    try:
        ahead_of_time.topology("v5e", 1)
    except ImportError as error:
        pytest.skip(str(error))
    ours, plain = (
        estimated_seconds(f, shape, KERNEL) for f, shape in FORMS_FOR_TPUS[name]
    )
    print(f"{name}: {1e6 * ours:.0f} us, plain {1e6 * plain:.0f} us")
    assert ours < plain / 2


@pytest.mark.aot
@pytest.mark.parametrize("phase", ["d_main", "d_r1", "g_path"])
def test_phases_of_a_small_network(kind, phase):
    """Check the forms of all convolutions, of gradients of gradients too."""
    e = small("stylegan2", "bfloat16")
    (stage,) = schedule.build_stages(e)
    figures = ahead_of_time.measure(e, stage, kind, 2, [phase], None)
    found = figures["phases"][phase]
    forms = convolutions(found["kinds"])
    if kind == "h100":
        assert all(name.startswith("cuDNN") for name in forms), forms
        assert "cuDNN BackwardFilter" in forms
        assert "cuDNN Forward, image-sized filter" not in forms
    else:
        gradients = {name for name in forms if "kernel gradient" in name}
        assert gradients, forms
        for name in gradients:
            assert "lhs_dilate" not in name and "rhs_reversal" not in name
    assert found["kinds"]["all-reduce"]["count"] >= 1
    assert found["seconds"] > 0
    assert 0 < found["memory"] < 2**30


def run(*arguments):
    """Run the program for a small StyleGAN2."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.ahead_of_time"),
            "--config=benchmarks/settings.py:S",
            *("--config.data.resolution=8", "--config.model.channel_base=256"),
            *("--config.training.batch_size=8", *arguments),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.aot
def test_the_program(kind, tmp_path):
    done = run(
        f"--device={kind}",
        "--phases=d_main",
        f"--json={tmp_path}/figures.json",
        f"--hlo={tmp_path}/hlo",
    )
    assert done.returncode == 0, done.stderr
    assert "d_main: count" in done.stdout
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["phases"]["d_main"]["seconds"] > 0
    text = (tmp_path / f"hlo/{kind}_d_main.hlo").read_text()
    assert text.startswith("HloModule jit_update")


def test_bad_input():
    done = run("--device=h100", "--resolution=64")
    assert done.returncode != 0
    output = " ".join((done.stdout + done.stderr).split())
    assert "must be a stage of the config" in output
    assert "Traceback" not in done.stderr


def test_unknown_phase_and_odd_batch(monkeypatch):
    e = small("stylegan2")  # of 16 images
    (stage,) = schedule.build_stages(e)

    def measure(count, phases):
        mesh = AbstractMesh((count,), ("data",), (AxisType.Auto,))
        monkeypatch.setattr(ahead_of_time, "topology", lambda *_: None)
        monkeypatch.setattr(parallel, "grid", lambda *_: parallel.Parallel(mesh))
        ahead_of_time.measure(e, stage, "h100", count, phases, None)

    with pytest.raises(ValueError, match=r"phases \(=\['d_man'\]\) must be of"):
        measure(1, ["d_man"])
    with pytest.raises(ValueError, match="divisible by the 3 devices"):
        measure(3, [])
