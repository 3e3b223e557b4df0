"""The settings of an experiment are those of its networks, each in its own place."""

import dataclasses

import pytest

from stylegan_jax import config, models
from stylegan_jax.layers.matmul import EXACT, Arithmetic
from stylegan_jax.models import stylegan2
from tests import tiny

SHARED = {
    "data.resolution": 32,
    "data.channels": 1,
    "model.z_dim": 11,
    "model.w_dim": 12,
    "model.mapping_layers": 3,
    "model.mapping_features": 13,
    "model.mapping_lr_multiplier": 0.02,
    "model.mbstd_group_size": 8,
    "model.mbstd_features": 2,
    "model.nonlinearity": "relu",
    "model.noise": False,
    "model.dtype": "bfloat16",
    "model.low_precision_resolutions": 2,
    "model.float32_precision": "high",
    "model.channel_max": 24,
    "model.remat": "convolutions",
}
STYLEGAN2 = {
    "model.family": "stylegan2",
    "model.g_architecture": "resnet",
    "model.d_architecture": "skip",
    "model.channel_base": 256,
    "model.resample_filter": (1, 2, 5, 1),
    "model.conv_clamp": 99.0,
    "model.d_mapping_layers": 5,
    "model.freeze_layers": 3,
    "training.initial_resolution": 32,
}


def attributes(module, *names):
    return tuple(getattr(module, name) for name in names)


G_NAMES = ("resolution", "image_channels", "label_size", "z_dim", "w_dim")
MAPPING = ("mapping_layers", "mapping_features", "mapping_lr_multiplier")
D_NAMES = ("resolution", "image_channels", "label_size")
STDDEV = ("mbstd_group_size", "mbstd_features")


ARITHMETIC = dataclasses.asdict(EXACT)


def build(changes):
    e = tiny.experiment(SHARED | changes)
    return *models.build(e.model, e.data, 7), e.model


@pytest.mark.parametrize("changes", [{}, STYLEGAN2], ids=["stylegan1", "stylegan2"])
def test_settings_of_both_families(changes):
    g, d, model = build(changes)
    assert models.family_of(g) == model.family
    assert attributes(g, *G_NAMES) == (32, 1, 7, 11, 12)
    assert attributes(g, *MAPPING) == (3, 13, 0.02)
    assert attributes(d, *D_NAMES) == (32, 1, 7)
    assert attributes(d, *STDDEV) == (8, 2)
    for network in (g, d):
        assert str(network.dtype) == "bfloat16" and network.remat == "convolutions"
        assert network.low_precision_resolutions == 2
        assert network.arithmetic == Arithmetic("high", winograd=False)
        widths = [network.channels(r) for r in (4, 8, 16, 32)]
        top = model.channel_base * (1 if changes else 2)
        assert widths == [min(top // r, 24) for r in (4, 8, 16, 32)]


def test_settings_of_stylegan1():
    g, d, _ = build(
        {
            "model.blur_filter": (1, 4, 1),
            "model.const_input": False,
            "model.pixel_norm": True,
            "model.instance_norm": False,
            "model.styles": False,
            "training.style_mixing_probability": 0.0,
        }
    )
    options = dataclasses.asdict(g.options)
    assert options | {"plain_resampling": False} == {
        "styles": False,
        "noise": False,
        "pixel_norm": True,
        "instance_norm": False,
        "nonlinearity": "relu",
        "blur_filter": (1, 4, 1),
        "plain_resampling": False,
        "arithmetic": ARITHMETIC,
    }
    assert not g.const_input and g.growing and d.growing
    assert (d.nonlinearity, d.blur_filter) == ("relu", (1, 4, 1))


def test_settings_of_stylegan2():
    g, d, _ = build(STYLEGAN2)
    for network, architecture in ((g, "resnet"), (d, "skip")):
        assert network.architecture == architecture
        assert dataclasses.asdict(network.options) == {
            "activation": "relu",
            "resample_filter": (1, 2, 5, 1),
            "conv_clamp": 99.0,
            "noise": False,
            "arithmetic": ARITHMETIC,
        }
    assert (d.mapping_layers, d.freeze_layers) == (5, 3)


def test_every_family_has_a_name():
    fields = {field.name: field for field in dataclasses.fields(config.Model)}
    assert tuple(models.FAMILIES) == fields["family"].metadata["choices"]


def test_networks_without_settings_are_those_of_the_default_settings():
    """Build networks from defaults, as converted official networks are built."""
    defaults = config.Model(
        family="stylegan2",
        g_architecture="skip",
        d_architecture="resnet",
        conv_clamp=None,
    )
    g, d = models.build(defaults, config.Data(), 0)
    assert g.options == d.options == stylegan2.LayerOptions()
    multiplier = stylegan2.Generator().mapping_lr_multiplier
    assert g.mapping_lr_multiplier == multiplier
    assert attributes(d, *STDDEV) == attributes(stylegan2.Discriminator(), *STDDEV)
