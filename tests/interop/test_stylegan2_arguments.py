"""Every argument of the official StyleGAN2 networks; others are refused."""

import json

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax import interop
from stylegan_jax.interop import stylegan2_tf, stylegan2_torch, stylegan2_variables
from stylegan_jax.models import stylegan1
from stylegan_jax.models.interface import Channels
from stylegan_jax.models.stylegan2 import Discriminator, Generator
from tests import goldens
from tests.interop.stylegan2_goldens import FOLDER, STYLE_BIAS, TF, TORCH, assert_same

G_ARGUMENTS = {
    "z_dim": 8,
    "c_dim": 0,
    "w_dim": 8,
    "img_resolution": 16,
    "img_channels": 3,
    "synthesis_kwargs": {"channel_base": 64, "channel_max": 8},
}
D_ARGUMENTS = {
    "c_dim": 3,
    "img_resolution": 16,
    "img_channels": 3,
    "channel_base": 64,
    "channel_max": 8,
}
VARIANTS = {
    "generator": [
        {},
        {"img_resolution": 4, "synthesis_kwargs": {"channel_base": 32}},
        {"img_resolution": 1024, "synthesis_kwargs": {"channel_base": 1024}},
        {"img_resolution": 8, "img_channels": 4},
        {"img_channels": 1, "c_dim": 5, "w_dim": 12},
        {"c_dim": 2, "mapping_kwargs": {"embed_features": 3, "layer_features": 5}},
        {"mapping_kwargs": {"num_layers": 0}},
        {"z_dim": 2, "c_dim": 3, "mapping_kwargs": {"num_layers": 0}}
        | {"mapping_kwargs": {"num_layers": 0, "embed_features": 6}},
        {"mapping_kwargs": {"activation": "relu", "lr_multiplier": 1, "num_layers": 1}},
        {"mapping_kwargs": {"w_avg_beta": 0.998}},
        {"synthesis_kwargs": {"use_noise": False, "architecture": "resnet"}},
        {"synthesis_kwargs": {"activation": "swish", "architecture": "orig"}},
        {"synthesis_kwargs": {"resample_filter": [1, 2, 1], "conv_clamp": 0}},
        {"synthesis_kwargs": {"resample_filter": [[1, 2], [3, 4]]}},
        {"synthesis_kwargs": {"resample_filter": None, "fp16_channels_last": True}},
        {"synthesis_kwargs": {"resample_filter": [0.1, 0.2, 0.3, 1, 1, 0.3, 0.2, 0.1]}},
        {"synthesis_kwargs": {"num_fp16_res": 4, "conv_clamp": 256}},
    ],
    "discriminator": [
        {},
        {"c_dim": 0, "img_resolution": 1024, "channel_base": 4096},
        {"img_resolution": 4, "img_channels": 1},
        {"img_resolution": 8, "architecture": "skip", "img_channels": 4},
        {"architecture": "orig", "num_fp16_res": 3, "conv_clamp": 256.0},
        {"cmap_dim": 5, "mapping_kwargs": {"num_layers": 2, "layer_features": 6}},
        {"mapping_kwargs": {"num_layers": 0}},
        {"mapping_kwargs": {"embed_features": 4, "activation": "linear"}},
        {"epilogue_kwargs": {"mbstd_group_size": None, "mbstd_num_channels": 2}},
        {"epilogue_kwargs": {"mbstd_num_channels": 0, "activation": "relu"}},
        {"block_kwargs": {"activation": "elu", "freeze_layers": 5}},
        {"block_kwargs": {"resample_filter": [1, 4, 2, 1], "fp16_channels_last": True}},
    ],
}
ALL_VARIANTS = [(n, v) for n, variants in VARIANTS.items() for v in variants]
DEFAULTS = {"generator": G_ARGUMENTS, "discriminator": D_ARGUMENTS}


def merged(network, changes):
    """Return the default arguments with changes, also within their dicts."""
    out = dict(DEFAULTS[network])
    for key, value in changes.items():
        out[key] = out.get(key, {}) | value if isinstance(value, dict) else value
    return out


def shapes(model):
    """Return path -> shape of our variables without computing anything."""
    labels = jnp.zeros((4, model.label_size)) if model.label_size else None
    size = (4, *2 * [model.resolution], model.image_channels)
    x = (4, model.z_dim) if isinstance(model, Generator) else size
    x = jax.ShapeDtypeStruct(x, jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), x, labels)
    flat = flax.traverse_util.flatten_dict(variables)
    return {path: value.shape for path, value in flat.items()}


