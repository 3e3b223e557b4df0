"""Read named tensors from PyTorch's weight files, without running anything in them.

There are three kinds of files: a state dict in torch.save's old format (PyTorch below
1.6), a state dict in the zip format, and a TorchScript module, which is a zip archive
too. TorchScript's program is text in a separate member; it is not read.
"""

import mmap
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.weights import pickle, pickle_stubs, torch_tensors
from stylegan_jax.weights.pickle import quote, require, require_end, type_name
from stylegan_jax.weights.pickle_stubs import functions, text
from stylegan_jax.weights.torch_tensors import Parameter, StorageUnpickler, Tensor

ZIP = b"PK\x03\x04"
OLD = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the magic number, pickled
MAX_MODULES = 10_000  # in a TorchScript file; NVIDIA's have fewer than 300
MAX_DEPTH = 16  # of nested modules; NVIDIA's: 5


class _StateDict(pickle_stubs.Dict):
    """A stub for an OrderedDict that has the versions of modules as an attribute."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: Any = ()) -> None:
        """Keep the pairs, which Python 2 pickles as an argument, not one by one."""
        super().__init__()
        require(
            type(pairs) in (list, tuple),
            f"the pairs of an OrderedDict have type {type_name(pairs)}",
        )
        self.pairs = pairs

    def __setstate__(self, state: Any) -> None:
        require(
            isinstance(state, dict) and set(state) <= {"_metadata"},
            "an OrderedDict has attributes of its own",
        )


class _Object:
    """A stub for a TorchScript object that keeps its attributes."""

    __slots__ = ("attributes",)

    def __setstate__(self, state: Any) -> None:
        require(
            type(state) is dict,
            f"the state of a TorchScript object has type {type_name(state)}",
        )
        self.attributes = state


class _ScriptUnpickler(StorageUnpickler):
    """An unpickler with one stub for all classes that the file defines."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the stub for a name; see the base class."""
        if module.split(".")[0] == "__torch__":
            return _Object
        return super().find_class(module, name)


def _names() -> dict[tuple[str, str], Any]:
    return torch_tensors.names() | {("collections", "OrderedDict"): _StateDict}


def _script_names() -> dict[tuple[str, str], Any]:
    """Return the stubs with the functions by which TorchScript marks lists."""
    marks = ("build_intlist", "build_doublelist", "build_boollist", "build_tensorlist")
    module = "torch.jit._pickle"
    ours = {(module, name): _first for name in (*marks, "restore_type_tag")}
    return _names() | functions(ours)


def _first(value: Any, *_: Any) -> Any:
    return value


def read_old(path: Path) -> dict[str, np.ndarray]:
    """Read the tensors of a state dict in the old format.

    Returns:
      Name -> read-only array on the file's pages, in the file's order.

    Raises:
      PickleError: The file is of another kind.
    """
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    program = torch_tensors.read_old_format(data, _names(), pickle.MAX_OPCODES)
    require_end(data, program.end, "the file")
    return _arrays(_state_dict(program.content))


def read_zip(path: Path) -> dict[str, np.ndarray]:
    """Read the tensors of a state dict or TorchScript module in a zip archive.

    Returns:
      Name -> read-only array; TorchScript's names are paths of attributes.

    Raises:
      PickleError: The archive is of another kind.
    """
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: info for info in archive.infolist()}
        require(
            len(members) == len(archive.infolist()),
            "the archive has two members of the same name",
        )
        programs = [n for n in members if n.endswith("/data.pkl") and n.count("/") == 1]
        require(
            len(programs) == 1,
            "the file is a zip archive without the data.pkl of a PyTorch file",
        )
        root = programs[0].removesuffix("data.pkl")
        is_script = any(name.startswith(f"{root}code/") for name in members)
        order = members.get(f"{root}byteorder")
        require(
            order is None or _content(archive, order, 16) == b"little",
            "the numbers in the file are not little-endian",
        )

        # The program comes first, then the storages that it refers to.
        program = members[f"{root}data.pkl"]
        data = _content(archive, program, torch_tensors.MAX_PROGRAMS)
        require_end(data, pickle.program_end(data), "data.pkl")
        unpickler = (
            _ScriptUnpickler(data, _script_names(), old_format=False)
            if is_script
            else StorageUnpickler(data, _names(), old_format=False)
        )
        content = unpickler.load()
        total = sum(storage.size for storage in unpickler.storages.values())
        require(
            total <= path.stat().st_size, "the file claims more numbers than it holds"
        )
        for key, storage in unpickler.storages.items():
            member = members.get(f"{root}data/{key}")
            require(member is not None, f"the file lacks the tensor data {quote(key)}")
            storage.raw = _content(archive, member, storage.size)
            require(
                len(storage.raw) == storage.size,
                f"tensor data {quote(key)} has {len(storage.raw):,} bytes, expected "
                f"{storage.size:,}",
            )
    return _arrays(_attributes(content) if is_script else _state_dict(content))


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int) -> bytes:
    """Return the content of a member; PyTorch never compresses them."""
    require(
        info.compress_type == zipfile.ZIP_STORED and info.file_size <= limit,
        f"member {quote(info.filename)} is compressed or has more than {limit:,} bytes",
    )
    return archive.read(info)


def _arrays(tensors: dict[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: tensor.view() for name, tensor in tensors.items()}


def _state_dict(content: Any) -> dict[str, Tensor]:
    """Return the tensors of a dict that holds nothing else."""
    expected = (
        "expected a state dict, which `torch.save(model.state_dict(), path)` writes"
    )
    require(
        isinstance(content, dict),
        f"the file holds a value of type {type_name(content)}; {expected}",
    )
    tensors: dict[str, Tensor] = {}
    for pair in (*content.items(), *getattr(content, "pairs", ())):
        require(
            type(pair) in (list, tuple) and len(pair) == 2,
            "an OrderedDict is not made of pairs",
        )
        name, value = text(pair[0], "the name of a tensor"), pair[1]
        if type(value) is Parameter:
            value = value.tensor
        require(
            type(value) is Tensor,
            f"{quote(name)} has type {type_name(value)}, not tensor; {expected}",
        )
        require(name not in tensors, f"the file has two tensors {quote(name)}")
        tensors[name] = value
    return tensors


def _attributes(module: Any) -> dict[str, Tensor]:
    """Return the tensors of a TorchScript module and of those in it."""
    tensors: dict[str, Tensor] = {}
    modules_left = MAX_MODULES

    def collect(part: Any, prefix: str, depth: int) -> None:
        nonlocal modules_left
        modules_left -= 1
        require(
            depth <= MAX_DEPTH and modules_left >= 0, "the file has too many modules"
        )
        for key, value in getattr(part, "attributes", {}).items():
            name = prefix + text(key, "the name of an attribute")
            if type(value) is _Object:
                collect(value, f"{name}.", depth + 1)
            elif type(value) is Tensor:
                require(name not in tensors, f"the file has two tensors {quote(name)}")
                tensors[name] = value

    require(
        type(module) is _Object,
        f"the file holds a value of type {type_name(module)}, not a TorchScript module",
    )
    collect(module, "", 0)
    return tensors
