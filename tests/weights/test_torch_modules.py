"""Snapshots of stylegan2-ada-pytorch are read without PyTorch; none runs anything."""

import numpy as np
import pytest

from stylegan_jax.weights import pickle_stubs
from tests.weights import official_pickle
from tests.weights.official_pickle import (
    EasyDict,
    Module,
    Storage,
    Tensor,
    dumps,
    tensor,
    torch_module,
)
from tests.weights.small_files import (
    NUMBERS,
    attacks,
    of_tensor,
    read,
    refuse,
    snapshot,
)


def test_reads_tensors_of_any_strides(tmp_path):
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
    assert network.class_name == "Generator"
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


# Place of the attack in a snapshot.
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


def cyclic():
    module = torch_module("G", {})
    module.arguments[0]["state"]["_modules"]["again"] = module
    return module


def of_data(data):
    return torch_module("G", {"w": Tensor(Storage(data), 0, (1,), (1,), False, {})})


DATA = official_pickle.storage_bytes(NUMBERS)


@pytest.mark.parametrize(
    ("module", "match"),
    [
        (of_tensor(shape=(7,)), "goes beyond the 6 numbers"),
        (of_tensor(offset=1), "goes beyond"),
        (of_tensor(strides=(2,)), "goes beyond"),
        (of_tensor(shape=(2**20, 2**20), strides=(0, 0)), "goes beyond"),
        (of_tensor(strides=(-1,)), "are not sizes"),
        (of_tensor(offset=-1), "are not sizes"),
        (of_tensor(shape=(1, 1)), "more strides than axes|goes beyond"),
        (of_data(DATA[:-1]), "needs 32 bytes, but the file has 31"),
        (of_data(DATA + b"x"), "has 1 bytes after its end"),
        (of_data(DATA[15:]), "not in torch.save's older format"),
        (of_data(DATA[:2] + b"N0" * 500 + DATA[2:]), "more than 1,000 instructions"),
        (of_data(official_pickle.storage_bytes(NUMBERS, count=7)), "needs 36 bytes"),
        (of_data(official_pickle.storage_bytes(NUMBERS, b"Q")), r"torch\.QStorage"),
        (of_data(b""), "damaged"),
        (of_data("text"), "tensor data has type str"),
        (cyclic(), "too many modules"),
        (torch_module("G", {}, _init_args=(1,)), "arguments that have no names"),
        (
            torch_module("G", {"w": 3}),
            "'w' of generator has type int, expected a tensor",
        ),
        (torch_module("G", {}, modules={"m": 3}), "a module of generator has type int"),
        (torch_module("G", {}, _modules=[]), "`_modules` of generator has type list"),
        (Module({"type": "function"}), "persistent 'function', not a class"),
        (Module(3), "description of a module has type int"),
        (3, "expected the networks G, D, G_ema"),
    ],
)
def test_unexpected_snapshots_are_explained(tmp_path, module, match):
    refuse(tmp_path, dumps(snapshot(module)), match)


def test_a_repeated_tensor_cannot_exceed_the_limit(tmp_path, monkeypatch):
    shared = tensor(np.zeros(1000, np.float32))
    data = dumps(snapshot(torch_module("G", {f"w{i}": shared for i in range(5)})))
    monkeypatch.setattr(pickle_stubs, "MAX_BYTES", 60_000)  # in three networks
    assert len(read(tmp_path, data)["generator"].variables) == 5
    monkeypatch.setattr(pickle_stubs, "MAX_BYTES", 59_999)
    refuse(tmp_path, data, "exceed 59,999 bytes")