def random_arrays(model, framework, seed=0):
    rng = np.random.default_rng(seed)
    return {
        e.name: rng.normal(size=e.shape).astype(np.float32)
        for e in stylegan2_variables.entries(model, framework)
        if e.path
    }


@pytest.mark.parametrize(("network", "changes"), ALL_VARIANTS)
def test_every_argument(network, changes):
    """The table of names has all of a network's variables, in their shapes."""
    kwargs = merged(network, changes)
    model = stylegan2_torch.build(network, kwargs)
    wanted = shapes(model)
    for framework in stylegan2_variables.FRAMEWORKS:
        table = [e for e in stylegan2_variables.entries(model, framework) if e.path]
        assert {e.path for e in table} == set(wanted) and len(table) == len(wanted)
        loaded = {
            e.path: e.layout.load(np.broadcast_to(np.float32(0), e.shape)).shape
            for e in table
        }
        assert loaded == wanted
    if model.resolution <= 16:
        arrays = random_arrays(model, "torch")
        again, variables = interop.from_official(
            arrays, source=TORCH, network=network, **kwargs
        )
        assert again == model
        back = interop.to_official(model, variables, TORCH, network, **kwargs)
        assert_same({k: v for k, v in back.items() if k in arrays}, arrays)


def test_full_size_networks():
    """Names, shapes and totals of the official ones up to 1024x1024."""
    path = goldens.path(f"{FOLDER}/H5_full_size_shapes_sg2.json")
    for name, official in json.loads(path.read_text()).items():
        network = {"G": "generator", "D": "discriminator"}[name.split("/")[1]]
        model = stylegan2_torch.build(network, official["kwargs"])
        table = stylegan2_variables.entries(model, "torch")
        ours = {e.name: list(e.shape) for e in table}
        assert ours == official["params"] | official["buffers"], name
        count = lambda shapes: sum(int(np.prod(s)) for s in shapes)  # noqa: E731
        variables = shapes(model)
        parameters = [s for p, s in variables.items() if p[0] == "params"]
        assert count(parameters) == official["num_params"]
        assert count(official["buffers"].values()) == official["num_buffers"]
        assert set(variables) == {e.path for e in table if e.path}
        if network == "generator":
            assert model.num_ws == official["num_ws"]


def test_same_network_fills_in_defaults():
    a = Generator(channels=Channels(8192), mapping_features=512)
    same = stylegan2_torch.same_network
    assert same(a, a.clone(mapping_features=None, low_precision_resolutions=4))
    assert not same(a, a.clone(mapping_features=9))
    assert not same(a, a.clone(channels=Channels(4096)))
    d = Discriminator(mapping_layers=3, channels=Channels(8192))
    assert same(d, d.clone(mapping_layers=8, embedding=512))
    d = d.clone(label_size=2)
    assert same(d, d.clone(embedding=512, embedding_features=512))
    assert not same(d, d.clone(mapping_layers=8)) and not same(a, d)


def test_tensorflow_names_of_growing_networks():
    """ToRGB_lod0 and FromRGB_lod0 serve the full resolution; others are ignored."""
    tf_arguments = {"resolution": 16, "fmap_base": 32, "fmap_max": 8}
    g_arguments = tf_arguments | {"latent_size": 8, "dlatent_size": 8}
    for network, layer, kwargs in (
        ("generator", "synthesis/{}ToRGB{}/", g_arguments),
        ("discriminator", "{}FromRGB{}/", tf_arguments),
    ):
        model = stylegan2_tf.build(network, kwargs | {"architecture": "orig"})
        arrays = random_arrays(model, "tf")
        today = layer.format("16x16/", "")
        old = {
            k.replace(today, layer.format("", "_lod0")): v for k, v in arrays.items()
        }
        assert set(old) != set(arrays)
        extra = {k.replace("lod0", "lod1"): v for k, v in old.items() if "lod0" in k}
        old |= extra | {"lod": np.float32(0)}
        got, variables = interop.from_official(old, TF, network, **kwargs)
        assert got == model
        assert_same(interop.to_official(got, variables, TF), arrays, STYLE_BIAS)


