"""Official StyleGAN2 arrays in and out again, files, and what is refused."""

import dataclasses
import json
import re

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax import config, convert, interop, workdir
from stylegan_jax.interop import stylegan2_tf, stylegan2_torch, stylegan2_variables
from stylegan_jax.interop.network_files import read_networks
from stylegan_jax.models import stylegan1
from stylegan_jax.models.interface import Channels
from stylegan_jax.models.stylegan2 import Discriminator, Generator
from stylegan_jax.sampling import images
from tests import goldens, tiny
from tests.interop import official_pickle, stylegan2_goldens
from tests.interop.stylegan2_goldens import DISCRIMINATORS, FOLDER, GENERATORS, TORCH

TF = "stylegan2-tf"
TF_FILES = ["I3_legacy_tf_skip_resnet", "I4_legacy_tf_cond"]
FILES = [*TF_FILES, "I5_torch_snapshot"]
IMAGES = 1e-5  # of the largest value; the goldens' own rounding is below 2e-6
STYLE_BIAS = 2.4e-7  # TensorFlow's is less by 1: half a unit in the last place below 4
ROLES = {"G": "generator", "D": "discriminator", "G_ema": "generator_ema"}


def assert_same(arrays, wanted, atol=0.0):
    assert set(arrays) == set(wanted)
    for key, array in wanted.items():
        assert arrays[key].dtype == np.float32 and arrays[key].shape == array.shape
        np.testing.assert_allclose(arrays[key], array, 0, atol, err_msg=key)


def kind(name):
    return "generator" if name in GENERATORS else "discriminator"


@pytest.mark.parametrize("name", GENERATORS + DISCRIMINATORS)
def test_round_trip_is_bit_exact(name):
    model, variables, arrays, settings = stylegan2_goldens.network(name)
    official, kwargs = goldens.below(arrays, "param/"), settings["kwargs"]
    again = interop.to_official(model, variables, TORCH, kind(name), **kwargs)
    assert_same(again, official)
    assert_same(interop.to_official(model, variables), official)  # the default source
    # Without the filters, which follow from the arguments.
    fewer = {k: v for k, v in official.items() if not k.endswith("resample_filter")}
    assert_same(
        interop.to_official(*interop.from_official(fewer, TORCH, kind(name), **kwargs)),
        official,
    )
    # By way of TensorFlow, where the biases of styles lose their last bits.
    tensorflow = interop.to_official(model, variables, TF)
    assert not any("filter" in k or "affine" in k for k in tensorflow)
    changed = stylegan2_variables.entries(model, "tf")
    flat = flax.traverse_util.flatten_dict(variables)
    for entry in changed:
        back = entry.layout.load(tensorflow[entry.name])
        exact = STYLE_BIAS * ("mod_bias" in entry.name)
        np.testing.assert_allclose(back, flat[entry.path], 0, exact)


# Files


def file_networks(name):
    """Network by role, expected arrays and expected settings."""
    networks = read_networks(goldens.path(f"{FOLDER}/{name}.pkl"))
    return networks, *stylegan2_goldens.load(f"{name}_expected")


def load(role, network):
    return interop.from_official(
        network.all_variables(),
        network.source,
        "discriminator" if role == "discriminator" else "generator",
        **network.kwargs,
    )


@pytest.mark.parametrize("name", FILES)
def test_files_hold_what_the_official_code_makes_of_them(name):
    networks, arrays, settings = file_networks(name)
    assert set(networks) == set(ROLES.values())
    for official, role in ROLES.items():
        network = networks[role]
        assert network.source == (TF if name in TF_FILES else TORCH)
        model, variables = load(role, network)
        wanted = goldens.below(arrays, f"{official}/")
        assert_same(interop.to_official(model, variables, TORCH), wanted)
        network_kind = role.removesuffix("_ema")
        kwargs = settings["init_kwargs"][official]
        assert stylegan2_torch.build(network_kind, kwargs) == model
        if name in TF_FILES:
            converted = stylegan2_tf.torch_arguments(network_kind, network.kwargs)
            assert json.loads(json.dumps(converted)) == kwargs
            assert_same(
                interop.to_official(model, variables, TF),
                {
                    re.sub("^G_(?=mapping|synthesis)", "", k): v
                    for k, v in network.all_variables().items()
                },
                STYLE_BIAS,
            )


@pytest.mark.parametrize("name", TF_FILES)
def test_files_give_the_official_images_and_logits(name):
    networks, arrays, _ = file_networks(name)
    (g, g_variables), (d, d_variables) = (
        load(role, networks[role]) for role in ("generator_ema", "discriminator")
    )

    @jax.jit
    def run(z, c):
        made = g.apply(g_variables, z, c, truncation_psi=0.7)
        return made, d.apply(d_variables, made, c)

    with tiny.quick_compilation():
        made, logits = run(arrays["in/z"], arrays["in/c"])
    for got, wanted in (
        (made, goldens.nhwc(arrays["out/img_G_ema_psi0.7_const"])),
        (logits, arrays["out/logits_D_of_img"][:, 0]),
    ):
        assert got.shape == wanted.shape
        assert np.abs(got - wanted).max() <= IMAGES * np.abs(wanted).max()


