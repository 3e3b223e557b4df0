"""Official files are read; hostile ones are refused and provably run nothing."""

import copyreg
import functools
import json
import os
import pickle
import struct
import tracemalloc

import numpy as np
import pytest

from stylegan_jax.interop import stand_ins
from stylegan_jax.interop.network_files import read_networks
from stylegan_jax.interop.pickles import PickleError
from tests import goldens
from tests.interop import official_pickle
from tests.interop.official_pickle import (
    EasyDict,
    Module,
    Network,
    Storage,
    Tensor,
    dumps,
    network,
    tensor,
    torch_module,
)

TORCH = "stylegan2-ada-pytorch"
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


def small(variables=None, static_kwargs=None, **state) -> Network:
    if variables is None:
        variables = [("lod", np.float32(0)), ("w", np.ones((2, 3), np.float32))]
    made = network("D", variables, static_kwargs or {"resolution": 8}, "D_basic")
    made.state.update(state)
    return made


def read(tmp_path, data: bytes):
    path = tmp_path / "network.pkl"
    path.write_bytes(data)
    return read_networks(path)


def refuse(tmp_path, data: bytes, match: str) -> None:
    with pytest.raises(PickleError, match=match) as caught:
        read(tmp_path, data)
    assert "network.pkl" in str(caught.value)


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
    # Those whose conversion is a copy or a permutation, per the table of names.
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
def test_reads_arrays_as_today_s_numpy_writes_them(tmp_path, protocol):
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
    made = read(tmp_path, dumps(Network(state)))["network"]
    assert (made.components, made.func_name, made.module_source) == ({}, "", "")


# Hostile files


class Calls:
    """Pickles to a call of any function, as hostile files do."""

    def __init__(self, function, *arguments, state=None):
        self.reduced = (function, arguments, state)

    def __reduce__(self):
        return self.reduced


def attacks(sentinel):
    command = f"touch {sentinel}"
    code = f"open({str(sentinel)!r}, 'w')"
    return {
        "os.system": Calls(os.system, command),
        "eval": Calls(eval, code),
        "exec": Calls(exec, code),
        "open": Calls(open, str(sentinel), "w"),
        "getattr": Calls(getattr, Calls(__import__, "os"), "system"),
        "attribute": Calls(Network.__init__, command),
        "partial": Calls(functools.partial, os.system, command),
        "reconstructor": Calls(copyreg._reconstructor, EasyDict, dict, {}),
        "numpy.load": Calls(np.load, str(sentinel)),
        "fromfile": Calls(np.fromfile, str(sentinel)),
        "memmap": Calls(np.memmap, str(sentinel), "f4", "w+", 0, (4,)),
        "object array": np.array([Calls(os.system, command)], dtype=object),
        "empty object array": np.array([], dtype=object),
    }


# Where in a network file the attack is put.
PLACES = {
    "alone": lambda attack: attack,
    "in the tuple": lambda attack: (small(), attack, small()),
    "as a variable": lambda attack: small([("w", attack)]),
    "in the variables": lambda attack: small([attack]),
    "as a setting": lambda attack: small(static_kwargs={"psi": attack}),
    "as a component": lambda attack: small(components={"mapping": attack}),
    "as an unknown key": lambda attack: small(extra=[attack]),
}


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("attack", attacks("x"))
def test_attacks_are_refused_and_nothing_runs(tmp_path, attack, place, protocol):
    sentinel = tmp_path / "sentinel"
    hostile = attacks(sentinel)[attack]
    data = dumps(PLACES[place](hostile), protocol)
    refuse(tmp_path, data, "(?i)nothing in (it|the file) was executed")
    assert not sentinel.exists()


def test_the_sentinel_does_betray_an_attack(tmp_path):
    """The plain unpickler runs the same bytes: the test above can fail."""
    sentinel = tmp_path / "sentinel"
    data = dumps(small([("w", attacks(sentinel)["os.system"])]))
    with official_pickle._official_modules():
        pickle.loads(data)
    assert sentinel.exists()


def test_the_refusal_names_the_global(tmp_path):
    data = dumps(small([("w", Calls(os.system, "true"))]))
    refuse(tmp_path, data, r"'posix\.system'.*attack.*nothing in the file was executed")


DTYPE = b"cnumpy\ndtype\n"
NETWORK = b"cdnnlib.tflib.network\nNetwork\n"
EASY_DICT = b"cdnnlib.util\nEasyDict\n"
RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
ARRAY = RECONSTRUCT + b"cnumpy\nndarray\nK\x00\x85C\x01b\x87R"
F4 = DTYPE + b"X\x02\x00\x00\x00f4\x85R"
NEW_STATE = b"}X\x09\x00\x00\x00__class__K\x01s"

