"""Small network files, and hostile ones."""

import copyreg
import functools
import os

import numpy as np
import pytest

from stylegan_jax.weights.files import read_networks
from stylegan_jax.weights.pickle import PickleError
from tests.weights.official_pickle import (
    EasyDict,
    Network,
    network,
    tensor,
    torch_module,
)

NUMBERS = np.arange(6, dtype=np.float32)


def small(variables=None, static_kwargs=None, **state) -> Network:
    if variables is None:
        variables = [("lod", np.float32(0)), ("w", np.ones((2, 3), np.float32))]
    d = network("D", variables, static_kwargs or {"resolution": 8}, "D_basic")
    d.state.update(state)
    return d


def read(tmp_path, data: bytes):
    path = tmp_path / "network.pkl"
    path.write_bytes(data)
    return read_networks(path)


def refuse(tmp_path, data: bytes, match: str) -> None:
    with pytest.raises(PickleError, match=match) as caught:
        read(tmp_path, data)
    assert "network.pkl" in str(caught.value)


def snapshot(module):
    return {"G": module, "D": module, "G_ema": module, "training_set_kwargs": None}


def of_tensor(**kwargs):
    return torch_module("G", {"w": tensor(NUMBERS, **kwargs)})


class Calls:
    """An object that pickles to a call of any function, as in hostile files."""

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
