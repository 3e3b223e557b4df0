"""The table of StyleGAN3's layers and its filters are those of the official code."""

import json

import numpy as np
import pytest

from stylegan_jax.models.interface import Channels
from stylegan_jax.models.stylegan3_geometry import Options, lowpass_filter, table
from tests import goldens

FOLDER = "stylegan2_and_3"
DESIGNS = ("num_layers", "num_critical", "conv_kernel", "use_radial_filters")


def design(kwargs):
    """The table of the official arguments of a generator."""
    options = Options(**{k: kwargs[k] for k in DESIGNS if k in kwargs})
    channels = Channels(
        kwargs.get("channel_base", 32768) / 2, kwargs.get("channel_max", 512)
    )
    return table(options, kwargs["img_resolution"], channels)


def assert_same_table(ours, official):
    first, *layers = official
    s = ours.first
    assert first == {
        "name": "input",
        "channels": s.channels,
        "size": [s.size] * 2,
        "sampling_rate": s.rate,
        "bandwidth": s.cutoff,
    }
    assert len(layers) == len(ours.layers)
    for g, wanted in zip(ours.layers, layers, strict=True):
        (top, bottom), (left, right) = g.padding
        assert g.name == wanted["name"]
        for side, signal in (("in", g.before), ("out", g.after)):
            assert signal.channels == wanted[f"{side}_channels"]
            assert [signal.size] * 2 == wanted[f"{side}_size"]
            assert signal.rate == wanted[f"{side}_sampling_rate"]
            assert signal.cutoff == pytest.approx(wanted[f"{side}_cutoff"])
            assert signal.half_width == pytest.approx(wanted[f"{side}_half_width"])
        assert g.fine_rate == wanted["tmp_sampling_rate"]
        assert (g.up, g.down) == (wanted["up_factor"], wanted["down_factor"])
        assert (g.up_taps, g.down_taps) == (wanted["up_taps"], wanted["down_taps"])
        assert g.radial == wanted["down_radial"]
        assert g.is_to_rgb == wanted["is_torgb"] and g.kernel == wanted["conv_kernel"]
        assert [left, right, top, bottom] == wanted["padding_x0x1y0y1"]


@pytest.mark.parametrize(
    "name",
    ["F1_t32_L6", "F2_r32_L6", "F3_t64_L10_c10", "F4_r64_L8", "F5_t64_L14"]
    + ["F6_r32_L7_clamp0.7"],
)
def test_tables_of_the_golden_networks(name):
    golden = json.loads(goldens.path(f"{FOLDER}/{name}.json").read_text())
    assert_same_table(design(golden["kwargs"]), golden["layer_table"])


def test_tables_and_filters_of_the_full_size_networks():
    golden = json.loads(goldens.path(f"{FOLDER}/F9_filter_design.json").read_text())
    arrays = goldens.arrays(f"{FOLDER}/F9_filter_design.npz")
    compared = 0
    for net in golden["nets"]:
        ours = design(net["kwargs"])
        assert_same_table(ours, golden["tables"][net["name"]])
        for i, layer in enumerate(ours.layers):
            for direction in ("up", "down"):
                name = f"filt/{net['name']}/L{i}/{direction}"
                f = getattr(layer, f"{direction}_filter")
                wanted = arrays.get(name, np.ones(1))
                goldens.assert_close(f, wanted, 1e-6, name)
                compared += name in arrays
    assert compared == sum(name.startswith("filt/") for name in arrays) == 112


def test_filters():
    golden = json.loads(goldens.path(f"{FOLDER}/F9_filter_design.json").read_text())
    arrays = goldens.arrays(f"{FOLDER}/F9_filter_design.npz")
    assert len(golden["cases"]) == 12
    for case in golden["cases"]:
        f = lowpass_filter(
            case["numtaps"], case["cutoff"], case["width"], case["fs"], case["radial"]
        )
        wanted = arrays[f"out/{case['id']}"]  # empty for no filter
        goldens.assert_close(f, wanted if wanted.size else np.ones(1), 1e-6, str(case))


def test_the_table_is_printed():
    text = str(table(Options(use_radial_filters=True), 256, Channels(16384)))
    lines = text.splitlines()
    assert len(lines) == 17
    cells = "L3_52_512 512 52 32 5.657 16 4 2 24/12x12 -6/-9"
    assert lines[5].split() == cells.split()
    assert lines[-1].split()[:5] == ["L14_256_3", "3", "256", "256", "128"]