# Hand-written programs that misuse the names which are allowed, and why each fails.
MISUSES = {
    "state of a dtype": (
        DTYPE + NEW_STATE + b"b",
        r"attempt to change `numpy\.dtype`",
    ),
    "state of a function": (
        RECONSTRUCT + NEW_STATE + b"b",
        "attempt to change.*_reconstruct",
    ),
    "defaults of a function": (
        RECONSTRUCT + b"N" + NEW_STATE + b"\x86b",
        "attempt to change.*_reconstruct",
    ),
    "state of the array class": (
        b"cnumpy\nndarray\n" + NEW_STATE + b"b",
        r"attempt to change `numpy\.ndarray`",
    ),
    "state of the network class": (
        NETWORK + NEW_STATE + b"b",
        "__setstate__.. missing 1",
    ),
    "slots of the network class": (
        NETWORK + b"N" + NEW_STATE + b"\x86b",
        "__setstate__.. missing 1",
    ),
    "slots of a network": (
        NETWORK + b")\x81N" + NEW_STATE + b"\x86b",
        "network state is a tuple",
    ),
    "state of the dict class": (
        EASY_DICT + NEW_STATE + b"b",
        "__setstate__.. missing 1",
    ),
    "state of a dict": (
        EASY_DICT + b")\x81" + NEW_STATE + b"b",
        "attributes of its own",
    ),
    "slots of a dict": (
        EASY_DICT + b")\x81N" + NEW_STATE + b"\x86b",
        "attributes of its own",
    ),
    "arguments of a network": (
        NETWORK + b"K\x01\x85R",
        "takes no arguments",
    ),
    "arguments of a dict": (
        EASY_DICT + b"](K\x01K\x02\x86e\x85R",
        "takes 1 positional argument",
    ),
    "new of a function": (
        RECONSTRUCT + b")\x81",
        "must be a type",
    ),
    "call of the array class": (
        b"cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85R",
        "not callable",
    ),
    "another array class": (
        RECONSTRUCT + NETWORK + b"K\x00\x85C\x01b\x87R",
        "another class than",
    ),
    "object dtype": (
        DTYPE + b"X\x01\x00\x00\x00O\x85R",
        "dtype 'O'; only plain",
    ),
    "structured dtype": (
        DTYPE + b"](X\x01\x00\x00\x00aX\x02\x00\x00\x00f4\x86e\x85R",
        "dtype a list; only plain",
    ),
    "subarray dtype": (
        F4 + b"(K\x03X\x01\x00\x00\x00|" + F4 + b"K\x02\x86NNK\x08K\x04K\x00tb",
        "structured dtype",
    ),
    "other encoding": (
        b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00hex\x86R",
        "something else than latin1",
    ),
    "huge shape": (
        ARRAY + b"(K\x01J\xff\xff\xff\x7f\x85" + F4 + b"\x89C\x04abcdtb",
        "needs 8,589,934,588 bytes, the file has 4",
    ),
    "negative shape": (
        ARRAY + b"(K\x01J\xff\xff\xff\xff\x85" + F4 + b"\x89C\x04abcdtb",
        "not a tuple of sizes",
    ),
    "objects for content": (
        ARRAY + b"(K\x01K\x01\x85" + F4 + b"\x89](K\x01etb",
        "content is a list",
    ),
    "short content": (
        b"cnumpy.core.multiarray\nscalar\n" + F4 + b"C\x03abc\x86R",
        "needs 4 bytes, the file has 3",
    ),
    "list for a size": (
        b"ctorch\nSize\n](K\x01e\x85R",
        "size is a list",
    ),
    "numbers in a set": (
        b"cbuiltins\nset\n](K\x01e\x85R",
        "something else than at most 100 names",
    ),
    "large set": (
        b"c__builtin__\nset\n](" + b"X\x01\x00\x00\x00a" * 101 + b"e\x85R",
        "something else than at most 100 names",
    ),
    "state of a set": (
        b"cbuiltins\nset\n)R}b",
        "set with attributes of its own",
    ),
    # Keys: hashing walks a tuple once for each way to each of its parts, and as deep.
    "key of shared tuples": (
        b"})" + b"q\x00h\x00\x86" * 40 + b"K\x00s",
        "tuple of more than 1,000 values",
    ),
    "key of doubled tuples": (
        b"}(" + b")" + b"2\x86" * 40 + b"K\x00u",
        "tuple of more than 1,000 values",
    ),
    "key of a deep tuple": (
        b"})" + b"\x85" * 100_000 + b"K\x00s",
        "tuple of more than 1,000 values",
    ),
    "long program": (
        b"N0" * 500_000 + b"N",
        "more than 1,000,000 instructions",
    ),
    "extension registry": (
        b"\x82\x01",
        "extension registry",
    ),
    "distant memo": (
        b"Nr\xff\xff\xff\x7f",
        "claims memo slot 2,147,483,647",
    ),
    "out-of-band buffer": (
        b"\x97",
        "out-of-band",
    ),
    "dotted name": (
        b"\x8c\x06dnnlib\x8c\x15tflib.network.Network\x93",
        r"asks for 'dnnlib\.tflib\.network\.Network'",
    ),
    "private part": (
        b"\x8c\x05numpy\x8c\x0dndarray.dumps\x93",
        r"asks for 'numpy\.ndarray\.dumps'",
    ),
}


