"""The figures that the benchmarks compute and print."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import (
    batch_sizes,
    explore,
    flops,
    generate,
    inversion,
    matmul,
    metrics,
    operations,
    resample,
    resample_forms,
    settings,
    step_ratios,
    weak_scaling,
)
from stylegan_jax import config, models, presets
from stylegan_jax.training import schedule
from tests import chromium, tiny


def experiment(**model):
    c = settings.get_config("S")
    for name, value in model.items():
        c.model[name] = value
    return config.parse(c)


def test_flops_per_image():
    """Counted by hand: 128 channels from 4x4 to 32x32, RGB, two mapping layers."""
    e = experiment()
    generator, discriminator = models.build(e.model, e.data, 0)
    g, d = flops.per_image(generator, discriminator, 32)
    same = {r: r**2 * 9 * 128**2 for r in (4, 8, 16, 32)}  # 3x3 convolution
    half = {r: (r // 2) ** 2 * 9 * 128**2 for r in (8, 16, 32)}  # 3x3, resampling
    to_rgb = sum(r**2 * 128 * 3 for r in same)
    styles = (4 + 7) * 512 * 128  # an affine layer before each convolution and ToRGB
    mapping = 2 * 512**2
    convolutions = sum(same.values()) + sum(half.values())
    assert g == 2 * (convolutions + to_rgb + styles + mapping)
    skip = sum((r // 2) ** 2 * 128**2 for r in half)  # 1x1, of residual blocks
    from_rgb = 32**2 * 3 * 128
    # One channel more for the statistics of the minibatch.
    epilogue = 4**2 * 9 * 129 * 128 + 4**2 * 128 * 128 + 128
    blocks = sum(same[r] for r in half) + sum(half.values())
    assert d == 2 * (blocks + skip + from_rgb + epilogue)


def test_flops_do_not_depend_on_the_form():
    """The useful operations of narrow images in blocks are those of plain ones."""
    e = experiment(channel_max=16)
    plain, in_blocks = (
        flops.per_image(*models.build(e.model, e.data, 0, pixel_blocks=form), 32)
        for form in (False, True)
    )
    assert plain == in_blocks


def test_flops_of_stylegan3():
    """Counted by hand: 16 channels from 36x36 to 36x36, to 32x32, and ToRGB."""
    e = step_ratios.experiment("t", 32, 512, 16, 4)
    generator, discriminator = models.build(e.model, e.data, 0)
    design = dataclasses.replace(generator.design, num_layers=2, num_critical=1)
    generator = generator.clone(design=design, w_dim=8, z_dim=8, mapping_features=None)
    g, _ = flops.per_image(generator, discriminator, 32)
    convolutions = 2 * 36**2 * 9 * 16**2 + 32**2 * 16 * 3
    mapping, styles = 2 * 8**2, 8 * (4 + 16 + 16 + 16)
    assert g == 2 * (36**2 * 16**2 + convolutions + mapping + styles)
    # The first layer enlarges 38x38 pixels by 2, the second by 4, to what is read.
    first, second = 35 * 2 + 12, 31 * 2 + 12
    filters = 6 * first * (38 + first) + 12 * 36 * (first + 36)
    filters += 6 * second * (38 + second) + 12 * 32 * (second + 32)
    assert flops.filters_per_image(generator) == 2 * 16 * filters
    design = dataclasses.replace(design, use_radial_filters=True, conv_kernel=1)
    filters = 6 * first * (36 + first) + 12**2 * 36**2  # radial
    filters += 6 * second * (36 + second) + 12 * 32 * (second + 32)
    generator = generator.clone(design=design)
    assert flops.filters_per_image(generator) == 2 * 16 * filters


def test_step_ratios():
    first = step_ratios.Steps(None, [], 100.0, 0.0, 2**20, [1.0, 2.0, 4.0])
    second = step_ratios.Steps(None, [], 250.0, 25.0, 2**21, [3.0, 5.0, 16.0])
    lines = step_ratios.table({"stylegan2": first, "t": second}).splitlines()
    assert lines[1].split() == [
        "stylegan2",
        "2.00",
        "1.00",
        "(1.00",
        "to",
        "1.00)",
        "1.00",
        "1.00",
        "1",
    ]
    assert lines[2].split() == [
        "t",
        "5.00",
        "3.00",
        "(2.50",
        "to",
        "4.00)",
        "2.50",
        "2.75",
        "2",
    ]


def test_flops_per_iteration():
    """Averaged over lazy regularization: 4.75 G + 8.375 D."""
    e = experiment()
    stage = schedule.build_stages(e)[-1]
    phases = flops.per_phase(e, stage, g=1.0, d=100.0)
    total = (
        phases["g_main"]
        + phases["g_path"] / e.training.g_reg_interval
        + phases["d_main"]
        + phases["d_r1"] / e.training.d_reg_interval
    )
    assert total / stage.batch_size == pytest.approx(4.75 + 837.5)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"d_reg_interval": 16}, 7),  # three of G, and of D twice
        ({"d_reg_interval": 0}, 10),  # R1 takes the scores of reals from the loss
        ({"d_reg_interval": 0, "loss": "wgan"}, 13),  # its points need their own
        ({"d_reg_interval": 0, "loss": "wgan", "gp_weight": 0.0}, 7),
    ],
)
def test_flops_of_penalties(settings, expected):
    c = presets.auto(32)
    c.training.update(settings)
    e = config.parse(c)
    stage = schedule.build_stages(e)[-1]
    phases = flops.per_phase(e, stage, g=1.0, d=1.0)
    assert phases["d_main"] / stage.batch_size == expected


HLO = """
%fused_computation (param_0: f32[4]) -> f32[6] {
  %param_0 = f32[4]{0} parameter(0)
  ROOT %pad.1 = f32[6]{0} pad(%param_0, %constant), padding=1_1
}

