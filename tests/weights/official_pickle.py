"""Writes network files with the names and layout of the official code.

For the tests only: the modules that the files name are registered for the moment of
writing, and are gone when the files are read.
"""

import contextlib
import io
import pickle
import sys
import types
from pathlib import Path

import numpy as np


class EasyDict(dict):
    __module__, __qualname__ = "dnnlib.util", "EasyDict"


class Network:
    __module__, __qualname__ = "dnnlib.tflib.network", "Network"

    def __init__(self, state):
        self.state = state

    def __getstate__(self):
        return self.state


def _reconstruct(subtype, shape, typecode):
    raise AssertionError("only its name is used")


def _scalar(dtype, data):
    raise AssertionError("only its name is used")


for _function, _name in ((_reconstruct, "_reconstruct"), (_scalar, "scalar")):
    _function.__module__ = "numpy.core.multiarray"
    _function.__name__ = _function.__qualname__ = _name


class _Called:
    """An object that pickles to a call of a function of PyTorch or StyleGAN2-ADA."""

    def __init__(self, *arguments):
        self.arguments = arguments

    def __reduce__(self):
        return type(self).function, self.arguments


def _named(module, name):
    def function(*arguments):
        raise AssertionError("only its name is used")

    function.__module__, function.__name__ = module, name
    function.__qualname__ = name
    return function


class Module(_Called):
    """A module: `Module({"type": "class", ..., "state": ...})`; see `torch_module`."""

    function = _named("torch_utils.persistence", "_reconstruct_persistent_obj")


class Tensor(_Called):
    """A tensor: storage, offset, shape, strides, whether it is trained, hooks."""

    function = _named("torch._utils", "_rebuild_tensor_v2")


class Parameter(_Called):
    """A parameter: tensor, whether it is trained, hooks."""

    function = _named("torch._utils", "_rebuild_parameter")


class Storage(_Called):
    """A storage: the bytes of an old torch.save, see `storage_bytes`."""

    function = _named("torch.storage", "_load_from_bytes")


_CALLED = (Module, Tensor, Parameter, Storage)


class _Numpy1Pickler(pickle.Pickler):
    """A pickler that names NumPy's functions as NumPy 1 did."""

    def reducer_override(self, obj):
        if type(obj) is np.ndarray:
            _, _, state = obj.__reduce__()
            return _reconstruct, (np.ndarray, (0,), b"b"), state
        if isinstance(obj, np.generic):
            return _scalar, (obj.dtype, obj.tobytes())
        return NotImplemented


def _official_modules():
    contents = {
        "dnnlib": {},
        "dnnlib.util": {"EasyDict": EasyDict},
        "dnnlib.tflib": {},
        "dnnlib.tflib.network": {"Network": Network},
        "numpy.core.multiarray": {"_reconstruct": _reconstruct, "scalar": _scalar},
        "torch": {},
        "torch_utils": {},
    }
    for called in _CALLED:
        f = called.function
        contents.setdefault(f.__module__, {})[f.__name__] = f
    return registered(contents)


@contextlib.contextmanager
def registered(contents):
    """Register modules that do not exist, name -> attributes, while writing."""
    saved = {name: sys.modules.get(name) for name in contents}
    for name, attributes in contents.items():
        module = types.ModuleType(name)
        vars(module).update(attributes)
        sys.modules[name] = module
    try:
        yield
    finally:
        for name, module in saved.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def dumps(content, protocol=4) -> bytes:
    file = io.BytesIO()
    with _official_modules():
        _Numpy1Pickler(file, protocol).dump(content)
    return file.getvalue()


def network(name, variables, static_kwargs, func_name, components=None) -> Network:
    """Return a network; `variables` are pairs, or a dict of its own variables."""
    pairs = list(variables.items()) if isinstance(variables, dict) else variables
    return Network(
        {
            "version": 3,
            "name": name,
            "static_kwargs": EasyDict(static_kwargs),
            "components": components or {},
            "build_module_src": f"raise SystemExit('{name} was compiled')",
            "build_func_name": func_name,
            "variables": pairs,
        }
    )


def generator(name, variables, static_kwargs) -> Network:
    """Return G, with components by the full names (`G_mapping/Dense0/weight`)."""

    def own(prefix):
        return {
            key.removeprefix(prefix): value
            for key, value in variables.items()
            if key.startswith(prefix)
        }

    parts = {
        key: network(f"G_{key}", own(f"G_{key}/"), static_kwargs, f"G_{key}")
        for key in ("mapping", "synthesis")
    }
    top = {
        key: value
        for key, value in variables.items()
        if not key.startswith(("G_mapping/", "G_synthesis/"))
    }
    return network(name, top, static_kwargs, "G_style", parts)


def write_official_pickle(
    path, g_vars, g_kwargs, d_vars, d_kwargs, gs_vars=None, protocol=4
) -> Path:
    """Write (G, D, Gs) as the official `network-snapshot-*.pkl`.

    Args:
        path: where to.
        g_vars: full official name -> float32 array, of G.
        g_kwargs: G's static_kwargs.
        d_vars: the same of D.
        d_kwargs: D's static_kwargs.
        gs_vars: those of Gs, the average; None means those of G.
        protocol: 2 to 5; the official files have 4.

    Returns:
        The path.
    """
    gs_vars = g_vars if gs_vars is None else gs_vars
    content = (
        generator("G", g_vars, g_kwargs),
        network("D", d_vars, d_kwargs, "D_basic"),
        generator("Gs", gs_vars, g_kwargs),
    )
    path = Path(path)
    path.write_bytes(dumps(content, protocol))
    return path


def storage_bytes(values, kind=b"Float", count=None, location="cpu") -> bytes:
    """Return a one-dimensional array as torch.save wrote it before 1.6."""
    key = pickle.dumps("1", 2)[2:-1]
    count = len(values) if count is None else count
    reference = (
        b"\x80\x02("
        + pickle.dumps("storage", 2)[2:-1]
        + b"ctorch\n"
        + kind
        + b"Storage\n"
        + key
        + pickle.dumps(location, 2)[2:-1]
        + pickle.dumps(count, 2)[2:-1]
        + b"NtQ."
    )
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    parts = [pickle.dumps(0x1950A86A20F9469CFC6C, 2), pickle.dumps(1001, 2)]
    parts += [pickle.dumps(system, 2), reference, pickle.dumps(["1"], 2)]
    return b"".join(parts) + np.int64(len(values)).tobytes() + values.tobytes()


def tensor(array, strides=None, shape=None, offset=0) -> Tensor:
    """Return an array as a float tensor, by default of its own shape and strides."""
    strides = (
        [s // array.itemsize for s in array.strides] if strides is None else strides
    )
    storage = Storage(storage_bytes(array.ravel(order="K")))
    shape = array.shape if shape is None else shape
    return Tensor(storage, offset, tuple(shape), tuple(strides), False, {})


def torch_module(class_name, variables, kwargs=None, modules=None, **state) -> Module:
    """Return a module with these tensors; `state` replaces entries of its state."""
    state = {
        "_parameters": {"none": None},
        "_buffers": variables,
        "_non_persistent_buffers_set": set(),
        "_modules": modules or {},
        "_init_args": (),
        "_init_kwargs": EasyDict(kwargs or {}),
        **state,
    }
    source = f"raise SystemExit('{class_name} was compiled')"
    return Module(
        {
            "type": "class",
            "version": 6,
            "module_src": source,
            "class_name": class_name,
            "state": state,
        }
    )
