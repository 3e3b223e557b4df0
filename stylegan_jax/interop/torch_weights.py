"""Named tensors out of PyTorch's files of weights; runs nothing that is in them.

Three kinds of files: a state dict in torch.save's format of before 1.6, one in today's,
which is a zip archive, and a TorchScript module, an archive too. A TorchScript file
holds its program as text beside the tensors; it is not read.
"""

import mmap
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.weights import pickle, pickle_stubs, torch_tensors
from stylegan_jax.weights.pickle import kind, require, short
from stylegan_jax.weights.pickle_stubs import Function, text
from stylegan_jax.weights.torch_tensors import Parameter, StorageReader, Tensor

ZIP = b"PK\x03\x04"
OLD = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the magic number, pickled
MAX_MODULES = 10_000  # in a TorchScript file; NVIDIA's: below 300
MAX_DEPTH = 16  # of them within each other; NVIDIA's: 5


class _StateDict(pickle_stubs.Dict):
    """Stands for an OrderedDict with the versions of modules for an attribute."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: Any = ()) -> None:
        """Of Python 2, which pickled the pairs as the argument, not one by one."""
        super().__init__()
        require(type(pairs) in (list, tuple), f"OrderedDict of a {kind(pairs)}")
        self.pairs = pairs

    def __setstate__(self, state: Any) -> None:
        require(
            isinstance(state, dict) and set(state) <= {"_metadata"},
            "OrderedDict with attributes of its own",
        )


class _Object:
    """Stands for an object of TorchScript; keeps its attributes."""

    __slots__ = ("attributes",)

    def __setstate__(self, state: Any) -> None:
        require(type(state) is dict, f"TorchScript object made of a {kind(state)}")
        self.attributes = state


class _ScriptReader(StorageReader):
    """Knows all classes that the file defines, as the same stand-in."""

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of a name; see the base class."""
        if module.split(".")[0] == "__torch__":
            return _Object
        return super().find_class(module, name)


def _names() -> dict[tuple[str, str], Any]:
    names = torch_tensors.names()
    names["collections", "OrderedDict"] = _StateDict
    return names


def _script_names() -> dict[tuple[str, str], Any]:
    """With the functions that TorchScript marks lists by."""
    names = _names()
    marks = [f"build_{part}list" for part in ("int", "double", "bool", "tensor")]
    for name in (*marks, "restore_type_tag"):
        full_name = f"torch.jit._pickle.{name}"
        names["torch.jit._pickle", name] = Function(full_name, _first)
    return names


def _first(value: Any, *_: Any) -> Any:
    return value


def read_old(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a state dict of before PyTorch 1.6, in the file's order.

    Returns:
      Name -> read-only array on the file's pages, which are read when it is.

    Raises:
      PickleError: the file is something else.
    """
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    program = torch_tensors.read_old_format(data, _names(), pickle.MAX_OPCODES)
    rest = len(data) - program.end
    require(rest == 0, f"goes on for {rest:,} bytes after its end")
    return _arrays(_state_dict(program.content))


def read_zip(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a state dict or TorchScript module in a zip archive.

    Returns:
      Name -> read-only array; of TorchScript, names are paths of attributes.

    Raises:
      PickleError: the archive is something else.
    """
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: info for info in archive.infolist()}
        require(len(members) == len(archive.infolist()), "has members of the same name")
        programs = [n for n in members if n.endswith("/data.pkl") and n.count("/") == 1]
        require(
            len(programs) == 1,
            "is a zip archive without the data.pkl of a file by PyTorch",
        )
        root = programs[0].removesuffix("data.pkl")
        is_script = any(name.startswith(f"{root}code/") for name in members)
        order = members.get(f"{root}byteorder")
        require(
            order is None or _content(archive, order, 16) == b"little",
            "holds numbers that are not little-endian",
        )
        data = _content(archive, members[f"{root}data.pkl"], torch_tensors.MAX_PROGRAMS)
        rest = len(data) - pickle.program_end(data)
        require(rest == 0, f"data.pkl goes on for {rest:,} bytes after its end")
        if is_script:
            reader = _ScriptReader(data, _script_names(), old_format=False)
        else:
            reader = StorageReader(data, _names(), old_format=False)
        content = reader.load()
        total = sum(storage.size for storage in reader.storages.values())
        require(total <= path.stat().st_size, "claims more numbers than it has bytes")
        for key, storage in reader.storages.items():
            member = members.get(f"{root}data/{key}")
            require(member is not None, f"lacks the tensor data {short(key)}")
            storage.raw = _content(archive, member, storage.size)
            require(
                len(storage.raw) == storage.size,
                f"tensor data {short(key)} has {len(storage.raw):,} bytes, expected "
                f"{storage.size:,}",
            )
    tensors = _attributes(content) if is_script else _state_dict(content)
    return _arrays(tensors)


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int) -> bytes:
    """What a member holds, which PyTorch never compresses."""
    require(
        info.compress_type == zipfile.ZIP_STORED and info.file_size <= limit,
        f"member {short(info.filename)} is compressed or has more than {limit:,} bytes",
    )
    return archive.read(info)


def _arrays(tensors: dict[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: tensor.view() for name, tensor in tensors.items()}


def _state_dict(content: Any) -> dict[str, Tensor]:
    """The tensors of a dict that holds nothing else."""
    require(
        isinstance(content, dict),
        f"holds a {kind(content)}; expected a state dict, as `torch.save(model."
        "state_dict(), path)` writes",
    )
    pairs = [*content.items(), *getattr(content, "pairs", ())]
    tensors: dict[str, Tensor] = {}
    for pair in pairs:
        require(
            type(pair) in (list, tuple) and len(pair) == 2, "OrderedDict of no pairs"
        )
        name, value = text(pair[0], "tensor name"), pair[1]
        if type(value) is Parameter:
            value = value.tensor
        require(
            type(value) is Tensor,
            f"{short(name)} is a {kind(value)}, not a tensor; expected a state dict "
            "alone, as `torch.save(model.state_dict(), path)` writes",
        )
        require(name not in tensors, f"two tensors {short(name)}")
        tensors[name] = value
    return tensors


def _attributes(module: Any) -> dict[str, Tensor]:
    """The tensors of a TorchScript module and of those in it."""
    tensors: dict[str, Tensor] = {}
    modules_left = MAX_MODULES

    def collect(part: Any, prefix: str, depth: int) -> None:
        nonlocal modules_left
        modules_left -= 1
        require(depth <= MAX_DEPTH and modules_left >= 0, "has too many modules")
        for key, value in getattr(part, "attributes", {}).items():
            name = prefix + text(key, "attribute name")
            if type(value) is _Object:
                collect(value, f"{name}.", depth + 1)
            elif type(value) is Tensor:
                require(name not in tensors, f"two tensors {short(name)}")
                tensors[name] = value

    require(type(module) is _Object, f"holds a {kind(module)}, no TorchScript module")
    collect(module, "", 0)
    return tensors
