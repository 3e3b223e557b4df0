"""Official StyleGAN2 arrays and files convert to ours and back."""

import dataclasses
import json
import re

import flax.traverse_util
import jax
import numpy as np
import pytest

from stylegan_jax import config, convert, interop, workdir
from stylegan_jax.interop import stylegan2_tf, stylegan2_torch, stylegan2_variables
from stylegan_jax.interop.experiment import experiment_of
from stylegan_jax.interop.network_files import read_networks
from stylegan_jax.models import LevelOfDetail, stylegan1
from stylegan_jax.sampling.synthesis import synthesize
from stylegan_jax.sampling.truncation import truncated_styles
from stylegan_jax.weights import files
from tests import goldens, tiny
from tests.interop import stylegan2_goldens
from tests.interop.stylegan2_goldens import (
    DISCRIMINATORS,
    FOLDER,
    GENERATORS,
    STYLE_BIAS,
    TF,
    TORCH,
    assert_same,
)
from tests.weights import official_pickle

TF_FILES = ["I3_legacy_tf_skip_resnet", "I4_legacy_tf_cond"]
FILES = [*TF_FILES, "I5_torch_snapshot"]
IMAGES = 1e-5  # of the largest value; the goldens' own rounding is below 2e-6
ROLES = {"G": "generator", "D": "discriminator", "G_ema": "generator_ema"}


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


def tf_networks():
    """The networks of I3 as TensorFlow pickled them, by role."""
    return files.read_networks(goldens.path(f"{FOLDER}/{TF_FILES[0]}.pkl"))


def load(role, network):
    return interop.from_official(
        network.variables,
        network.source,
        "discriminator" if role == "discriminator" else "generator",
        **network.kwargs,
    )


@pytest.mark.parametrize("name", FILES)
def test_files_convert_as_the_official_code_converts_them(name):
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
                    for k, v in network.variables.items()
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
        fakes = g.apply(g_variables, z, c, truncation_psi=0.7)
        return fakes, d.apply(d_variables, fakes, c)

    with tiny.quick_compilation():
        fakes, logits = run(arrays["in/z"], arrays["in/c"])
    for got, wanted in (
        (fakes, goldens.nhwc(arrays["out/img_G_ema_psi0.7_const"])),
        (logits, arrays["out/logits_D_of_img"][:, 0]),
    ):
        assert got.shape == wanted.shape
        assert np.abs(got - wanted).max() <= IMAGES * np.abs(wanted).max()


@pytest.mark.parametrize("name", FILES)
def test_convert(name, tmp_path, capsys):
    out = tmp_path / "converted"
    convert.convert(goldens.path(f"{FOLDER}/{name}.pkl"), out)
    conditional = name == "I4_legacy_tf_cond"
    # No configuration has the learning rate and width of its mapping of labels.
    assert ("left out the discriminator" in capsys.readouterr().out) == conditional
    trained = workdir.load_generator(out)
    assert trained.lod == LevelOfDetail(16)
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
            ws = truncated_styles(
                trained.generator,
                trained.variables,
                arrays["in/z"],
                truncation_psi=0.7,
            )
            drawn = synthesize(trained.generator, trained.variables, ws)
        wanted = goldens.nhwc(arrays["out/img_G_ema_psi0.7_const"])
        assert np.abs(drawn - wanted).max() <= IMAGES * np.abs(wanted).max()


def tf_file(path, generator=None, discriminator=None, func_name="D_main", arrays=None):
    """Write I3 with arguments changed or left out (...), or arrays of D replaced."""
    parts = []
    for role, network in tf_networks().items():
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
        part = official_pickle.network(network.name, variables, kwargs, name)
        part.state |= {"version": 5, "components": components}
        for component in components.values():
            component.state["version"] = 5
        parts.append(part)
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
    """StyleGAN2 and StyleGAN2-ADA differ in the defaults and in groups of one."""
    arrays, name = {}, "4x4/Conv/weight"
    if not expected[1]:
        network = tf_networks()["discriminator"]
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
    assert workdir.load_generator(tmp_path / "out").lod.resolution == 16


def test_convert_keeps_the_discriminator_of_a_generator_without_noise():
    networks = file_networks("I3_legacy_tf_skip_resnet")[0]
    pairs = {role: load(role, network) for role, network in networks.items()}
    quiet = pairs["generator_ema"][0]
    quiet = quiet.clone(options=dataclasses.replace(quiet.options, noise=False))
    e, obstacle = experiment_of(quiet, pairs["discriminator"][0])
    assert obstacle is None and not e.model.noise
    with pytest.raises(ValueError, match="different families"):
        experiment_of(quiet, stylegan1.Discriminator())


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
        ({"resample_kernel": [1]}, "(?s)cannot express.*two or more taps"),
        ({"mapping_nonlinearity": "relu"}, "cannot express:\n  mapping_activation='re"),
        ({"min_h": 4, "min_w": 8}, "unknown or unsupported .* 'min_h', 'min_w';"),
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
    network = tf_networks()["discriminator"]
    arrays = {name: np.concatenate([network.variables[name]] * 2)}
    path = tf_file(tmp_path / "G.pkl", arrays=arrays)
    with pytest.raises(ValueError, match="has shape .*, expected"):
        convert.convert(path, tmp_path / "out")


@pytest.mark.slow
def test_the_commands(tmp_path):
    """convert, generate and mix as a user starts them, on a PyTorch snapshot.

    Always tested: `convert.convert` on this file above, and the commands on a file of
    StyleGAN in tests/test_convert.py.
    """
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
