"""Official StyleGAN arrays convert to ours and back; others are refused."""

import chex
import jax
import numpy as np
import pytest

from stylegan_jax import config, convert, interop, workdir
from stylegan_jax.models import LevelOfDetail
from stylegan_jax.models.stylegan1 import Channels, Generator
from tests import goldens, tiny
from tests.models.random_variables import random_variables
from tests.weights import official_pickle

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
    variables = random_variables(g, np.zeros((1, 4), np.float32))
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
    chex.assert_trees_all_equal(
        {k: v for k, v in back.items() if k != "official"}, dict(variables)
    )
    with tiny.quick_compilation():
        official_order, ours = jax.jit(
            lambda back, variables: (model.apply(back, z), g.apply(variables, z))
        )(back, variables)
    goldens.assert_close(official_order, ours, 1e-5)


@pytest.mark.parametrize("name", ["g_32_linear", "d_32"])
def test_a_network_of_fixed_structure_cannot_grow(name):
    """It has the last ToRGB or the first FromRGB only, and gives the same output."""
    arrays, network, kwargs = official(name)
    growing, all_variables = interop.from_official(
        arrays, "stylegan1", network, **kwargs
    )
    fewer = {k: v for k, v in arrays.items() if "RGB_lod" not in k or "lod0/" in k}
    assert len(fewer) == len(arrays) - 6
    kwargs["structure"] = "fixed"
    with pytest.raises(ValueError, match="left over .*RGB_lod1"):
        interop.from_official(arrays, "stylegan1", network, **kwargs)
    model, variables = interop.from_official(fewer, "stylegan1", network, **kwargs)
    again = interop.to_official(model, variables, "stylegan1", network, **kwargs)
    assert set(again) == set(fewer)
    rng = np.random.default_rng(0)
    if network == "generator":
        inputs = (rng.normal(size=(2, 32)),)
        smaller = lambda: model.apply(variables, *inputs, lod=LevelOfDetail(16))  # noqa: E731
    else:
        inputs = images, labels = rng.normal(size=(2, 32, 32, 3)), np.eye(10)[:2]
        smaller = lambda: model.apply(variables, images[:, ::2, ::2], labels)  # noqa: E731
    shapes = jax.eval_shape(model.init, jax.random.key(0), *inputs)
    assert jax.tree.map(np.shape, shapes["params"]) == jax.tree.map(
        np.shape, variables["params"]
    )
    np.testing.assert_array_equal(
        model.apply(variables, *inputs), growing.apply(all_variables, *inputs)
    )
    with pytest.raises(ValueError, match="does not grow"):
        model.apply(variables, *inputs, lod=LevelOfDetail(32, 0.5))
    with pytest.raises(ValueError, match="does not grow"):
        smaller()


def write(path, **changes):
    """Write a file of these networks; `d_...` changes arguments of D, others of G."""
    g_vars, _, g_kwargs = official("g_32_linear")
    _, _, d_kwargs = official("d_32")
    labels = {"label_size": 0}
    d_vars = goldens.below(goldens.arrays("stylegan1/d_32.npz"), "vars/D_label0/")
    of_d = {k.removeprefix("d_"): v for k, v in changes.items() if k[:2] == "d_"}
    of_g = {k: v for k, v in changes.items() if k[:2] != "d_"}
    if of_d.get("mbstd_group_size", 4) <= 1:
        name = "4x4/Conv/weight"
        d_vars[name] = d_vars[name][:, :, :-1]
    return official_pickle.write_official_pickle(
        path, g_vars, g_kwargs | labels | of_g, d_vars, d_kwargs | labels | of_d
    )


@pytest.mark.parametrize(
    ("given", "group_size", "batch_size"),
    [(4, 4, 32), (3, 3, 30), (1, 1, 32), (0, 1, 32)],
)
def test_convert(tmp_path, capsys, given, group_size, batch_size):
    """Any group size converts; settings that StyleGAN ignores stay at the defaults."""
    path = write(tmp_path / "G.pkl", d_mbstd_group_size=given)
    convert.convert(path, tmp_path / "out")
    e = workdir.load_generator(tmp_path / "out").experiment
    assert e.model.mbstd_group_size == group_size
    assert e.training.batch_size == batch_size
    defaults = config.Model()
    for name in ("resample_filter", "conv_clamp", "d_mapping_layers", "freeze_layers"):
        assert getattr(e.model, name) == getattr(defaults, name)
    assert capsys.readouterr().out == ""  # all is kept


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fmap_base": None}, "fmap_base=None must be a number"),
        ({"mapping_lrmul": "x"}, "mapping_lrmul='x' must be a number"),
        ({"use_styles": np.ones(2)}, "use_styles=array.* is not supported"),
        ({"blur_filter": ["a", "b"]}, "blur_filter=.* must be a list of numbers"),
        ({"normalize_latents": False}, "cannot express:\n  normalize_z=False"),
        ({"structure": "flat"}, "structure='flat' is not supported"),
        ({"d_nonlinearity": "relu"}, "cannot express:\n  nonlinearity='relu'"),
        ({"blur_filter": [1.5, 2, 1]}, "(?s)cannot express.*`model.blur_filter`"),
        ({"mapping_lrmul": 0}, "(?s)cannot express.*`model.mapping_lr_multiplier`"),
    ],
)
def test_convert_refuses_in_one_message(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        convert.convert(write(tmp_path / "G.pkl", **changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_arguments_and_arrays_that_are_refused():
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
    with pytest.raises(ValueError, match="has shape .*, expected"):
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
