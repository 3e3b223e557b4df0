"""Instructions of a program's GPU kernels, from the files that XLA writes."""

import pytest

from benchmarks import ptx

CODE = """
.version 8.6
.entry loop_add_fusion(
\t.param .u64 a
)
.reqntid 128, 1, 1
{
\t.reg .b32 \t%r<2>;
\t// a comment
\tld.param.u64 \t%rd1, [a];
$L_1:
\tadd.rn.f32 \t%f3, %f1, %f2;
\t@%p1 bra \t$L_1;
\tret;
\t// -- End function
}
.entry wrapped_copy(
)
{
\tret;

}
"""
SEQUENCE = """
001: kCustomKernel [source       | next=002 (1)] loop_add_fusion grid: [10, 2, 1] threads: [128, 1, 1]  shared_memory: 0 bytes
002: kConvolution  [prev=001 (1) | next=003 (1)] kConvolution
003: kCustomKernel [prev=002 (1) | sink        ] wrapped_copy grid: [3, 1, 1] threads: [33, 1, 1]  shared_memory: 0 bytes
004: kCustomKernel [prev=003 (1) | sink        ] wrapped_copy grid: [1, 1, 1] threads: [2, 1, 1]  shared_memory: 0 bytes
"""  # noqa: E501


def test_a_warp_counts_once(tmp_path):
    """Four instructions of 80 warps, one of 6 and of 1."""
    (tmp_path / "a.1.ptx").write_text(CODE)
    (tmp_path / "a.thunk_sequence.txt").write_text(SEQUENCE)
    assert ptx.kernels(CODE) == {"loop_add_fusion": 4, "wrapped_copy": 1}
    assert ptx.instructions(tmp_path) == 4 * 80 + 6 + 1


def test_missing_files_are_named(tmp_path):
    with pytest.raises(ValueError, match="has 0 sequences of thunks"):
        ptx.instructions(tmp_path)
    (tmp_path / "a.thunk_sequence.txt").write_text(SEQUENCE)
    with pytest.raises(ValueError, match="kernels of an unknown format"):
        ptx.launches(SEQUENCE.replace("002: kConvolution", "002: kKernel"))
    with pytest.raises(ValueError, match="no PTX code of the kernel loop_add_fusion"):
        ptx.instructions(tmp_path)
