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

from benchmarks import ahead_of_time, ahead_of_time_block, hlo
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

GPU = """\
HloModule jit_update, is_scheduled=true

%fused_transpose (param_0: bf16[8,65,65,4]) -> bf16[4,65,65,8] {
  %param_0 = bf16[8,65,65,4]{3,2,1,0} parameter(0)
  ROOT %transpose.4 = bf16[4,65,65,8]{3,2,1,0} transpose(%param_0), dimensions={3,1,2,0}
}

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %sum.1 = f32[] add(%a, %b)
}

%body (carry: (s32[], f32[8,16])) -> (s32[], f32[8,16]) {
  %carry = (s32[], f32[8,16]{1,0}) parameter(0)
  %y = f32[8,16]{1,0} get-tuple-element(%carry), index=1
  %w = f32[16,16]{1,0} constant({...})
  %product = (f32[8,16]{1,0}, s8[256]{0}) custom-call(%y, %w), custom_call_target="__cublas$gemm", backend_config={"gemm_backend_config":{"dot_dimension_numbers":{"lhs_contracting_dimensions":["1"],"rhs_contracting_dimensions":["0"]},"precision_config":{"operand_precision":["HIGHEST","HIGHEST"]}}}
  ROOT %next = (s32[], f32[8,16]{1,0}) tuple(%i, %product)
}

ENTRY %main (big: bf16[8,65,65,4], small: bf16[8,32,32,6]) -> bf16[4,3,3,6] {
  %big = bf16[8,65,65,4]{3,2,1,0} parameter(0)
  %small = bf16[8,32,32,6]{3,2,1,0} parameter(1)
  %kernel = bf16[6,3,3,4]{3,2,1,0} parameter(2)
  %loop_transpose_fusion = bf16[4,65,65,8]{3,2,1,0} fusion(%big), kind=kLoop, calls=%fused_transpose
  %wide = (bf16[4,3,3,6]{3,2,1,0}, u8[0]{0}) custom-call(%loop_transpose_fusion, %small), window={size=32x32 rhs_dilate=2x2 rhs_reversal=1x1}, dim_labels=b01f_o01i->b01f, custom_call_target="__cudnn$convForward", metadata={op_name="jit(update)/conv" stack_frame_id=5}
  %down = (bf16[8,32,32,6]{3,2,1,0}, u8[0]{0}) custom-call(%big, %kernel), window={size=3x3 stride=2x2}, dim_labels=b01f_o01i->b01f, custom_call_target="__cudnn$convForward"
  %up = (bf16[8,65,65,4]{3,2,1,0}, u8[0]{0}) custom-call(%small, %kernel), window={size=3x3 stride=2x2}, dim_labels=b01f_o01i->b01f, custom_call_target="__cudnn$convBackwardInput"
  %filter = (bf16[6,3,3,4]{3,2,1,0}, u8[0]{0}) custom-call(%big, %small), window={size=3x3 stride=2x2}, dim_labels=b01f_o01i->b01f, custom_call_target="__cudnn$convBackwardFilter"
  %loop = (s32[], f32[8,16]{1,0}) while(%init), condition=%cond, body=%body, backend_config={"known_trip_count":{"n":"5"}}
  %total = f32[]{:T(128)} reduce(%x, %zero), dimensions={0}, to_apply=%add
  %all-reduce-start = f32[16,16]{1,0} all-reduce-start(%g), replica_groups={{0,1}}, to_apply=%add
  %all-reduce-done = f32[16,16]{1,0} all-reduce-done(%all-reduce-start)
  ROOT %result = bf16[4,3,3,6]{3,2,1,0} get-tuple-element(%wide), index=0
}
"""  # noqa: E501