@pytest.mark.parametrize("name", FILES)
def test_convert(name, tmp_path, capsys):
    out = tmp_path / "converted"
    convert.convert(goldens.path(f"{FOLDER}/{name}.pkl"), out)
    conditional = name == "I4_legacy_tf_cond"
    # Its labels' mapping has a learning rate and a width that are not ours to choose.
    assert ("left out the discriminator" in capsys.readouterr().out) == conditional
    trained = workdir.load_generator(out)
    assert (trained.resolution, trained.fade) == (16, 1.0)
    assert trained.classes == (("0", "1", "2") if conditional else ())
    model, defaults = trained.experiment.model, config.Model()
    for unread in ("styles", "const_input", "instance_norm", "pixel_norm"):
        assert getattr(model, unread) == getattr(defaults, unread)
    assert model.blur_filter == defaults.blur_filter
    networks, arrays, _ = file_networks(name)
    ours = interop.to_official(trained.generator, trained.variables)
    assert_same(ours, goldens.below(arrays, "G_ema/"))
    if name == FILES[0]:
        with tiny.quick_compilation():
            ws = images.styles(
                trained.generator,
                trained.variables,
                arrays["in/z"],
                truncation_psi=0.7,
            )
            drawn = images.synthesize(trained.generator, trained.variables, ws)
        wanted = goldens.nhwc(arrays["out/img_G_ema_psi0.7_const"])
        assert np.abs(drawn - wanted).max() <= IMAGES * np.abs(wanted).max()


def tf_file(path, generator=None, discriminator=None, func_name="D_main", arrays=None):
    """Writes I3 anew: arguments changed, or left out (...), arrays of D replaced."""
    parts = []
    for role, network in file_networks("I3_legacy_tf_skip_resnet")[0].items():
        of_d = role == "discriminator"
        changes = (discriminator if of_d else generator) or {}
        kwargs = network.static_kwargs | changes
        kwargs = {k: v for k, v in kwargs.items() if v is not ...}
        components = {
            key: official_pickle.network(c.name, c.variables, {}, c.func_name)
            for key, c in network.components.items()
        }
        variables = network.variables | ((arrays if of_d else None) or {})
        name = func_name if of_d else network.func_name
        made = official_pickle.network(network.name, variables, kwargs, name)
        made.state |= {"version": 5, "components": components}
        for component in components.values():
            component.state["version"] = 5
        parts.append(made)
    path.write_bytes(official_pickle.dumps(tuple(parts)))
    return path


NO_GROUPS = {"mbstd_group_size": ..., "mbstd_num_features": ...}


@pytest.mark.parametrize(
    ("func_name", "changes", "expected"),
    [
        ("D_main", NO_GROUPS, (None, 1)),
        ("D_stylegan2", NO_GROUPS, (4, 1)),
        ("D_stylegan", NO_GROUPS, (4, 1)),
        ("D_stylegan2", {"mbstd_group_size": 8}, (8, 1)),
        # StyleGAN2-ADA appends the (constant) statistics of groups of one.
        ("D_main", {"mbstd_group_size": 1}, (1, 1)),
        ("D_stylegan2", {"mbstd_group_size": 1}, (None, 0)),
        ("D_stylegan2", {"mbstd_group_size": 0}, (None, 0)),
    ],
)
def test_minibatch_statistics_of_both_tensorflow_codes(
    tmp_path, func_name, changes, expected
):
    """StyleGAN2's and StyleGAN2-ADA's defaults, and what groups of one mean, differ."""
    arrays, name = {}, "4x4/Conv/weight"
    if not expected[1]:
        network = file_networks("I3_legacy_tf_skip_resnet")[0]["discriminator"]
        arrays[name] = network.variables[name][:, :, :-1]
    path = tf_file(tmp_path / "D.pkl", None, changes, func_name, arrays)
    network = read_networks(path)["discriminator"]
    model, _ = load("discriminator", network)
    assert (model.mbstd_group_size, model.mbstd_features) == expected


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        (NO_GROUPS, "mbstd_group_size` .=None"),
        ({"resample_kernel": [1, 2, 1]}, r"resample_filter=\(1, 2, 1\)"),
        ({"nonlinearity": "relu"}, "activation='relu'"),
        ({"conv_clamp": 3}, "conv_clamp=3.0"),
    ],
)
def test_convert_names_what_it_leaves_out(tmp_path, capsys, changes, option):
    convert.convert(tf_file(tmp_path / "G.pkl", None, changes), tmp_path / "out")
    shown = capsys.readouterr().out
    assert re.search(f"left out the discriminator.*\n.*\n?.*{option}", shown)
    assert "latent" not in shown and "architecture" not in shown
    assert workdir.load_generator(tmp_path / "out").resolution == 16


