"""Hostile files are refused and provably run nothing."""

import os
import pickle
import tracemalloc

import numpy as np
import pytest

from stylegan_jax.weights import pickle_stubs
from stylegan_jax.weights.pickle import PickleError
from tests.weights import official_pickle
from tests.weights.official_pickle import Network, dumps, tensor, torch_module
from tests.weights.small_files import Calls, attacks, read, refuse, small

# Place of the attack in a network file.
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


def test_the_sentinel_reveals_an_attack(tmp_path):
    """The plain unpickler runs the same bytes, so the test above can fail."""
    sentinel = tmp_path / "sentinel"
    data = dumps(small([("w", attacks(sentinel)["os.system"])]))
    with official_pickle._official_modules():
        pickle.loads(data)
    assert sentinel.exists()


def test_the_refusal_names_the_global(tmp_path):
    data = dumps(small([("w", Calls(os.system, "true"))]))
    refuse(tmp_path, data, r"'posix\.system'.*attack.*nothing in it was executed")


DTYPE = b"cnumpy\ndtype\n"
NETWORK = b"cdnnlib.tflib.network\nNetwork\n"
EASY_DICT = b"cdnnlib.util\nEasyDict\n"
RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
ARRAY = RECONSTRUCT + b"cnumpy\nndarray\nK\x00\x85C\x01b\x87R"
F4 = DTYPE + b"X\x02\x00\x00\x00f4\x85R"
NEW_STATE = b"}X\x09\x00\x00\x00__class__K\x01s"

# Hand-written programs that misuse the allowed names, and the reason each fails.
MISUSES = {
    "state of a dtype": (
        DTYPE + NEW_STATE + b"b",
        r"attempts to change `numpy\.dtype`",
    ),
    "state of a function": (
        RECONSTRUCT + NEW_STATE + b"b",
        "attempts to change.*_reconstruct",
    ),
    "defaults of a function": (
        RECONSTRUCT + b"N" + NEW_STATE + b"\x86b",
        "attempts to change.*_reconstruct",
    ),
    "state of the array class": (
        b"cnumpy\nndarray\n" + NEW_STATE + b"b",
        r"attempts to change `numpy\.ndarray`",
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
        "state of a network has type tuple",
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
        "a class other than",
    ),
    "object dtype": (
        DTYPE + b"X\x01\x00\x00\x00O\x85R",
        "dtype 'O'; only plain",
    ),
    "structured dtype": (
        DTYPE + b"](X\x01\x00\x00\x00aX\x02\x00\x00\x00f4\x86e\x85R",
        "dtype a value of type list; only plain",
    ),
    "subarray dtype": (
        F4 + b"(K\x03X\x01\x00\x00\x00|" + F4 + b"K\x02\x86NNK\x08K\x04K\x00tb",
        "structured dtype",
    ),
    "other encoding": (
        b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00hex\x86R",
        "something other than latin1",
    ),
    "huge shape": (
        ARRAY + b"(K\x01J\xff\xff\xff\x7f\x85" + F4 + b"\x89C\x04abcdtb",
        "needs 8,589,934,588 bytes, but the file has 4",
    ),
    "negative shape": (
        ARRAY + b"(K\x01J\xff\xff\xff\xff\x85" + F4 + b"\x89C\x04abcdtb",
        "not a tuple of sizes",
    ),
    "objects for content": (
        ARRAY + b"(K\x01K\x01\x85" + F4 + b"\x89](K\x01etb",
        "content has type list",
    ),
    "short content": (
        b"cnumpy.core.multiarray\nscalar\n" + F4 + b"C\x03abc\x86R",
        "needs 4 bytes, but the file has 3",
    ),
    "list for a size": (
        b"ctorch\nSize\n](K\x01e\x85R",
        "size has type list",
    ),
    "numbers in a set": (
        b"cbuiltins\nset\n](K\x01e\x85R",
        "something other than at most 100 names",
    ),
    "large set": (
        b"c__builtin__\nset\n](" + b"X\x01\x00\x00\x00a" * 101 + b"e\x85R",
        "something other than at most 100 names",
    ),
    "state of a set": (
        b"cbuiltins\nset\n)R}b",
        "Set has attributes of its own",
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
        r"requests 'dnnlib\.tflib\.network\.Network'",
    ),
    "private part": (
        b"\x8c\x05numpy\x8c\x0dndarray.dumps\x93",
        r"requests 'numpy\.ndarray\.dumps'",
    ),
}


