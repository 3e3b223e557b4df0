"""Writes network files as the official TensorFlow code did, names and layout alike.

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


class _Numpy1Pickler(pickle.Pickler):
    """Names numpy's functions as numpy 1 did."""

    def reducer_override(self, obj):
        if type(obj) is np.ndarray:
            _, _, state = obj.__reduce__()
            return _reconstruct, (np.ndarray, (0,), b"b"), state
        if isinstance(obj, np.generic):
            return _scalar, (obj.dtype, obj.tobytes())
        return NotImplemented


@contextlib.contextmanager
def _official_modules():
    contents = {
        "dnnlib": {},
        "dnnlib.util": {"EasyDict": EasyDict},
        "dnnlib.tflib": {},
        "dnnlib.tflib.network": {"Network": Network},
        "numpy.core.multiarray": {"_reconstruct": _reconstruct, "scalar": _scalar},
    }
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
    """One network; `variables` are pairs, or a dict of its own variables."""
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
    """Splits full names (`G_mapping/Dense0/weight`, `lod`) as the official G does."""

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
    """Writes (G, D, Gs) as the official `network-snapshot-*.pkl`.

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