@pytest.mark.parametrize("misuse", MISUSES)
def test_misuse_of_allowed_names_is_refused(tmp_path, misuse):
    program, reason = MISUSES[misuse]
    refuse(tmp_path, b"\x80\x04" + program + b".", f"{reason}.*[Nn]othing in")
    # What is bound to the names must not have changed for the next file.
    assert read(tmp_path, dumps(small()))["network"].name == "D"


def test_persistent_ids_are_refused(tmp_path):
    refuse(tmp_path, b"\x80\x02X\x01\x00\x00\x00aQ.", "PyTorch")


def test_files_that_unfold_are_refused(tmp_path):
    inner = [1]
    for _ in range(40):  # 2^40 values in 40 lists
        inner = [inner, inner]
    refuse(tmp_path, dumps(small(static_kwargs={"a": inner})), "too large")
    wide = [1] * 100
    wide = [wide] * 100
    refuse(tmp_path, dumps(small(static_kwargs={"a": [wide] * 100})), "too large")
    cycle = small()
    cycle.state["components"] = {"mapping": cycle}
    refuse(tmp_path, dumps(cycle), "component with components")


def test_one_array_repeated_cannot_exceed_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(stand_ins, "MAX_BYTES", 10_000)
    array = np.zeros(500, np.uint8)  # 2000 bytes as float32
    fits = small([(f"w{i}", array) for i in range(5)])
    assert len(read(tmp_path, dumps(fits))["network"].variables) == 5
    exceeds = small([(f"w{i}", array) for i in range(6)])
    refuse(tmp_path, dumps(exceeds), "exceed 10,000 bytes")
    refuse(tmp_path, bytes(10_001), "has 10,001 bytes")


def test_settings_have_one_budget_for_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(stand_ins, "MAX_SETTINGS", 36)
    three = [small(static_kwargs={"a": [0] * 10}) for _ in range(3)]  # 12 values each
    assert len(read(tmp_path, dumps(tuple(three)))) == 3
    three[0] = small(static_kwargs={"a": [0] * 11})
    refuse(tmp_path, dumps(tuple(three)), "generator_ema.static_kwargs is too large")


def test_small_arrays_are_counted(tmp_path, monkeypatch):
    empty = np.zeros(0, np.float32)
    module = torch_module("G", {f"w{i}": tensor(empty) for i in range(4)})
    for _ in range(3):  # modules that share their tensors: 4^4 names of 4 arrays
        module = torch_module("G", {}, modules={f"m{i}": module for i in range(4)})
    files = (
        ("generator", dumps({"G": module})),
        ("network", dumps(small([(f"w{i}", empty) for i in range(256)]))),
    )
    for role, data in files:
        monkeypatch.setattr(stand_ins, "MAX_ARRAYS", 256)
        assert len(read(tmp_path, data)[role].variables) == 256
        monkeypatch.setattr(stand_ins, "MAX_ARRAYS", 255)
        refuse(tmp_path, data, "more than 255 arrays")