%fused_computation.1 (param_0: f32[4,4], param_1: f32[4,4]) -> f32[4,4] {
  %dot.2 = f32[4,4]{1,0} dot(%param_0, %param_1), lhs_contracting_dims={1}
  ROOT %add.1 = f32[4,4]{1,0} add(%dot.2, %dot.2)
}

ENTRY %main (a: f32[4,4]) -> (f32[4], f32[6]) {
  %a = f32[4,4]{1,0} parameter(0), sharding={replicated}
  %product = f32[4,4]{1,0} fusion(%a, %a), kind=kCustom, calls=%fused_computation.1
  %row = f32[4]{0} reduce(%product, %zero), dimensions={0}, to_apply=%sum
  %c.7 = f32[1,4]{1,0} convolution(%a, %k), window={size=2}
  %call = (s32[], f32[4]{0}) call(%row), to_apply=%body
  %root-of = f32[4]{0} sqrt(%row)
  ROOT %shifted = f32[6]{0} fusion(%row), kind=kLoop, calls=%fused_computation
}
"""


def test_operation_kinds():
    found = operations.kinds(HLO)
    assert {name: found[name] for name in ("product", "row", "c.7", "root-of")} == {
        "product": "matrix product",
        "row": "reduction",
        "c.7": "convolution",
        "root-of": operations.ELEMENTWISE,
    }
    assert found["shifted"] == operations.COPY
    assert "call" not in found


def test_operation_seconds(monkeypatch):
    monkeypatch.setattr(operations, "CALLS", 2)
    x = jnp.ones((64, 64))
    program = jax.jit(lambda x: jnp.sin(x) @ jnp.cos(x.T)).lower(x).compile()
    found = operations.seconds(
        lambda: program(x).block_until_ready(), program.as_text()
    )
    assert {"matrix product", operations.ELEMENTWISE} <= found.keys()
    assert all(0 < seconds < 60 for seconds in found.values())
    lines = operations.table(found).splitlines()
    shares = [float(line.split()[-1].rstrip("%")) for line in lines]
    assert sum(shares) == pytest.approx(100, abs=0.1 * len(lines))


@pytest.mark.slow
def test_generation_speed():
    e = experiment(channel_base=128, channel_max=8)
    figures = generate.measure(e, [1, 2], count=4, rounds=1, noise="const")
    assert list(figures["batch_sizes"]) == [1, 2]
    for row in figures["batch_sizes"].values():
        wanted = row["images_per_second"] * figures["gflop_per_image"]
        assert row["utilisation"] == pytest.approx(wanted / figures["matmul_gflops"])
    lines = batch_sizes.table(figures, generate.COLUMNS).splitlines()
    assert [line.split()[0] for line in lines] == ["batch", "1", "2", "32"]


def test_times_of_clicks():
    figures = {
        "milliseconds": {"#a": [10.0, 30.0], "#b": [20.0]},
        **{"network": "n", "device": "d", "jax": "1", "chromium": "2"},
    }
    lines = explore.table(figures).splitlines()
    assert lines[1].split() == ["#a", "2", "20", "29", "30"]
    assert lines[3].split() == ["all", "3", "20", "29", "30"]


@pytest.mark.slow
@pytest.mark.skipif(chromium.find() is None, reason=chromium.MISSING)
def test_clicks_are_measured():
    for package in ("playwright", "uvicorn"):
        pytest.importorskip(package, reason="pip install -e '.[dev,browser]'")
    figures = explore.measure("smileys64", 8)
    assert list(figures["milliseconds"]) == list(explore.CONTROLS)
    for times in figures["milliseconds"].values():
        assert len(times) == 2 and min(times) > 0


@pytest.mark.parametrize("operation", resample_forms.FORMS)
def test_forms_of_an_operation_agree(operation):
    """Compare values, gradients and second-order gradients of every form."""
    x, kernel = resample.arguments(operation, batch=2, resolution=8, channels=3)
    with tiny.quick_compilation():
        rows = resample.measure(operation, x, kernel, rounds=1, seconds=0.0)
    assert all(row[order] > 0 for row in rows.values() for order in resample.ORDERS)
    head, _, *lines = resample.table(operation, 8, 3, rows).strip().splitlines()
    assert head.startswith(f"| {operation}, 8x8, 3 channels | forward |")
    assert [line.split(" | ")[0][2:] for line in lines] == list(rows)
    assert sum(line.count("**") for line in lines) == 2 * len(resample.ORDERS)


def test_form_that_differs_is_rejected(monkeypatch):
    forms = dict(resample_forms.FORMS["blur"])
    forms["wrong"] = lambda x, kernel: 1.01 * forms["ours"](x, kernel)
    monkeypatch.setitem(resample_forms.FORMS, "blur", forms)
    x, kernel = resample.arguments("blur", batch=1, resolution=4, channels=1)
    with (
        tiny.quick_compilation(),
        pytest.raises(ArithmeticError, match="blur, wrong, forward differs from ours"),
    ):
        resample.measure("blur", x, kernel, rounds=1, seconds=0.0)


def test_flops_of_resampling():
    x, kernel = resample.arguments("down", batch=2, resolution=8, channels=3)
    chex.assert_shape(x, (2, 8, 8, 3))
    assert resample.useful_flop("down", x, kernel) == 2 * 2 * 4 * 4 * 9 * 3 * 3
    x, kernel = resample.arguments("box_up", batch=2, resolution=8, channels=3)
    chex.assert_shape(x, (2, 4, 4, 3))
    assert resample.useful_flop("box_up", x, kernel) == 2 * 2 * 4 * 4 * 16 * 3 * 3


def test_matmul_rate():
    assert matmul.rate(size=64, seconds=0.05) > 0


def test_metrics_agree_with_plain_forms():
    figures = metrics.measure(count=60, dimensions=8, plain=True)
    values = figures["values"]
    assert values["fid"] == pytest.approx(values["plain_fid"], rel=1e-6)
    assert values["precision"] == values["plain_precision"]
    assert values["recall"] == values["plain_recall"]
    assert 0 < values["recall"] <= 1
    lines = metrics.table(figures).splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == [
        *("FID:", "FID:", "FID:", "precision", "all")
    ]


COLLECTIVES = """
  %a = f32[2,4]{1,0} all-reduce(%b), channel_id=6
  %c = (f32[3]{0}, bf16[], /*index=2*/f32[8,4,4,1,16]{4,3,2,1,0}) all-reduce(%d, %e)
  ROOT %f = f32[16,8]{1,0} all-gather(%a), dimensions={0}
  %g = f32[2,4]{1,0} add(%all-gather.1, %all-reduce.2)
"""


def test_collective_bytes():
    assert weak_scaling.collective_bytes(COLLECTIVES) == {
        "all-reduce": 2 * 4 * 4 + 3 * 4 + 2 + 8 * 4 * 4 * 16 * 4,
        "all-gather": 16 * 8 * 4,
    }


def test_weak_scaling_compares_with_the_first_row_and_the_prediction():
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


def test_corners_and_their_matches():
    image = np.full((64, 64, 3), 200, np.uint8)
    image[24:40, 30:50] = 20  # whose corners in the middle are at its left
    x, y = inversion.corner(image)
    assert abs(x - 30) <= 2 and min(abs(y - 24), abs(y - 39)) <= 2
    moved = np.roll(image, (3, -5), axis=(0, 1))
    np.testing.assert_array_equal(
        inversion.match(image, moved, np.array([x, y])), [x - 5, y + 3]
    )