def test_convert_keeps_the_discriminator_of_a_generator_without_noise():
    networks = file_networks("I3_legacy_tf_skip_resnet")[0]
    pairs = {role: load(role, network) for role, network in networks.items()}
    quiet = pairs["generator_ema"][0]
    quiet = quiet.clone(options=dataclasses.replace(quiet.options, noise=False))
    e, obstacle = convert._experiment_of(quiet, pairs["discriminator"][0])
    assert obstacle is None and not e.model.noise
    with pytest.raises(ValueError, match="different families"):
        convert._experiment_of(quiet, stylegan1.Discriminator())


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        ({"fmap_base": None}, "fmap_base=None must be a number"),
        ({"fmap_base": [1]}, r"fmap_base=\[1\] must be a number"),
        ({"fmap_max": 10**400}, "channel_max=1000.* must be a whole number"),
        ({"architecture": np.zeros(3)}, "architecture=array.* is not supported"),
        ({"nonlinearity": ["lrelu"]}, r"activation=\['lrelu'\] is not supported"),
        ({"use_noise": np.ones(2, bool)}, "use_noise=array.* is not supported"),
        ({"resample_kernel": [[1, 2], [3, 4]]}, "(?s)cannot express.*resample_filter"),
        ({"resample_kernel": [1]}, "(?s)cannot express.*resample_filter.*two taps"),
        ({"mapping_nonlinearity": "relu"}, "cannot express:\n  mapping_activation='re"),
        ({"min_h": 4, "min_w": 8}, r"unknown or unsupported .*\['min_h', 'min_w'\]"),
        ({"resolution": 8}, "left over"),
    ],
)
def test_convert_refuses_in_one_message(tmp_path, generator, message):
    path, out = tf_file(tmp_path / "G.pkl", generator), tmp_path / "out"
    with pytest.raises(ValueError, match=message):
        convert.convert(path, out)
    assert not out.exists()


def test_convert_refuses_rectangles(tmp_path):
    name = "4x4/Dense0/weight"
    network = file_networks("I3_legacy_tf_skip_resnet")[0]["discriminator"]
    arrays = {name: np.concatenate([network.variables[name]] * 2)}
    path = tf_file(tmp_path / "G.pkl", arrays=arrays)
    with pytest.raises(ValueError, match="has shape .* these arguments give"):
        convert.convert(path, tmp_path / "out")


def test_the_commands(tmp_path):
    """convert, generate and mix as a user starts them, on a PyTorch snapshot."""
    out, figure = tmp_path / "converted", tmp_path / "mixing.png"
    source = goldens.path(f"{FOLDER}/I5_torch_snapshot.pkl")
    with tiny.quick_compilation():
        tiny.finish(
            tiny.start("stylegan_jax.convert", f"--source={source}", f"--out={out}")
        )
        run = f"--workdir={out}"
        seeds = ("--seeds=0-1", f"--out={tmp_path / 'images'}")
        both = [
            tiny.start("stylegan_jax.generate", run, *seeds),
            tiny.start("stylegan_jax.mix", run, f"--out={figure}"),
        ]
        for process in both:
            tiny.finish(process)
    assert (tmp_path / "images" / "seed0001.png").exists() and figure.exists()


# Arguments

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
    """The arguments above with changes, also within their dicts."""
    out = dict(DEFAULTS[network])
    for key, value in changes.items():
        out[key] = out.get(key, {}) | value if isinstance(value, dict) else value
    return out


def shapes(model):
    """Path -> shape of our variables; nothing is computed."""
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


def test_same_network_knows_spelt_out_defaults():
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
    """ToRGB_lod0 and FromRGB_lod0 are those of the full resolution; others go."""
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
        ("generator", {"bogus": 1}, r"generator: unknown .*'bogus'.*known are"),
        ("generator", {"synthesis_kwargs": {"bogus": 1}}, "synthesis_kwargs: unknown"),
        ("generator", {"mapping_kwargs": {"bogus": 1}}, "mapping_kwargs: unknown"),
        ("generator", {"mapping_kwargs": {"w_avg_beta": None}}, "w_avg_beta=None must"),
        ("generator", {"mapping_kwargs": 3}, "mapping_kwargs=3 must be a dict"),
        ("generator", {"img_resolution": 48}, "=48 must be a power of two"),
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
    with pytest.raises(ValueError, match=r"left over \['x'\].*Check `architecture`"):
        load(arrays | {"x": np.zeros(1)})
    with pytest.raises(ValueError, match=r"const has shape .* these arguments give"):
        load(synthesis_kwargs={"channel_max": 7})
    with pytest.raises(ValueError, match="img_resolution is missing"):
        interop.from_official(arrays, TORCH, "generator", z_dim=8, c_dim=0)
    filters = {"synthesis.b8.resample_filter": np.eye(4) / 4}
    with pytest.raises(ValueError, match="b8.resample_filter is .* Check .*resample"):
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