@pytest.mark.parametrize("misuse", MISUSES)
def test_misuse_of_allowed_names_is_refused(tmp_path, misuse):
    program, reason = MISUSES[misuse]
    refuse(tmp_path, b"\x80\x04" + program + b".", f"{reason}.*[Nn]othing in")
    # The stubs must not have changed for the next file.
    assert read(tmp_path, dumps(small()))["network"].name == "D"


def test_persistent_ids_are_refused(tmp_path):
    refuse(tmp_path, b"\x80\x02X\x01\x00\x00\x00aQ.", "PyTorch")


def test_files_that_expand_without_bound_are_refused(tmp_path):
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


def test_a_repeated_array_cannot_exceed_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(pickle_stubs, "MAX_BYTES", 10_000)
    array = np.zeros(500, np.uint8)  # 2000 bytes as float32
    fits = small([(f"w{i}", array) for i in range(5)])
    assert len(read(tmp_path, dumps(fits))["network"].variables) == 5
    exceeds = small([(f"w{i}", array) for i in range(6)])
    refuse(tmp_path, dumps(exceeds), "exceed 10,000 bytes")
    refuse(tmp_path, bytes(10_001), "has 10,001 bytes")


def test_settings_have_one_budget_for_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(pickle_stubs, "MAX_SETTINGS", 36)
    three = [small(static_kwargs={"a": [0] * 10}) for _ in range(3)]  # 12 values each
    assert len(read(tmp_path, dumps(tuple(three)))) == 3
    three[0] = small(static_kwargs={"a": [0] * 11})
    refuse(tmp_path, dumps(tuple(three)), "arguments of generator_ema are too large")


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
        monkeypatch.setattr(pickle_stubs, "MAX_ARRAYS", 256)
        assert len(read(tmp_path, data)[role].variables) == 256
        monkeypatch.setattr(pickle_stubs, "MAX_ARRAYS", 255)
        refuse(tmp_path, data, "more than 255 arrays")


def test_calls_copy_nothing(tmp_path):
    """A call costs a file five bytes; a copy of the names would take 8 kB."""
    names = b"](" + b"".join(b"X\x01\x00\x00\x00%c" % (65 + i) for i in range(60))
    calls = b"h\x00h\x01R" * 20_000
    data = b"\x80\x02cbuiltins\nset\nq\x00" + names + b"e\x85q\x01](" + calls + b"e."
    tracemalloc.start()
    refuse(tmp_path, data, "holds a value of type list")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 * len(data)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ((), "type tuple; expected the three networks"),
        ((1, 2, 3), "holds a value of type tuple"),
        ({"G": 1}, "holds a dict"),
        (small(version=9), "version of the network is 9, expected 2 to 5"),
        (small(version="3"), "version of the network is '3'"),
        (small(name=3), "`name` of the network has type int, expected str"),
        (
            Network({"version": 3, "name": "G", "variables": {}}),
            "`variables` of the network has type dict, expected list",
        ),
        (
            small([("w", 1.0)]),
            "variable 'w' of the network has type float, expected an array",
        ),
        (small([("w", np.zeros(1)), ("w", np.zeros(1))]), "two variables 'w'"),
        (small([(1, np.zeros(1))]), "name of a variable of the network has type int"),
        (
            small(static_kwargs={"a": {1: 2}}),
            "a key in the arguments of the network has type int",
        ),
        (
            small(components={"mapping": 3}),
            "component 'mapping' of the network has type int",
        ),
        (small(components={f"part{i}": 3 for i in range(9)}), "more than 8 components"),
        (
            small([("w" * 201, np.zeros(1))]),
            "name of a variable .* has more than 200 char",
        ),
        (Network({"version": 3, "name": "G"}), "has no `variables`"),
    ],
)
def test_unexpected_content_is_explained(tmp_path, content, match):
    refuse(tmp_path, dumps(content), match)


def test_names_that_coincide_are_refused(tmp_path):
    part = small([("w", np.zeros(1))])
    whole = small([("G_mapping/w", np.zeros(1))], components={"mapping": part})
    network = read(tmp_path, dumps(whole))["network"]
    with pytest.raises(PickleError, match="two variables named 'G_mapping/w'"):
        network.all_variables()
