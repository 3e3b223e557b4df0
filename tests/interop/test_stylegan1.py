"""Official arrays in and out again, and what is refused."""

import jax
import numpy as np
import pytest

from stylegan_jax import interop
from stylegan_jax.models.stylegan1 import Channels, Generator
from tests import goldens

FILES = {
    "g_32_linear": "G",
    "g_64_recursive": "G",
    "g_128_auto": "G",
    "g_cond_16": "G",
    "g_traditional_32": "G",
    "d_32": "D_label10",
    "d_128_auto": "D_label0",
}


def official(name):
    file = f"stylegan1/{name}.npz"
    settings = goldens.settings(file)
    prefix = FILES[name]
    network = "generator" if prefix == "G" else "discriminator"
    kwargs = dict(settings["G_kwargs" if prefix == "G" else "D_kwargs"])
    label_size = settings.get("label_size", 0)
    if prefix.startswith("D_label"):
        label_size = int(prefix.removeprefix("D_label"))
    kwargs["label_size"] = label_size
    arrays = goldens.below(goldens.arrays(file), f"vars/{prefix}/")
    return arrays, network, kwargs


@pytest.mark.parametrize("name", FILES)
def test_round_trip_is_bit_exact(name):
    arrays, network, kwargs = official(name)
    model, variables = interop.from_official(arrays, "stylegan1", network, **kwargs)
    again = interop.to_official(model, variables, "stylegan1", network, **kwargs)
    assert set(again) == set(arrays)
    for key, array in arrays.items():
        assert again[key].dtype == np.float32
        np.testing.assert_array_equal(again[key], array, key)


def test_a_network_of_ours_goes_to_official_and_back():
    g = Generator(
        resolution=8, z_dim=4, w_dim=4, mapping_features=4, channels=Channels(32, 8)
    )
    variables = g.init(jax.random.key(0), np.zeros((1, 4), np.float32))
    arrays = interop.to_official(g, variables)
    assert arrays["lod"] == 0
    kwargs = {
        "resolution": 8,
        "latent_size": 4,
        "dlatent_size": 4,
        "mapping_fmaps": 4,
        "fmap_base": 32,
        "fmap_max": 8,
    }
    model, back = interop.from_official(arrays, "stylegan1", "generator", **kwargs)
    z = np.random.RandomState(0).randn(2, 4).astype(np.float32)
    goldens.assert_close(model.apply(back, z), g.apply(variables, z), 1e-5)


def test_refusals():
    arrays, network, kwargs = official("g_cond_16")
    load = lambda a=arrays, s="stylegan1", n=network, **k: interop.from_official(  # noqa: E731
        a, s, n, **(kwargs | k)
    )
    with pytest.raises(ValueError, match=r"unknown or unsupported.*'bogus'"):
        load(bogus=1)
    with pytest.raises(ValueError, match="use_wscale=False is not supported"):
        load(use_wscale=False)
    with pytest.raises(ValueError, match="left over.*LabelConcat"):
        load(label_size=0)
    with pytest.raises(ValueError, match="has shape .* these arguments give"):
        load(fmap_max=23)
    with pytest.raises(ValueError, match="missing.*dlatent_avg"):
        load({k: v for k, v in arrays.items() if k != "dlatent_avg"})
    with pytest.raises(ValueError, match="source"):
        load(s="stylegan9")
    with pytest.raises(ValueError, match="network"):
        load(n="critic")
    model, variables = load()
    with pytest.raises(ValueError, match="these arguments describe"):
        interop.to_official(
            model, variables, network=network, **kwargs | {"fmap_max": 9}
        )
    with pytest.raises(ValueError, match="without `network`"):
        interop.to_official(model, variables, resolution=16)
