"""What the benchmarks count and report."""

import pytest

from benchmarks import (
    flops,
    generate,
    matmul,
    metrics,
    resample,
    resample_forms,
    settings,
)
from stylegan_jax import config, models
from stylegan_jax.training import growth
from tests import tiny


def experiment(**model):
    c = settings.get_config("S")
    for name, value in model.items():
        c.model[name] = value
    return config.parse(c)


def test_operations_of_both_networks():
    """By hand: 32x32, 128 channels from 4x4 to 32x32, RGB, two mapping layers."""
    e = experiment()
    generator, discriminator = models.build(e.model, e.data, 0)
    g, d = flops.per_image(generator, discriminator, 32)
    same = {r: r**2 * 9 * 128**2 for r in (4, 8, 16, 32)}  # a 3x3 convolution
    half = {r: (r // 2) ** 2 * 9 * 128**2 for r in (8, 16, 32)}  # one that resamples
    to_rgb = sum(r**2 * 128 * 3 for r in same)
    styles = (4 + 7) * 512 * 128  # an affine layer before each convolution and ToRGB
    mapping = 2 * 512**2
    convolutions = sum(same.values()) + sum(half.values())
    assert g == 2 * (convolutions + to_rgb + styles + mapping)
    past = sum((r // 2) ** 2 * 128**2 for r in half)  # past a residual block, 1x1
    from_rgb = 32**2 * 3 * 128
    end = 4**2 * 9 * 129 * 128 + 4**2 * 128 * 128 + 128  # 1 channel of statistics
    blocks = sum(same[r] for r in half) + sum(half.values())
    assert d == 2 * (blocks + past + from_rgb + end)


def test_operations_of_an_iteration():
    """With lazy regularisation averaged in: 4.75 G + 8.375 D."""
    e = experiment()
    stage = growth.stages(e)[-1]
    phases = flops.per_phase(e, stage, g=1.0, d=100.0)
    total = (
        phases["g_main"]
        + phases["g_path"] / e.training.g_reg_interval
        + phases["d_main"]
        + phases["d_r1"] / e.training.d_reg_interval
    )
    assert total / stage.batch_size == pytest.approx(4.75 + 837.5)


def test_generation():
    e = experiment(channel_base=128, channel_max=8)
    figures = generate.measure(e, [1, 2], count=4, rounds=1, noise="const")
    assert list(figures["batch_sizes"]) == [1, 2]
    for row in figures["batch_sizes"].values():
        wanted = row["images_per_second"] * figures["gflop_per_image"]
        assert row["utilisation"] == pytest.approx(wanted / figures["matmul_gflops"])
    lines = generate.table(figures).splitlines()
    assert [line.split()[0] for line in lines] == ["batch", "1", "2", "32"]


@pytest.mark.parametrize("operation", resample_forms.FORMS)
def test_all_forms_of_an_operation_are_the_same(operation):
    """In all orders of gradient; what is not the same is refused."""
    x, kernel = resample.arguments(operation, batch=2, resolution=8, channels=3)
    with tiny.quick_compilation():
        rows = resample.measure(operation, x, kernel, rounds=1, seconds=0.0)
    assert all(row[order] > 0 for row in rows.values() for order in resample.ORDERS)
    head, _, *lines = resample.table(operation, 8, 3, rows).strip().splitlines()
    assert head.startswith(f"| {operation}, 8x8, 3 channels | forward |")
    assert [line.split(" | ")[0][2:] for line in lines] == list(rows)
    assert sum(line.count("**") for line in lines) == 2 * len(resample.ORDERS)


def test_a_form_that_differs_is_refused(monkeypatch):
    forms = dict(resample_forms.FORMS["blur"])
    forms["wrong"] = lambda x, kernel: 1.01 * forms["ours"](x, kernel)
    monkeypatch.setitem(resample_forms.FORMS, "blur", forms)
    x, kernel = resample.arguments("blur", batch=1, resolution=4, channels=1)
    with (
        tiny.quick_compilation(),
        pytest.raises(ArithmeticError, match="blur, wrong, forward differs from ours"),
    ):
        resample.measure("blur", x, kernel, rounds=1, seconds=0.0)


def test_operations_of_resampling():
    x, kernel = resample.arguments("down", batch=2, resolution=8, channels=3)
    assert x.shape == (2, 8, 8, 3)
    assert resample.useful_flop("down", x, kernel) == 2 * 2 * 4 * 4 * 9 * 3 * 3
    x, kernel = resample.arguments("box_up", batch=2, resolution=8, channels=3)
    assert x.shape == (2, 4, 4, 3)
    assert resample.useful_flop("box_up", x, kernel) == 2 * 2 * 4 * 4 * 16 * 3 * 3


def test_the_matrix_product_is_counted():
    assert matmul.rate(size=64, seconds=0.05) > 0


def test_metrics_agree_with_their_plain_forms():
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