def test_calls_copy_nothing(tmp_path):
    """A call costs a file five bytes; a copy of the names would take 8 kB."""
    names = b"](" + b"".join(b"X\x01\x00\x00\x00%c" % (65 + i) for i in range(60))
    calls = b"h\x00h\x01R" * 20_000
    data = b"\x80\x02cbuiltins\nset\nq\x00" + names + b"e\x85q\x01](" + calls + b"e."
    tracemalloc.start()
    refuse(tmp_path, data, "holds a list")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 * len(data)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ((), "holds a tuple; expected the three networks"),
        ((1, 2, 3), "holds a tuple"),
        ({"G": 1}, "holds a dict"),
        (small(version=9), "version is 9, expected 2 to 5"),
        (small(version="3"), "version is '3'"),
        (small(name=3), "`name` is a int, expected a str"),
        (
            Network({"version": 3, "name": "G", "variables": {}}),
            "`variables` is a dict, expected a list",
        ),
        (small([("w", 1.0)]), "variable 'w' is a float, not an array"),
        (small([("w", np.zeros(1)), ("w", np.zeros(1))]), "two variables 'w'"),
        (small([(1, np.zeros(1))]), "variable name is a int"),
        (small(static_kwargs={"a": {1: 2}}), "key is a int"),
        (small(components={"mapping": 3}), "network.mapping is a int"),
        (small(components={f"part{i}": 3 for i in range(9)}), "more than 8 components"),
        (small([("w" * 201, np.zeros(1))]), "variable name has more than 200 char"),
        (Network({"version": 3, "name": "G"}), "has no `variables`"),
    ],
)
def test_unexpected_content_is_explained(tmp_path, content, match):
    refuse(tmp_path, dumps(content), match)


def test_names_that_coincide_are_refused(tmp_path):
    part = small([("w", np.zeros(1))])
    whole = small([("G_mapping/w", np.zeros(1))], components={"mapping": part})
    made = read(tmp_path, dumps(whole))["network"]
    with pytest.raises(PickleError, match="two variables named 'G_mapping/w'"):
        made.all_variables()


# Snapshots of PyTorch


def snapshot(module):
    return {"G": module, "D": module, "G_ema": module, "training_set_kwargs": None}


def test_reads_tensors_as_pytorch_lays_them_out(tmp_path):
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    tensors = {
        "plain": tensor(values),
        "channels_last": tensor(np.asfortranarray(values)),
        "window": tensor(values, strides=(12,), shape=(2,), offset=5),
        "scalar": tensor(values, strides=(), shape=(), offset=7),
        "empty": tensor(values, strides=(1,), shape=(0,)),
        "double": Tensor(
            Storage(official_pickle.storage_bytes(np.float64([0.1]), b"Double")),
            *(0, (1,), (1,), False, {}),
        ),
        "temporary": tensor(values),
    }
    inner = official_pickle.torch_module(
        "Layer", tensors, _non_persistent_buffers_set={"temporary"}
    )
    outer = official_pickle.torch_module(
        "Generator",
        {},
        {"z_dim": np.int64(4), "deep": EasyDict(a=[1, (2.5, None)])},
        {"layer": inner, "absent": None},
        _parameters={"weight": official_pickle.Parameter(tensors["plain"], True, {})},
    )
    networks = read(tmp_path, dumps(snapshot(outer)))
    assert list(networks) == ["generator", "discriminator", "generator_ema"]
    network = networks["generator_ema"]
    assert (network.class_name, network.source) == ("Generator", TORCH)
    assert network.kwargs == {"z_dim": 4, "deep": {"a": [1, (2.5, None)]}}
    assert "was compiled" in network.module_source
    wanted = {
        "weight": values,
        "layer.plain": values,
        "layer.channels_last": values,
        "layer.window": np.float32([5, 17]),
        "layer.scalar": np.float32(7),
        "layer.empty": np.zeros(0, np.float32),
        "layer.double": np.float32([0.1]),
    }
    variables = network.all_variables()
    assert list(variables) == list(wanted)
    for name, value in variables.items():
        assert value.dtype == np.float32 and value.shape == wanted[name].shape
        np.testing.assert_array_equal(value, wanted[name], err_msg=name)
    older = read(tmp_path, dumps(snapshot(outer), 3))["generator"]  # calls for the set
    assert list(older.variables) == list(wanted)


# Where in a snapshot an attack is put.
TORCH_PLACES = {
    "as a network": lambda a: a,
    "as a tensor": lambda a: torch_module("G", {"w": a}),
    "as a module": lambda a: torch_module("G", {}, modules={"m": a}),
    "as an argument": lambda a: torch_module("G", {}, {"psi": a}),
    "in the description": lambda a: Module(a),
    "as a storage": lambda a: torch_module("G", {"w": Tensor(a, 0, (), (), 0, {})}),
    "as tensor data": lambda a: torch_module("G", {"w": Storage(a)}),
    "inside tensor data": lambda a: torch_module(
        "G", {"w": Tensor(Storage(dumps(a, 2)), 0, (), (), False, {})}
    ),
    "as an unread attribute": lambda a: torch_module("G", {}, extra=[a]),
}


