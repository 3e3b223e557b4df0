"""The presets of StyleGAN3 equal the settings of the official command line."""

import csv
import json

import pytest

from stylegan_jax import config, models, presets
from stylegan_jax.interop import stylegan3
from stylegan_jax.training import optimizer
from tests import goldens

FOLDER = "stylegan2_and_3"
with open(goldens.ROOT / "tests/golden" / FOLDER / "H3_sg3_train_config.csv") as file:
    ROWS = [row for row in csv.DictReader(file) if row["cfg"].startswith("stylegan3")]


def test_golden_table_has_both_configs():
    assert {row["cfg"] for row in ROWS} == {"stylegan3-t", "stylegan3-r"}
    assert len(ROWS) == 2 * 6 * 4  # resolutions from 32 to 1024, devices


@pytest.mark.parametrize(
    "row", ROWS, ids=lambda row: "-".join((row["cfg"], row["resolution"], row["gpus"]))
)
def test_official_settings(row):
    arguments = row["cfg"][-1], int(row["resolution"]), int(row["gpus"])
    e = config.parse(presets.stylegan3(*arguments, int(row["batch_size"])))
    m, t = e.model, e.training
    rates = {
        network: t.learning_rate * optimizer.relative_learning_rate(e, network)
        for network in ("generator", "discriminator")
    }
    ours = {
        "r1_gamma_used": t.r1_gamma,
        "mbstd_group": m.mbstd_group_size,
        "g_channel_base": m.channel_base,
        "g_channel_max": m.channel_max,
        "d_channel_base": m.d_channel_base,
        "d_channel_max": m.d_channel_max,
        "map_layers": m.mapping_layers,
        "g_lr": rates["generator"],
        "d_lr": rates["discriminator"] * 17 / 16,  # lazy R1, in 1 of 16 steps
        "ema_kimg": t.ema_half_life_kimg,
        "ema_rampup": t.ema_rampup,
        "d_reg_interval": t.d_reg_interval,
        "style_mixing_prob": t.style_mixing_probability,
        "pl_weight": t.path_length_weight,
        "blur_init_sigma": t.blur_init_sigma,
        "magnitude_ema_beta": 0.5 ** (t.batch_size / 1000 / t.magnitude_half_life_kimg),
        "conv_kernel": m.conv_kernel,
        "total_kimg": t.total_kimg,
        "freeze_layers": m.freeze_layers,
    }
    assert ours == {name: pytest.approx(float(row[name])) for name in ours}
    assert [t.adam_beta1, t.adam_beta2] == json.loads(row["betas"])
    assert str(m.use_radial_filters) == row["use_radial_filters"]
    assert t.g_reg_interval == 0 and not row["g_reg_interval"]
    if t.blur_init_sigma:
        assert t.blur_fade_kimg == float(row["blur_fade_kimg"])
    rounds = t.batch_size / (int(row["batch_gpu"]) * int(row["gpus"]))
    assert t.accumulation_rounds == rounds


def test_settings_that_follow_the_batch_size():
    """H4: `--batch=64` changes the averages, and rounds on a device."""
    golden = json.loads(
        goldens.path(f"{FOLDER}/H4_sg3_option_effects.json").read_text()
    )
    (changes,) = (
        v["changes"] for v in golden["variations"] if v["option"] == "--batch=64"
    )
    t = config.parse(presets.stylegan3("t", 256, 8, batch_size=64)).training
    assert t.ema_half_life_kimg == changes["ema_kimg"]
    assert t.batch_size == changes["batch_size"]
    assert t.batch_size / 8 / t.accumulation_rounds == changes["batch_gpu"]
    beta = 0.5 ** (t.batch_size / 1000 / t.magnitude_half_life_kimg)
    assert beta == pytest.approx(changes["G_kwargs.magnitude_ema_beta"])


@pytest.mark.parametrize("resolution", [256, 512, 1024])
@pytest.mark.parametrize("name", presets.CONFIGS)
def test_arrays_of_the_full_networks(name, resolution):
    """H5: the names and shapes of all arrays."""
    path = goldens.path(f"{FOLDER}/H5_full_size_shapes_sg3.json")
    golden = json.loads(path.read_text())[f"stylegan3-{name}_{resolution}/G"]
    e = config.parse(presets.stylegan3(name, resolution, 8))
    generator, _ = models.build(e.model, e.data, 0)
    ours = {entry.name: list(entry.shape) for entry in stylegan3.entries(generator)}
    assert ours == golden["params"] | golden["buffers"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("x", 256), r"the config \(='x'\) must be one of t, r"),
        (("t", 300), r"the resolution \(=300\) must be a power of two"),
        (("t", 256, 8, 12), r"batch size \(=12\) must be a multiple .* \(=8\)"),
    ],
)
def test_rejects(arguments, message):
    with pytest.raises(ValueError, match=message):
        presets.stylegan3(*arguments)
