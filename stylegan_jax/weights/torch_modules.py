"""Networks in the snapshots of stylegan2-ada-pytorch.

A snapshot is a pickled dict with G, D and G_ema, each a torch module. The official code
(`persistence`) pickles a module with the text of the Python module that defines it.
Tensors are calls of PyTorch's functions on bytes that hold, in turn, pickles and raw
numbers: torch.save's old format. Neither PyTorch nor that text is needed, because
the file has the constructor's arguments and all tensors.
"""

import dataclasses
import math
from typing import Any

import numpy as np

from stylegan_jax.runtime.messages import listed
from stylegan_jax.weights import torch_tensors
from stylegan_jax.weights.pickle import (
    describe,
    quote,
    require,
    require_end,
    type_name,
)
from stylegan_jax.weights.pickle_stubs import (
    Budget,
    Named,
    Stub,
    functions,
    text,
    typed,
)
from stylegan_jax.weights.torch_tensors import Storage, Tensor

ROLES = {"G": "generator", "D": "discriminator", "G_ema": "generator_ema"}
MAX_MODULES = 10_000  # in a network; official: about 60
MAX_DEPTH = 8  # of nested modules; official: 5
MAX_NAMES = 100  # in a set; official: none
MAX_STORAGE_OPCODES = 1_000  # in each program of a storage; official: about 30


@dataclasses.dataclass(frozen=True)
class TorchModule:
    """The content of a pickled module.

    Attributes:
      class_name: Class of the module, e.g. "Generator".
      kwargs: Arguments of its constructor, plain Python values.
      module_source: Text of the class's Python module; never compiled.
      variables: Parameters and buffers by their names in `state_dict`.
    """

    class_name: str
    kwargs: dict[str, Any]
    module_source: str
    variables: dict[str, np.ndarray]

    def all_variables(self) -> dict[str, np.ndarray]:
        """Return the variables in float32."""
        return {
            name: value.astype(np.float32) for name, value in self.variables.items()
        }


class _Module(Stub):
    """A stub for a module that keeps the arguments of its reconstruction."""

    __slots__ = ("meta",)

    def __init__(self, meta: Any) -> None:
        require(
            type(meta) is dict,
            f"the description of a module has type {type_name(meta)}, expected dict",
        )
        self.meta = meta


class _Set(Stub):
    """A stub for a set of names."""

    __slots__ = ("items",)

    def __init__(self, items: Any = ()) -> None:
        require(
            type(items) in (list, tuple)
            and len(items) <= MAX_NAMES
            and all(type(item) is str for item in items),
            f"a set holds something other than at most {MAX_NAMES} names",
        )
        self.items = items


def names() -> dict[tuple[str, str], Any]:
    """Return the stubs by the names that files use."""
    ours = {
        ("torch_utils.persistence", "_reconstruct_persistent_obj"): _Module,
        ("torch.storage", "_load_from_bytes"): _load_from_bytes,
        ("builtins", "set"): _Set,
        ("__builtin__", "set"): _Set,
    }
    dtypes = ("float16", "float32", "float64", "int32", "int64", "uint8", "bool")
    named = {("torch", name): Named(f"torch.{name}") for name in dtypes}
    return torch_tensors.names() | functions(ours) | named


def _load_from_bytes(data: Any) -> Storage:
    """Return the storage in bytes that torch.save wrote in its old format."""
    require(type(data) is bytes, f"tensor data has type {type_name(data)}")
    program = torch_tensors.read_old_format(data, {}, MAX_STORAGE_OPCODES)
    storage = program.content
    require(
        type(storage) is Storage and len(program.storages) == 1,
        "tensor data holds something other than one storage",
    )
    require_end(data, program.end, "tensor data")
    return storage


def networks(content: dict) -> dict[str, TorchModule]:
    """Return the networks of a snapshot by their ROLES."""
    parts = {role: content[key] for key, role in ROLES.items() if key in content}
    keys = listed(key for key in content if type(key) is str)
    require(
        bool(parts) and all(type(part) is _Module for part in parts.values()),
        f"the file holds a dict with {describe(keys)}; expected the networks "
        f"{', '.join(ROLES)}",
    )
    budget = Budget()
    return {role: _network(part, role, budget) for role, part in parts.items()}


def _network(module: _Module, where: str, budget: Budget) -> TorchModule:
    """Return the network of the outermost module."""
    variables = _Variables(where, budget)
    variables.collect(module)
    state = typed(module.meta, "state", where, dict)
    require(
        not typed(state, "_init_args", where, tuple, ()),
        f"{where} was constructed with arguments that have no names",
    )
    kwargs = typed(state, "_init_kwargs", where, dict)
    return TorchModule(
        class_name=typed(module.meta, "class_name", where, str),
        kwargs=budget.settings(kwargs, f"the arguments of {where}"),
        module_source=typed(module.meta, "module_src", where, str),
        variables=variables.found,
    )


class _Variables:
    """Collector of the tensors of a module and its submodules, in PyTorch's order."""

    def __init__(self, where: str, budget: Budget) -> None:
        self._where, self._budget = where, budget
        self._modules_left = MAX_MODULES
        self.found: dict[str, np.ndarray] = {}

    def collect(self, module: Any, prefix: str = "", depth: int = 0) -> None:
        """Add the tensors of a module."""
        where = self._where
        require(
            type(module) is _Module,
            f"a module of {where} has type {type_name(module)}",
        )
        self._modules_left -= 1
        require(
            depth <= MAX_DEPTH and self._modules_left >= 0,
            f"{where} has too many modules",
        )
        persistent = typed(module.meta, "type", where, str)
        require(
            persistent == "class",
            f"a module of {where} is a persistent {quote(persistent)}, not a class",
        )
        state = typed(module.meta, "state", where, dict)
        temporary = typed(
            state, "_non_persistent_buffers_set", where, (set, _Set), set()
        )
        if type(temporary) is _Set:
            temporary = set(temporary.items)
        for part in ("_parameters", "_buffers"):
            for key, tensor in typed(state, part, where, dict).items():
                name = prefix + text(key, f"the name of a tensor of {where}")
                if tensor is not None and not (part == "_buffers" and key in temporary):
                    self._add(name, tensor)
        for key, child in typed(state, "_modules", where, dict).items():
            name = text(key, f"the name of a module of {where}")
            if child is not None:
                self.collect(child, f"{prefix}{name}.", depth + 1)

    def _add(self, name: str, tensor: Any) -> None:
        require(
            type(tensor) is Tensor,
            f"{quote(name)} of {self._where} has type {type_name(tensor)}, expected a "
            "tensor",
        )
        require(name not in self.found, f"{self._where} has two tensors {quote(name)}")
        self._budget.spend(math.prod(tensor.shape), tensor.storage.dtype)
        self.found[name] = tensor.numpy()