@pytest.mark.parametrize(
    ("network", "changes", "message"),
    [
        ("generator", {"bogus": 1}, r"generator: unknown .*'bogus'.*known ones are"),
        ("generator", {"synthesis_kwargs": {"bogus": 1}}, "synthesis_kwargs: unknown"),
        ("generator", {"mapping_kwargs": {"bogus": 1}}, "mapping_kwargs: unknown"),
        ("generator", {"mapping_kwargs": {"w_avg_beta": None}}, "w_avg_beta=None must"),
        ("generator", {"mapping_kwargs": 3}, "mapping_kwargs=3 must be a dict"),
        (
            "generator",
            {"img_resolution": 48},
            r"img_resolution \(=48\) must be a power of two",
        ),
        ("generator", {"img_resolution": 128}, "channel_base=64 leaves no channels"),
        ("generator", {"z_dim": 7.5}, "z_dim=7.5 must be a whole number"),
        (
            "generator",
            {"c_dim": 2, "mapping_kwargs": {"num_layers": 0}},
            "num_layers=0 passes 16 numbers on, but w_dim is 8",
        ),
        ("generator", {"synthesis_kwargs": {"architecture": "x"}}, "'x' is not supp"),
        ("generator", {"synthesis_kwargs": {"resample_filter": "x"}}, "list of numbe"),
        ("generator", {"synthesis_kwargs": {"conv_clamp": -1}}, "from 0 up or None"),
        ("generator", {"synthesis_kwargs": {"kernel_size": 1}}, "kernel_size=1 is not"),
        ("discriminator", {"block_kwargs": {"activation": "x"}}, "lrelu"),
        ("discriminator", {"mapping_kwargs": {"w_avg_beta": 0.9}}, "unknown"),
        ("discriminator", {"cmap_dim": 0}, "cmap_dim=0 must be positive"),
        ("discriminator", {"epilogue_kwargs": {"bogus": 1}}, "epilogue_kwargs: unkn"),
        (
            "discriminator",
            {"epilogue_kwargs": {"mbstd_group_size": 0}},
            "mbstd_group_size=0 must be positive, or None",
        ),
    ],
)
def test_arguments_that_are_refused(network, changes, message):
    with pytest.raises(ValueError, match=message):
        stylegan2_torch.build(network, merged(network, changes))


def test_arrays_that_are_refused():
    g = stylegan2_torch.build("generator", G_ARGUMENTS)
    arrays = random_arrays(g, "torch")
    load = lambda a=arrays, s=TORCH, **k: interop.from_official(  # noqa: E731
        a, s, "generator", **merged("generator", k)
    )
    with pytest.raises(ValueError, match=r"missing \['mapping.embed.bias'"):
        load(c_dim=2)
    with pytest.raises(ValueError, match=r"left over \['x'\].*check `architecture`"):
        load(arrays | {"x": np.zeros(1)})
    with pytest.raises(ValueError, match=r"const has shape .*, expected"):
        load(synthesis_kwargs={"channel_max": 7})
    with pytest.raises(ValueError, match="img_resolution is missing"):
        interop.from_official(arrays, TORCH, "generator", z_dim=8, c_dim=0)
    filters = {"synthesis.b8.resample_filter": np.eye(4) / 4}
    with pytest.raises(ValueError, match="b8.resample_filter is .* check .*resample"):
        load(arrays | filters)
    with pytest.raises(ValueError, match=r"stylegan2-tf generator: unknown .*'z_dim'"):
        load(s=TF)
    model, variables = load()
    with pytest.raises(ValueError, match="these arguments describe"):
        interop.to_official(
            model, variables, network="generator", **G_ARGUMENTS | {"z_dim": 9}
        )
    with pytest.raises(ValueError, match="is not a network of StyleGAN2"):
        interop.to_official(stylegan1.Generator(), variables, TORCH)
    with pytest.raises(ValueError, match="is not a network of StyleGAN .2019"):
        interop.to_official(model, variables, "stylegan1")
    with pytest.raises(ValueError, match="square and do not grow"):
        interop.to_official(model.clone(architecture="growing"), variables)
    with pytest.raises(ValueError, match="square and do not grow"):
        interop.to_official(model.clone(base_size=(4, 8)), variables)
    with pytest.raises(ValueError, match="the variables lack stats/w_avg"):
        interop.to_official(model, {"params": variables["params"]})