@pytest.mark.parametrize("place", TORCH_PLACES)
@pytest.mark.parametrize("attack", attacks("x"))
def test_attacks_in_snapshots_are_refused(tmp_path, attack, place):
    sentinel = tmp_path / "sentinel"
    hostile = TORCH_PLACES[place](attacks(sentinel)[attack])
    refuse(
        tmp_path,
        dumps(snapshot(hostile)),
        "(?i)nothing in (it|the file) was executed",
    )
    assert not sentinel.exists()


NUMBERS = np.arange(6, dtype=np.float32)


def cyclic():
    made = torch_module("G", {})
    made.arguments[0]["state"]["_modules"]["again"] = made
    return made


def of_tensor(**kwargs):
    return torch_module("G", {"w": tensor(NUMBERS, **kwargs)})


def of_data(data):
    return torch_module("G", {"w": Tensor(Storage(data), 0, (1,), (1,), False, {})})


DATA = official_pickle.storage_bytes(NUMBERS)


@pytest.mark.parametrize(
    ("module", "match"),
    [
        (of_tensor(shape=(7,)), "goes beyond its 6 numbers"),
        (of_tensor(offset=1), "goes beyond"),
        (of_tensor(strides=(2,)), "goes beyond"),
        (of_tensor(shape=(2**20, 2**20), strides=(0, 0)), "goes beyond"),
        (of_tensor(strides=(-1,)), "are not sizes"),
        (of_tensor(offset=-1), "are not sizes"),
        (of_tensor(shape=(1, 1)), "more strides than axes|goes beyond"),
        (of_data(DATA[:-1]), "needs 32 bytes, the file has 31"),
        (of_data(DATA + b"x"), "goes on for 1 bytes after its end"),
        (of_data(DATA[15:]), "not of torch.save's older format"),
        (of_data(DATA[:2] + b"N0" * 500 + DATA[2:]), "more than 1,000 instructions"),
        (of_data(official_pickle.storage_bytes(NUMBERS, count=7)), "needs 36 bytes"),
        (of_data(official_pickle.storage_bytes(NUMBERS, b"Q")), r"torch\.QStorage"),
        (of_data(b""), "damaged"),
        (of_data("text"), "tensor data is a str"),
        (cyclic(), "too many modules"),
        (torch_module("G", {}, _init_args=(1,)), "arguments that have no names"),
        (torch_module("G", {"w": 3}), "'w' is a int, not a tensor"),
        (torch_module("G", {}, modules={"m": 3}), "has a int for a module"),
        (torch_module("G", {}, _modules=[]), "`_modules` is a list"),
        (Module({"type": "function"}), "persistent 'function', not a class"),
        (Module(3), "made of a int"),
        (3, "expected the networks G, D, G_ema"),
    ],
)
def test_unexpected_snapshots_are_explained(tmp_path, module, match):
    refuse(tmp_path, dumps(snapshot(module)), match)


def test_one_tensor_repeated_cannot_exceed_the_limit(tmp_path, monkeypatch):
    shared = tensor(np.zeros(1000, np.float32))
    data = dumps(snapshot(torch_module("G", {f"w{i}": shared for i in range(5)})))
    monkeypatch.setattr(stand_ins, "MAX_BYTES", 60_000)  # in three networks
    assert len(read(tmp_path, data)["generator"].variables) == 5
    monkeypatch.setattr(stand_ins, "MAX_BYTES", 59_999)
    refuse(tmp_path, data, "exceed 59,999 bytes")


# Damaged and foreign files


def test_truncated_files_are_refused(tmp_path):
    data = dumps(small())
    for length in range(1, len(data)):
        refuse(tmp_path, data[:length], "truncated or damaged.*download it again")
    refuse(tmp_path, b"", "is empty")
    refuse(tmp_path, data + b"x", "goes on for 1 bytes after its end")


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"PK\x03\x04rest", r"a zip archive, as torch\.save writes"),
        (
            b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02",
            "a PyTorch file of the older format",
        ),
        (b"\n <!DOCTYPE html><html>", "a web page; the download"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"not a network", "damaged"),
    ],
)
def test_foreign_files_are_named(tmp_path, data, match):
    refuse(tmp_path, data, match)


@pytest.mark.parametrize(("protocol", "torch"), [(2, False), (4, False), (4, True)])
def test_random_damage_is_read_or_refused(tmp_path, protocol, torch):
    """300 files with 1 to 4 wrong bytes each; no other exception ever escapes."""
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