TPU = """\
HloModule jit_update, is_scheduled=true

%fused_computation (param_0: bf16[8,65,65,128], param_1: bf16[8,32,32,256]) -> bf16[3,3,256,128] {
  %param_0 = bf16[8,65,65,128]{3,0,2,1:T(8,128)(2,1)S(1)} parameter(0)
  %param_1 = bf16[8,32,32,256]{3,0,2,1:T(8,128)(2,1)} parameter(1)
  ROOT %gradient = bf16[3,3,256,128]{3,2,1,0:T(8,128)(2,1)} convolution(%param_0, %param_1), window={size=32x32 rhs_dilate=2x2}, dim_labels=f01b_i01o->01fb
}

ENTRY %main (big: bf16[8,65,65,128], small: bf16[8,32,32,256]) -> bf16[8,65,65,128] {
  %big = bf16[8,65,65,128]{3,0,2,1:T(8,128)(2,1)} parameter(0)
  %small = bf16[8,32,32,256]{3,0,2,1:T(8,128)(2,1)} parameter(1)
  %kernel = bf16[3,3,256,128]{3,2,1,0:T(8,128)(2,1)} parameter(2)
  %copy-start = (bf16[8,65,65,128]{3,0,2,1:T(8,128)(2,1)S(1)}, bf16[8,65,65,128]{3,0,2,1:T(8,128)(2,1)}, u32[]{:S(2)}) copy-start(%big)
  %copy-done = bf16[8,65,65,128]{3,0,2,1:T(8,128)(2,1)S(1)} copy-done(%copy-start)
  %fusion = bf16[3,3,256,128]{3,2,1,0:T(8,128)(2,1)} fusion(%copy-done, %small), kind=kOutput, calls=%fused_computation, backend_config={"window_config":{"estimated_cycles":"45000","iteration_bounds":["2"]}}
  %noise = u32[1024]{0:T(1024)} custom-call(%seed), custom_call_target="SomeCall"
  ROOT %grow = bf16[8,65,65,128]{3,0,2,1:T(8,128)(2,1)} convolution(%small, %kernel), window={size=3x3 pad=2_2x2_2 lhs_dilate=2x2 rhs_reversal=1x1}, dim_labels=b01f_01io->b01f, backend_config={"window_config":{"estimated_cycles":"165000"}}
}
"""  # noqa: E501
LOOP = """\
HloModule jit_warp, is_scheduled=true

%fused_gather (image: f32[64,3], places: s32[128,1]) -> f32[128,3] {
  %image = f32[64,3]{0,1:T(4,128)S(1)} parameter(0)
  %places = s32[128,1]{1,0:T(8,128)S(1)} parameter(1)
  ROOT %found = f32[128,3]{0,1:T(4,128)S(1)} gather(%image, %places), offset_dims={1}
}

%body (carry: (s32[], f32[64,3])) -> (s32[], f32[64,3]) {
  %carry = (s32[]{:T(128)}, f32[64,3]{0,1:T(4,128)}) parameter(0)
  %x = f32[64,3]{0,1:T(4,128)S(1)} get-tuple-element(%carry), index=1
  %at = s32[128,1]{1,0:T(8,128)S(1)} constant({...})
  %gather_fusion = f32[128,3]{0,1:T(4,128)S(1)} fusion(%x, %at), kind=kCustom, calls=%fused_gather
  ROOT %next = (s32[]{:T(128)}, f32[64,3]{0,1:T(4,128)}) tuple(%i, %x)
}

%cond (carry: (s32[], f32[64,3])) -> pred[] {
  %constant.4 = s32[]{:T(128)} constant(4), metadata={op_name="jit(warp)/while"}
  %carry = (s32[]{:T(128)}, f32[64,3]{0,1:T(4,128)}) parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%carry), index=0
  ROOT %lt.1 = pred[]{:T(512)} compare(%i, %constant.4), direction=LT
}

ENTRY %main (start: f32[64,3]) -> (s32[], f32[64,3]) {
  %start = f32[64,3]{0,1:T(4,128)} parameter(0)
  ROOT %loop = (s32[]{:T(128)}, f32[64,3]{0,1:T(4,128)}) while(%start), condition=%cond, body=%body
}
"""  # noqa: E501
# Of the strided convolution: a pixel of the small image has 9 taps, 4 and 6 channels.
OPERATIONS = 2 * 8 * 32 * 32 * 9 * 4 * 6


def test_gpu_program_by_kind():
    found = ahead_of_time.analyze(GPU, DEVICES["h100"])
    kinds = found["kinds"]
    assert {name: kind["count"] for name, kind in kinds.items()} == {
        "transpose": 1,
        "cuDNN Forward, image-sized filter": 1,
        "cuDNN Forward": 1,
        "cuDNN BackwardInput": 1,
        "cuDNN BackwardFilter": 1,
        "matrix product": 5,  # the loop has five rounds
        "reduction": 1,
        "all-reduce": 1,
    }
    for name in convolutions(kinds):
        assert kinds[name]["operations"] == OPERATIONS
    product = kinds["matrix product"]
    assert product["operations"] == 5 * 2 * 8 * 16 * 16
    assert product["bytes"] == 5 * (4 * (2 * 8 * 16 + 16 * 16) + 256)
    assert kinds["transpose"]["bytes"] == 2 * 2 * 8 * 65 * 65 * 4
    assert found["operations"] == 4 * OPERATIONS + product["operations"]
    assert found["unestimated"] == {}


