"""The presets equal the settings of the official command line (golden H1)."""

import csv
import json
from pathlib import Path

import pytest

from stylegan_jax import config, models, presets

GOLDEN = Path(__file__).parents[1] / "golden" / "stylegan2_and_3"
with open(GOLDEN / "H1_sg2ada_auto_config.csv", newline="") as file:
    ROWS = list(csv.DictReader(file))


def parsed(row: dict) -> config.Experiment:
    c = presets.stylegan2(row["cfg"], int(row["resolution"]), int(row["gpus"]))
    return config.parse(c)


def test_golden_table_has_every_preset():
    assert {row["cfg"] for row in ROWS} == set(presets.NAMES)
    assert len(ROWS) == 6 * 6 * 4  # presets, resolutions from 32 to 1024, devices


@pytest.mark.parametrize(
    "row", ROWS, ids=lambda row: "-".join((row["cfg"], row["resolution"], row["gpus"]))
)
def test_official_settings(row):
    e = parsed(row)
    m, t = e.model, e.training
    beta1, beta2 = json.loads(row["betas"])
    assert {
        "resolution": e.data.resolution,
        "batch_size": t.batch_size,
        "mbstd_group": m.mbstd_group_size,
        "channel_base": m.channel_base,
        "channel_max": m.channel_max,
        "lrate": t.learning_rate,
        "r1_gamma": t.r1_gamma,
        "ema_kimg": t.ema_half_life_kimg,
        "ema_rampup": t.ema_rampup,
        "map_layers": m.mapping_layers,
        "total_kimg": t.total_kimg,
        "pl_weight": t.path_length_weight,
        "style_mixing_prob": t.style_mixing_probability,
        "num_fp16_res": m.low_precision_resolutions,
        "conv_clamp": m.conv_clamp,
        "eps": t.adam_epsilon,
        "g_reg_interval": t.g_reg_interval,
        "d_reg_interval": t.d_reg_interval,
    } == {
        name: pytest.approx(float(row[name] or 0), rel=1e-12)
        for name in (
            *("resolution", "batch_size", "mbstd_group", "channel_base"),
            *("channel_max", "lrate", "r1_gamma", "ema_kimg", "ema_rampup"),
            *("map_layers", "total_kimg", "pl_weight", "style_mixing_prob"),
            *("num_fp16_res", "conv_clamp", "eps", "g_reg_interval", "d_reg_interval"),
        )
    }
    assert (m.g_architecture, m.d_architecture) == ("skip", row["d_architecture"])
    assert (t.adam_beta1, t.adam_beta2) == (beta1, beta2)
    assert row["d_lrate"] == row["lrate"] and t.discriminator_learning_rate is None
    # On many GPUs, the official "cifar" results in less than one round.
    rounds = int(row["batch_size"]) / (int(row["batch_gpu"]) * int(row["gpus"]))
    assert t.accumulation_rounds == max(rounds, 1)
    assert t.batch_size % (t.accumulation_rounds * int(row["gpus"])) == 0


@pytest.mark.parametrize("name", presets.NAMES)
def test_low_precision_from_256_up(name):
    """Presets have bfloat16 at the resolutions where the official code has float16."""
    for resolution in (32, 128, 256, 1024):
        m = config.parse(presets.stylegan2(name, resolution, 1)).model
        assert m.dtype == ("bfloat16" if resolution >= 256 else "float32")
        assert (m.low_precision_resolutions, m.conv_clamp) == (4, 256.0)
        assert m.float32_precision == "highest"


def test_channels_are_official():
    e = config.parse(presets.auto(resolution=256))
    generator, discriminator = models.build(e.model, e.data, 0)
    for network in (generator, discriminator):
        widths = {r: network.channels(r) for r in generator.resolutions}
        assert widths == {r: min(16384 // r, 512) for r in widths}


def test_changes_apply_to_any_config():
    c = config.base()
    c.data.resolution = 64
    c.update_from_flattened_dict(presets.changes("auto", 64, devices=2))
    assert config.parse(c) == config.parse(presets.auto(64, devices=2))


def test_many_devices_get_one_image_each():
    assert presets.auto(1024, devices=128).training.batch_size == 128


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("paper", 256, 8), "must be one of auto, stylegan2, paper256"),
        (("auto", 300, 8), r"the resolution \(=300\) must be a power of two"),
        (("auto", 256, 6), r"the number of devices \(=6\) must be a power of two"),
    ],
)
def test_rejects(arguments, message):
    with pytest.raises(ValueError, match=message):
        presets.stylegan2(*arguments)
