"""Programs compiled for absent TPUs and GPUs, and the figures taken from them."""

import functools
import json
import subprocess
import sys
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
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
from stylegan_jax.layers.filtered_lrelu import filtered_lrelu
from stylegan_jax.layers.matmul import EXACT, Arithmetic
from stylegan_jax.models import Channels
from stylegan_jax.models.stylegan2 import LayerOptions
from stylegan_jax.models.stylegan3 import FourierInput
from stylegan_jax.models.stylegan3_geometry import Options, table
from stylegan_jax.runtime import parallel
from stylegan_jax.training import schedule
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
    return ahead_of_time.analyze(text, DEVICES[kind])["kinds"]


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
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_kernel_gradients_of_full_convolutions(kind, dtype):
    """Those of StyleGAN3, whose results are larger than their inputs."""

    def gradient(x, y):
        return conv2d._kernel_gradient(x, y, 3, 2, EXACT, jnp.float32)

    kinds = kinds_of(kind, gradient, (8, 36, 36, 64), (8, 38, 38, 128), dtype=dtype)
    expected = {"h100": "cuDNN BackwardFilter", "v5e": "kernel gradient"}
    assert convolutions(kinds) == {expected[kind]}


@pytest.mark.aot
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_fourier_features_compile(kind, dtype):
    """As a convolution: XLA for GPUs cannot compile the product in whole programs."""
    geometry = table(Options(), 256, Channels(16384), 3)
    module = FourierInput(geometry.first)
    channels = geometry.first.channels
    variables = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((8, 512)))
    leaves, tree = jax.tree.flatten(variables)

    def scaled(w, style, *leaves):
        features = module.apply(jax.tree.unflatten(tree, leaves), w)
        return features.astype(dtype) * style[:, None, None].astype(dtype)

    shapes = [(8, 512), (8, channels), *(x.shape for x in leaves)]
    found = convolutions(kinds_of(kind, scaled, *shapes, dtype=jnp.float32))
    assert len(found) == 1
    if kind == "h100":
        assert all(name.startswith("cuDNN") for name in found)


@pytest.mark.aot
@pytest.mark.parametrize(("up", "share"), [(2, 0.55), (4, 0.45)])
def test_fused_columns_move_fewer_bytes(up, share):
    """StyleGAN3's activation with its gradient, relative to the form for CPUs."""
    try:
        ahead_of_time.topology("h100", 1)
    except ImportError as error:
        pytest.skip(str(error))
    taps = [upfirdn2d.setup_filter(np.hanning(n + 2)[1:-1]) for n in (6 * up, 12)]

    def moved(arithmetic):
        layer = functools.partial(
            filtered_lrelu,
            bias=None,
            up_taps=taps[0],
            down_taps=taps[1],
            up=up,
            down=2,
            padding=((5 * up + 1, 5 * up),) * 2,
            arithmetic=arithmetic,
        )
        x = (8, 84, 84, 128)
        y = jax.eval_shape(layer, jax.ShapeDtypeStruct(x, jnp.bfloat16)).shape

        def value_and_gradient(x, y):
            value, pull_back = jax.vjp(layer, x)
            return value, pull_back(y)

        kinds = kinds_of("h100", value_and_gradient, x, y)
        return sum(kind["bytes"] for kind in kinds.values())

    assert moved(Arithmetic(fused_columns=True)) < share * moved(EXACT)


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


def test_augmentation_is_traced():
    """Only the images have a gradient, as in the generator's phase."""
    loss, arguments = ahead_of_time_block._augmentation(16, 2, "bgc")
    value, gradient = jax.eval_shape(jax.value_and_grad(loss), *arguments)
    assert value.shape == () and gradient.shape == (2, 16, 16, 3)


def test_augmentation_without_transforms_of_images():
    with pytest.raises(ValueError, match=r"augment \(='color'\) must be a policy of"):
        ahead_of_time_block._augmentation(16, 2, "color")


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


# Alone, a convolution of 64 channels that keeps the resolution gains little: in blocks,
# it has 1.8 times the operations. What surrounds it in a network gains more.
AT_MOST = {"same": 0.8, "up": 0.5, "down": 0.5}


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
    assert ours < plain * AT_MOST[name]


def convolutions(kinds):
    return {
        name
        for name in kinds
        if name.startswith(("cuDNN", "convolution", "kernel gradient"))
    }


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
    assert (found.get("instruction_seconds", 0) > 0) == (kind == "h100")
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
