"""What `benchmarks/weak_scaling.py` reads out of a compiled program."""

from benchmarks import weak_scaling

HLO = """
  %a = f32[2,4]{1,0} all-reduce(%b), channel_id=6
  %c = (f32[3]{0}, bf16[], /*index=2*/f32[8,4,4,1,16]{4,3,2,1,0}) all-reduce(%d, %e)
  ROOT %f = f32[16,8]{1,0} all-gather(%a), dimensions={0}
  %g = f32[2,4]{1,0} add(%all-gather.1, %all-reduce.2)
"""


def test_collectives_are_found_with_their_bytes():
    assert weak_scaling.collective_bytes(HLO) == {
        "all-reduce": 2 * 4 * 4 + 3 * 4 + 2 + 8 * 4 * 4 * 16 * 4,
        "all-gather": 16 * 8 * 4,
    }


def test_a_row_compares_with_the_first_and_with_the_prediction():
    found = {
        "flops_per_device": 2.02e6,
        "bytes_per_device": {"all-reduce": 110},
        "predicted_bytes": {"all-reduce": 100},
        "compile_seconds": 1.5,
    }
    first = {"flops_per_device": 2e6}
    assert weak_scaling.row("d_main", 8, found, first) == (
        "| d_main | 8 | 2.0 | 1.0100 | all-reduce 110 | 100 | 1.100 | 1.5 |"
    )
