"""Official StyleGAN3 arrays and files convert to ours and back."""

import json

import jax
import numpy as np
import pytest

from stylegan_jax import convert, interop, workdir
from stylegan_jax.interop import stylegan3
from stylegan_jax.interop.network_files import read_networks
from tests import goldens, tiny
from tests.interop.stylegan2_goldens import FOLDER, assert_same
from tests.weights import official_pickle

SOURCE = "stylegan3"
GENERATORS = ["F1_t32_L6", "F2_r32_L6", "F3_t64_L10_c10", "F4_r64_L8", "F5_t64_L14"]
GENERATORS += ["F6_r32_L7_clamp0.7"]
BOTH = "F10_loss_sg3t_blur"


def load(name, letter=""):
    """Return the official arrays and arguments of a network."""
    settings = json.loads(goldens.path(f"{FOLDER}/{name}.json").read_text())
    arrays = goldens.arrays(f"{FOLDER}/{name}.npz")
    kwargs = settings[f"{letter}_kwargs" if letter else "kwargs"]
    return goldens.below(arrays, f"param{letter}/"), kwargs


@pytest.mark.parametrize("name", GENERATORS)
def test_round_trip_is_bit_exact(name):
    official, kwargs = load(name)
    model, variables = interop.from_official(official, SOURCE, "generator", **kwargs)
    again = interop.to_official(model, variables, SOURCE, "generator", **kwargs)
    assert_same(again, official)
    assert_same(interop.to_official(model, variables), official)  # the default source
    # Without the filters, which follow from the arguments.
    fewer = {k: v for k, v in official.items() if not k.endswith("_filter")}
    assert len(fewer) < len(official)
    model, variables = interop.from_official(fewer, SOURCE, "generator", **kwargs)
    assert_same(interop.to_official(model, variables), official)


def test_discriminator_has_other_defaults():
    official, kwargs = load(BOTH, "D")
    kwargs = {
        k: v for k, v in kwargs.items() if k not in ("num_fp16_res", "conv_clamp")
    }
    model, variables = interop.from_official(
        official, SOURCE, "discriminator", **kwargs
    )
    assert model.options.conv_clamp == 256 and model.low_precision_resolutions == 4
    assert_same(interop.to_official(model, variables, SOURCE), official)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conv_kernel": 5}, "conv_kernel=5 is not supported"),
        ({"num_critical": 6}, "num_critical=6 must be less than num_layers=6"),
        ({"img_resolution": 48}, r"img_resolution \(=48\) must be a power of two"),
        ({"use_noise": True}, "unknown or unsupported .*'use_noise'"),
        ({"num_layers": 7}, "do not fit an official StyleGAN3 generator"),
        ({"use_radial_filters": True}, "down_filter has shape"),
        ({"filter_size": 4}, "up_filter has shape"),
        ({"first_cutoff": 1.9}, r"up_filter is .*, expected"),
    ],
)
def test_other_arguments_are_refused(changes, message):
    official, kwargs = load(BOTH, "G")
    with pytest.raises(ValueError, match=message):
        interop.from_official(official, SOURCE, "generator", **kwargs | changes)


def module(class_name, arrays, kwargs, **state):
    """Return a pickled module with its submodules, from the names of its arrays."""
    here, below = {}, {}
    for name, array in arrays.items():
        first, dot, rest = name.partition(".")
        if dot:
            below.setdefault(first, {})[rest] = array
        else:
            here[name] = official_pickle.tensor(np.asarray(array))
    modules = {name: module("Layer", part, {}) for name, part in below.items()}
    return official_pickle.torch_module(class_name, here, kwargs, modules, **state)


@pytest.fixture
def file(tmp_path):
    """Write a snapshot, whose modules also hold NumPy's arrays and numbers."""
    official, kwargs = load(BOTH, "G")
    state = {"cutoffs": np.linspace(2, 16, 7), "rate": np.float64(16)}
    g = module("Generator", official, kwargs, **state)
    d = module("Discriminator", *load(BOTH, "D"))
    path = tmp_path / "stylegan3.pkl"
    path.write_bytes(official_pickle.dumps({"G": g, "D": d, "G_ema": g}))
    return path


def test_files_are_read(file):
    networks = read_networks(file)
    assert {network.source for network in networks.values()} == {SOURCE}
    for role, letter in (("generator_ema", "G"), ("discriminator", "D")):
        arrays, kwargs = load(BOTH, letter)
        assert_same(networks[role].variables, arrays)
        assert networks[role].kwargs == kwargs


def test_convert(file, tmp_path, capsys):
    convert.convert(file, tmp_path / "out")
    assert "left out" not in capsys.readouterr().out
    trained = workdir.load_generator(tmp_path / "out")
    official, kwargs = load(BOTH, "G")
    assert_same(interop.to_official(trained.generator, trained.variables), official)
    model, variables = interop.from_official(official, SOURCE, "generator", **kwargs)
    assert stylegan3.same_network(model, trained.generator)
    e = trained.experiment
    assert (e.model.family, e.model.num_layers, e.data.conditional) == (SOURCE, 6, True)
    z = np.random.default_rng(0).standard_normal((2, 16)).astype(np.float32)
    labels = np.eye(3, dtype=np.float32)[:2]

    with tiny.quick_compilation():
        images, wanted = (
            jax.jit(g.apply)(v, z, labels)
            for g, v in ((trained.generator, trained.variables), (model, variables))
        )
    np.testing.assert_allclose(images, wanted, atol=1e-6)
