"""TensorFlow-era files are read; damaged and foreign ones are refused and named."""

import json
import pickle
import struct

import numpy as np
import pytest

from stylegan_jax.weights.files import read_networks
from stylegan_jax.weights.pickle import PickleError
from tests import goldens
from tests.weights import official_pickle
from tests.weights.official_pickle import EasyDict, Network, dumps
from tests.weights.small_files import of_tensor, read, refuse, small, snapshot

STYLEGAN2_FILES = ("I3_legacy_tf_skip_resnet", "I4_legacy_tf_cond")


@pytest.fixture(scope="module")
def stylegan1():
    """Official variables and arguments of a small StyleGAN G and D."""
    g_data = goldens.arrays("stylegan1/g_32_linear.npz")
    d_data = goldens.arrays("stylegan1/d_32.npz")
    return {
        "g_vars": goldens.below(g_data, "vars/G/"),
        "g_kwargs": goldens.settings("stylegan1/g_32_linear.npz")["G_kwargs"],
        "d_vars": goldens.below(d_data, "vars/D_label0/"),
        "d_kwargs": goldens.settings("stylegan1/d_32.npz")["D_kwargs"],
    }


# Reading


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_reads_a_stylegan_file(tmp_path, stylegan1, protocol):
    averaged = {name: value + 1 for name, value in stylegan1["g_vars"].items()}
    path = official_pickle.write_official_pickle(
        tmp_path / "karras2019.pkl", **stylegan1, gs_vars=averaged, protocol=protocol
    )
    networks = read_networks(path)
    assert list(networks) == ["generator", "discriminator", "generator_ema"]
    for role, expected in (
        ("generator", stylegan1["g_vars"]),
        ("discriminator", stylegan1["d_vars"]),
        ("generator_ema", averaged),
    ):
        variables = networks[role].all_variables()
        assert variables.keys() == expected.keys()
        for name, value in variables.items():
            assert value.dtype == np.float32
            np.testing.assert_array_equal(value, expected[name], err_msg=name)
    generator = networks["generator"]
    assert (generator.name, generator.func_name) == ("G", "G_style")
    assert generator.version == 3
    assert generator.static_kwargs == stylegan1["g_kwargs"]
    assert type(generator.static_kwargs) is dict
    assert set(generator.variables) == {"lod", "dlatent_avg"}
    assert list(generator.components) == ["mapping", "synthesis"]
    assert "was compiled" in generator.module_source


@pytest.mark.parametrize("name", STYLEGAN2_FILES)
def test_reads_an_official_stylegan2_file(name):
    folder = "stylegan2_and_3"
    networks = read_networks(goldens.path(f"{folder}/{name}.pkl"))
    expected = goldens.arrays(f"{folder}/{name}_expected.npz")
    kwargs = json.loads(goldens.path(f"{folder}/{name}_expected.json").read_text())
    generator = networks["generator_ema"]
    settings = kwargs["init_kwargs"]["G_ema"]
    assert generator.version == 5
    assert generator.static_kwargs["resolution"] == settings["img_resolution"]
    assert generator.static_kwargs["label_size"] == settings["c_dim"]
    assert (
        generator.static_kwargs["architecture"]
        == settings["synthesis_kwargs"]["architecture"]
    )
    variables = generator.all_variables()
    discriminator = networks["discriminator"].all_variables()
    # Variables whose conversion is a copy or a permutation.
    pairs = (
        (variables["dlatent_avg"], "G_ema/mapping.w_avg"),
        (variables["G_mapping/Dense1/weight"].T, "G_ema/mapping.fc1.weight"),
        (variables["G_synthesis/4x4/Const/const"][0], "G_ema/synthesis.b4.const"),
        (
            variables["G_synthesis/8x8/Conv1/noise_strength"],
            "G_ema/synthesis.b8.conv1.noise_strength",
        ),
        (
            variables["G_synthesis/8x8/Conv1/weight"].transpose(3, 2, 0, 1),
            "G_ema/synthesis.b8.conv1.weight",
        ),
        (discriminator["4x4/Dense0/weight"].T, "D/b4.fc.weight"),
        (discriminator["Output/bias"], "D/b4.out.bias"),
    )
    for value, key in pairs:
        np.testing.assert_array_equal(value, expected[key], err_msg=key)


