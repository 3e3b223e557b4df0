"""Writes weight files with the names and layout of PyTorch.

For the tests only; the modules that the files name exist for the moment of writing.
"""

import collections
import io
import pickle
import zipfile
from pathlib import Path

import numpy as np

from tests.weights import official_pickle

KINDS = {
    "float32": "Float",
    "float64": "Double",
    "float16": "Half",
    "int64": "Long",
}


def _named(module, name):
    """Return a class of that name, of which only the name is written."""
    return type(name, (), {"__module__": module, "__qualname__": name})


STORAGES = {kind: _named("torch", f"{kind}Storage") for kind in KINDS.values()}


class Storage:
    """Numbers that a program refers to by a key."""

    def __init__(self, key, numbers):
        self.key, self.numbers = str(key), numbers


class Rebuilt:
    """An object that pickles to a call of a function."""

    def __init__(self, module, name, *arguments):
        self.module, self.name, self.arguments = module, name, arguments

    def __reduce__(self):
        return functions[self.module, self.name], self.arguments


def _function(module, name):
    def function(*arguments):
        raise AssertionError("only its name is used")

    function.__module__, function.__name__ = module, name
    function.__qualname__ = name
    return function


functions = {
    (module, name): _function(module, name)
    for module, name in (
        ("torch._utils", "_rebuild_tensor"),
        ("torch._utils", "_rebuild_tensor_v2"),
        ("torch._utils", "_rebuild_parameter"),
        ("torch.jit._pickle", "build_intlist"),
        ("torch.jit._pickle", "restore_type_tag"),
    )
}


class Parameter:
    """A parameter as PyTorch pickled it before 0.4; its state begins with a tensor."""

    __module__, __qualname__ = "torch.nn.parameter", "Parameter"

    def __init__(self, tensor):
        self.tensor = tensor

    def __getstate__(self):
        return (self.tensor, None, collections.OrderedDict(), True, False)


def tensor(key, array, version=2):
    """Return an array as a tensor of its shape and strides in a storage of its own."""
    strides = tuple(s // array.itemsize for s in array.strides)
    storage = Storage(key, array.ravel(order="K"))
    window = (storage, 0, array.shape, strides)
    if version == 1:
        return Rebuilt("torch._utils", "_rebuild_tensor", *window)
    hooks = collections.OrderedDict()
    return Rebuilt("torch._utils", "_rebuild_tensor_v2", *window, False, hooks)


def state_dict(arrays, version=2):
    """Return a state dict, with the versions of modules as an attribute."""
    tensors = collections.OrderedDict(
        (name, tensor(i, array, version))
        for i, (name, array) in enumerate(arrays.items())
    )
    if version == 2:
        tensors._metadata = collections.OrderedDict({"": {"version": 1}})
    return tensors


def script_module(name, attributes):
    """Return a TorchScript object of a class in the file; its state: attributes."""
    module = _named(f"__torch__.{name}", "Module")()
    vars(module).update(attributes)
    return module


def script(arrays):
    """Return TorchScript modules, nested by the dots in the names."""
    root = {
        "training": False,
        "sizes": Rebuilt("torch.jit._pickle", "build_intlist", [3]),
    }
    for i, (name, array) in enumerate(arrays.items()):
        *path, last = name.split(".")
        inner = root
        for part in path:
            inner = inner.setdefault(part, {"training": False})
        inner[last] = tensor(i, array)

    def build(name, attributes):
        return script_module(
            name,
            {
                key: build(key, value) if type(value) is dict else value
                for key, value in attributes.items()
            },
        )

    return build("root", root)


def program(content, old_format=False):
    """Return the pickled program, and the storages that it refers to by key."""
    storages, contents = {}, {"torch": {}, "torch.nn": {}}

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj):
            if type(obj) is not Storage:
                return None
            storages[obj.key] = obj.numbers
            kind = STORAGES[KINDS[str(obj.numbers.dtype)]]
            pid = ("storage", kind, obj.key, "cuda:0", obj.numbers.size)
            return (*pid, None) if old_format else pid

    for kind in STORAGES.values():
        contents["torch"][kind.__name__] = kind
    for (module, name), function in functions.items():
        contents.setdefault(module, {})[name] = function
    contents["torch.jit"] = {}
    contents["torch.nn.parameter"] = {"Parameter": Parameter}
    for cls in _script_classes(content):
        contents.setdefault("__torch__", {})
        contents[cls.__module__] = {cls.__qualname__: cls}
    file = io.BytesIO()
    with official_pickle.registered(contents):
        Pickler(file, 2).dump(content)
    return file.getvalue(), storages


def _script_classes(content):
    if type(content).__module__.startswith("__torch__"):
        yield type(content)
        for value in vars(content).values():
            yield from _script_classes(value)


def write_old(path, content) -> Path:
    """Write torch.save's old format."""
    data, storages = program(content, old_format=True)
    keys = sorted(storages)
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    parts = [pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, system)]
    parts += [data, pickle.dumps(keys, 2)]
    for key in keys:
        parts += [np.int64(storages[key].size).tobytes(), storages[key].tobytes()]
    path = Path(path)
    path.write_bytes(b"".join(parts))
    return path


def write_zip(path, content, script=False, members=None) -> Path:
    """Write torch.save's zip format, or TorchScript's."""
    data, storages = program(content)
    files = {"archive/data.pkl": data, "archive/version": b"3\n"}
    for key, numbers in storages.items():
        files[f"archive/data/{key}"] = numbers.tobytes()
    if script:
        files["archive/code/__torch__.py"] = b"raise SystemExit('was run')"
        files["archive/constants.pkl"] = pickle.dumps((), 2)
    path = Path(path)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content_ in (files | (members or {})).items():
            if content_ is not None:
                archive.writestr(name, content_)
    return path
