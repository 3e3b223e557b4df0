"""Networks out of the snapshots of stylegan2-ada-pytorch.

A snapshot is a pickled dict with G, D and G_ema, each a torch module. Modules are
pickled with the text of the Python module that defines them, by `persistence` of the
official code; tensors as calls of PyTorch's functions upon bytes that hold, in turn,
pickles and then raw numbers: torch.save's format of before 1.6. Neither PyTorch nor
that text is needed: the constructor's arguments and the tensors are all there.
"""

import dataclasses
import math
from typing import Any

import numpy as np

from stylegan_jax.weights import pickle_stubs, torch_tensors
from stylegan_jax.weights.pickle import kind, require, short, shown
from stylegan_jax.weights.pickle_stubs import Function, Named, text, typed
from stylegan_jax.weights.torch_tensors import Storage, Tensor

ROLES = {"G": "generator", "D": "discriminator", "G_ema": "generator_ema"}
MAX_MODULES = 10_000  # in one network; official: about 60
MAX_DEPTH = 8  # modules within each other; official: 5
MAX_NAMES = 100  # in a set; official: none
MAX_STORAGE_OPCODES = 1_000  # of each program in a storage; official: about 30


@dataclasses.dataclass(frozen=True)
class Network:
    """What one pickled module holds.

    Attributes:
      class_name: of the module, e.g. "Generator".
      kwargs: its constructor's arguments, plain Python values.
      module_source: the text of the class's module; never compiled.
      variables: parameters and buffers as `state_dict` names them.
    """

    class_name: str
    kwargs: dict[str, Any]
    module_source: str
    variables: dict[str, np.ndarray]

    @property
    def source(self) -> str:
        """Which code it is of, as `interop.SOURCES` names it."""
        if any(name.startswith("synthesis.input.") for name in self.variables):
            return "stylegan3"
        return "stylegan2-ada-pytorch"

    def all_variables(self) -> dict[str, np.ndarray]:
        """The variables in float32."""
        return {
            name: value.astype(np.float32) for name, value in self.variables.items()
        }


class _Module:
    """Stands for a module; keeps what its reconstruction was given."""

    __slots__ = ("meta",)

    def __init__(self, meta: Any) -> None:
        require(type(meta) is dict, f"module is made of a {kind(meta)}, not a dict")
        self.meta = meta

    def __setstate__(self, state: Any) -> None:
        require(False, "module with attributes of its own")


class _Set:
    """Stands for a set of names, where the file calls for it."""

    __slots__ = ("items",)

    def __init__(self, items: Any = ()) -> None:
        require(
            type(items) in (list, tuple)
            and len(items) <= MAX_NAMES
            and all(type(item) is str for item in items),
            f"set of something else than at most {MAX_NAMES} names",
        )
        self.items = items

    def __setstate__(self, state: Any) -> None:
        require(False, "set with attributes of its own")


def names() -> dict[tuple[str, str], Any]:
    """The stand-ins by the names that files give."""
    known: dict[tuple[str, str], Any] = {
        ("torch_utils.persistence", "_reconstruct_persistent_obj"): _Module,
        ("torch.storage", "_load_from_bytes"): _load_from_bytes,
        ("builtins", "set"): _Set,
        ("__builtin__", "set"): _Set,
    }
    known = torch_tensors.names() | {
        (module, name): Function(f"{module}.{name}", ours)
        for (module, name), ours in known.items()
    }
    for name in ("float16", "float32", "float64", "int32", "int64", "uint8", "bool"):
        known["torch", name] = Named(f"torch.{name}")
    return known


def _load_from_bytes(data: Any) -> Storage:
    """The storage in the bytes of an old torch.save."""
    require(type(data) is bytes, f"tensor data is a {kind(data)}")
    program = torch_tensors.read_old_format(data, {}, MAX_STORAGE_OPCODES)
    storage = program.content
    require(
        type(storage) is Storage and len(program.storages) == 1,
        "tensor data holds something else than one storage",
    )
    rest = len(data) - program.end
    require(rest == 0, f"tensor data goes on for {rest:,} bytes after its end")
    return storage


def networks(content: dict) -> dict[str, Network]:
    """The networks of a snapshot by their ROLES."""
    keys = [key for key in content if type(key) is str]
    parts = {role: content[key] for key, role in ROLES.items() if key in content}
    require(
        bool(parts) and all(type(part) is _Module for part in parts.values()),
        f"holds a dict with {shown(', '.join(keys))}; expected the networks "
        f"{', '.join(ROLES)}",
    )
    conversion = _Conversion()
    return {role: conversion.network(part, role) for role, part in parts.items()}


class _Conversion(pickle_stubs.Conversion):
    """Checks what was read and makes networks of it."""

    def __init__(self) -> None:
        super().__init__()
        self._modules_left = 0

    def network(self, module: _Module, where: str) -> Network:
        """The network of the outermost module."""
        self._modules_left = MAX_MODULES
        variables: dict[str, np.ndarray] = {}
        self._collect(module, "", where, variables, 0)
        state = typed(module.meta, "state", where, dict)
        require(
            not typed(state, "_init_args", where, tuple, ()),
            f"{where} was made with arguments that have no names",
        )
        kwargs = typed(state, "_init_kwargs", where, dict)
        return Network(
            class_name=typed(module.meta, "class_name", where, str),
            kwargs=self.settings(kwargs, f"{where}._init_kwargs"),
            module_source=typed(module.meta, "module_src", where, str),
            variables=variables,
        )

    def _collect(
        self,
        module: Any,
        prefix: str,
        where: str,
        variables: dict[str, np.ndarray],
        depth: int,
    ) -> None:
        """Adds the tensors of a module and of those in it, in PyTorch's order."""
        require(type(module) is _Module, f"{where} has a {kind(module)} for a module")
        self._modules_left -= 1
        require(
            depth <= MAX_DEPTH and self._modules_left >= 0,
            f"{where} has too many modules",
        )
        what = typed(module.meta, "type", where, str)
        require(what == "class", f"{where} is a persistent {short(what)}, not a class")
        state = typed(module.meta, "state", where, dict)
        temporary = typed(
            state, "_non_persistent_buffers_set", where, (set, _Set), set()
        )
        if type(temporary) is _Set:
            temporary = set(temporary.items)
        for part in ("_parameters", "_buffers"):
            for key, tensor in typed(state, part, where, dict).items():
                name = prefix + text(key, f"{where}: tensor name")
                if tensor is None or (part == "_buffers" and key in temporary):
                    continue
                require(
                    type(tensor) is Tensor,
                    f"{where}: {short(name)} is a {kind(tensor)}, not a tensor",
                )
                require(name not in variables, f"{where}: two tensors {short(name)}")
                self.spend(math.prod(tensor.shape), tensor.storage.dtype)
                variables[name] = tensor.numpy()
        for key, child in typed(state, "_modules", where, dict).items():
            name = f"{prefix}{text(key, f'{where}: module name')}."
            if child is not None:
                self._collect(child, name, where, variables, depth + 1)