def test_reads_python_2_strings(tmp_path):
    """Protocol 2 of Python 2: text and array contents are 8-bit strings."""

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    values = np.array([[1.5, -2.0], [3e-8, 255.0]], np.float32)
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02K\x02\x86cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R"
        b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
    )
    data = (
        b"\x80\x02ctfutil\nNetwork\n)\x81}("
        + (text(b"version") + b"K\x02" + text(b"name") + text(b"Gs"))
        + (text(b"static_kwargs") + b"}" + text(b"func_name") + text(b"G_paper"))
        + (text(b"variables") + b"]" + text(b"w"))
        + (array + text(values.tobytes()) + b"tb\x86aub.")
    )
    networks = read(tmp_path, data)
    assert list(networks) == ["network"]
    assert networks["network"].func_name == "G_paper"
    np.testing.assert_array_equal(networks["network"].variables["w"], values)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_reads_arrays_of_the_installed_numpy(tmp_path, protocol):
    values = {
        "fortran": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
        "big_endian": np.arange(3, dtype=">f4"),
        "double": np.linspace(0, 1, 4),
        "half": np.float16([0.5]),
        "scalar": np.float32(0.25),
        "integer": np.arange(5),
    }
    with official_pickle._official_modules():
        # Outside of numpy's old names: the plain pickler of this Python.
        data = pickle.dumps(small(values), protocol)
    assert (b"_core" in data) or protocol == 2
    variables = read(tmp_path, data)["network"].variables
    assert list(variables) == list(values)
    for name, value in variables.items():
        np.testing.assert_array_equal(value, values[name], err_msg=name)
        assert value.dtype.isnative and value.flags.writeable
        assert value.dtype == values[name].dtype.newbyteorder("=")


def test_settings_become_plain_values(tmp_path):
    settings = {
        "blur_filter": [1, 2, 1],
        "fused_scale": "auto",
        "psi": np.float64(0.7),
        "nested": EasyDict(pair=(1, None)),
    }
    read_back = read(tmp_path, dumps(small(static_kwargs=settings)))["network"]
    assert read_back.static_kwargs == {**settings, "nested": {"pair": (1, None)}}
    assert type(read_back.static_kwargs["psi"]) is float
    assert type(read_back.static_kwargs["nested"]) is dict


def test_optional_keys_may_be_absent(tmp_path):
    state = {"version": 2, "name": "G", "variables": []}
    network = read(tmp_path, dumps(Network(state)))["network"]
    assert network.components == {}
    assert network.func_name == network.module_source == ""


# Damaged and foreign files


def test_truncated_files_are_refused(tmp_path):
    data = dumps(small())
    for length in range(1, len(data)):
        refuse(tmp_path, data[:length], "truncated or damaged.*download it again")
    refuse(tmp_path, b"", "is empty")
    refuse(tmp_path, data + b"x", "has 1 bytes after its end")


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"PK\x03\x04rest", "a zip archive: a PyTorch file"),
        (
            b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02",
            "a PyTorch file of the older format",
        ),
        (b"\n <!DOCTYPE html><html>", "a web page; the download"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"not a network", "damaged, or not a pickle; expected a "),
        (b"\x10\0\0\0\0\0\0\0{}", "is safetensors; expected a "),
    ],
)
def test_foreign_files_are_named(tmp_path, data, match):
    refuse(tmp_path, data, match)


@pytest.mark.parametrize(("protocol", "torch"), [(2, False), (4, False), (4, True)])
def test_random_damage_is_read_or_refused(tmp_path, protocol, torch):
    """Read or refuse 300 files with 1 to 4 wrong bytes, with no other exception."""
    rng = np.random.default_rng(0)
    whole = (small(), small(), small(components={"mapping": small()}))
    data = dumps(snapshot(of_tensor()) if torch else whole, protocol)
    refused = 0
    for _ in range(300):
        damaged = bytearray(data)
        for _ in range(rng.integers(1, 5)):
            damaged[rng.integers(len(data))] = rng.integers(256)
        try:
            read(tmp_path, bytes(damaged))
        except PickleError:
            refused += 1
    assert 0 < refused < 300


def test_a_huge_claimed_length_allocates_nothing(tmp_path):
    data = b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"abc."
    refuse(tmp_path, data, "truncated or damaged")