def test_roofline_of_a_gpu_program():
    """Time of the operations or of the bytes, whichever is longer."""
    slow = ahead_of_time.Device("cuda", "", {"bf16": 1e3, "f32": 10.0}, 1e9)
    kinds = ahead_of_time.analyze(GPU, slow)["kinds"]
    assert kinds["cuDNN Forward"]["seconds"] == pytest.approx(OPERATIONS / 1e3)
    product = kinds["matrix product"]
    assert product["seconds"] == pytest.approx(product["operations"] / 10)
    transposed = kinds["transpose"]
    assert transposed["seconds"] == pytest.approx(transposed["bytes"] / 1e9)


def test_tpu_program_by_kind():
    found = ahead_of_time.analyze(TPU, DEVICES["v5e"], worst=2)
    kinds = found["kinds"]
    gradient = kinds["kernel gradient, rhs_dilate"]
    assert gradient["seconds"] == pytest.approx(45000 / 1.5e9)
    assert gradient["operations"] == 2 * 8 * 32 * 32 * 9 * 128 * 256
    # The operand in the fast memory does not count.
    assert gradient["bytes"] == 2 * (8 * 32 * 32 * 256 + 9 * 256 * 128)
    grow = kinds["convolution, lhs_dilate, rhs_reversal"]
    # The zeros of the dilated operand count: four times the work, and the border.
    assert grow["operations"] == 2 * 8 * 65 * 65 * 9 * 128 * 256
    assert kinds["copy-start"]["seconds"] == 0
    assert found["unestimated"] == {"SomeCall": 1}
    assert [row["name"] for row in found["worst"]] == ["grow", "fusion"]


def test_loops_of_a_tpu_program():
    """The condition says how many rounds there are; gathers have no estimate."""
    found = ahead_of_time.analyze(LOOP, DEVICES["v5e"])
    assert found["kinds"]["gather"]["count"] == 4
    assert found["kinds"]["gather"]["seconds"] == 0  # all of it is in fast memory
    assert found["unestimated"] == {"gather": 4}


@pytest.mark.parametrize(
    ("condition", "other"),
    [("direction=LT", "direction=NE"), ("constant(4)", "parameter(1)"), ("=0", "=1")],
)
def test_loop_of_unknown_length(condition, other):
    found = ahead_of_time.analyze(LOOP.replace(condition, other), DEVICES["v5e"])
    assert found["unestimated"] == {"gather": 1, "loop of unknown length": 1}


def test_image_sized_filters():
    """A kernel gradient of cuDNN's own has no filter as large as the image."""
    program = hlo.Program(GPU)
    wide = [x.name for x, _ in program.executed() if hlo.exceeds_result(x)]
    assert wide == ["wide"]


def test_text_that_is_no_program():
    with pytest.raises(ValueError, match="no entry computation"):
        hlo.Program("ModuleNotFoundError")


def test_tables():
    phase = ahead_of_time.analyze(TPU, DEVICES["v5e"], worst=1) | {
        "interval": 4,
        "over_useful": 1.25,
        "memory": 2**31,
        "compile_seconds": 61.3,
    }
    figures = {
        "device": "v5e",
        "devices": 8,
        "resolution": 256,
        "batch_size": 64,
        "dtype": "bfloat16",
        "jax": "0.10.2",
        "optimization": "O1",
        "phases": {"g_path": phase},
        "images_per_second_and_device": 39.04,
    }
    head, _, row, total, *rest = ahead_of_time.table(figures).splitlines()
    assert head.startswith("256x256, bfloat16, batch 64 on 8 v5e, jax 0.10.2, ")
    milliseconds = 1e3 * phase["seconds"]
    size = phase["bytes"] / 1e9
    assert row.split() == [
        *("g_path", "4", f"{milliseconds:.2f}", "1.25", f"{size:.2f}", "2.00"),
        *("4", "61"),
    ]
    assert "39.0 images/s a device" in total
    assert "without XLA's estimate: {'SomeCall': 1}" in rest
    assert rest[-1].split()[:2] == ["0.110", "convolution,"]


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
@pytest.mark.parametrize(("up", "share"), [(2, 0.45), (4, 0.4)])
def test_fused_columns_leave_the_memory_of_gpus_alone(up, share):
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
