"""Figures of a compiled program, from its text: operations, bytes, kinds, tables."""

import pytest

from benchmarks import ahead_of_time, hlo
from benchmarks.ahead_of_time import DEVICES

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
    for name in kinds:
        if name.startswith("cuDNN"):
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


def test_table_with_the_instructions_of_a_gpu():
    phase = ahead_of_time.analyze(GPU, DEVICES["h100"]) | {
        "interval": 1,
        "over_useful": 1.0,
        "memory": 2**30,
        "compile_seconds": 1.0,
        "instruction_seconds": 0.0128,
    }
    figures = {
        "device": "h100",
        "devices": 1,
        "resolution": 256,
        "batch_size": 8,
        "dtype": "bfloat16",
        "jax": "0.10.2",
        "optimization": "default",
        "phases": {"d_main": phase},
    }
    lines = ahead_of_time.table(figures).splitlines()
    assert "d_main: instructions of XLA's kernels: 12.80 ms" in lines
