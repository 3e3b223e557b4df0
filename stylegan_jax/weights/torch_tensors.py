"""Tensors as PyTorch's files hold them, without PyTorch.

A file is a pickled program that makes tensors as windows on storages, which it refers
to by keys; their numbers lie beside it. In torch.save's format of before 1.6 they
follow the program and a few small ones around it; in that of today, a zip archive, each
is a member of its own.
"""

import dataclasses
import math
import mmap
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from stylegan_jax.weights import pickle, pickle_stubs
from stylegan_jax.weights.pickle import kind, require
from stylegan_jax.weights.pickle_stubs import Function, Named

OLD_MAGIC, OLD_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
MAX_PROGRAMS = 64 * 2**20  # bytes, of all programs in a file; of VGG16's: 5,000
# Class -> numbers, little-endian. NumPy has no bfloat16, and no weights known need it.
STORAGES = {
    "Double": "f8",
    "Float": "f4",
    "Half": "f2",
    "Long": "i8",
    "Int": "i4",
    "Short": "i2",
    "Char": "i1",
    "Byte": "u1",
    "Bool": "b1",
}


class Storage:
    """Stands for a run of numbers; `raw` is a view of bytes that the file does hold."""

    __slots__ = ("dtype", "count", "raw")

    def __init__(self, dtype: np.dtype, count: int) -> None:
        self.dtype, self.count, self.raw = dtype, count, None

    def __setstate__(self, state: Any) -> None:
        require(False, "storage with attributes of its own")

    @property
    def size(self) -> int:
        """Bytes of its numbers."""
        return self.count * self.dtype.itemsize


class Tensor:
    """Stands for a tensor: a window on a storage."""

    __slots__ = ("storage", "offset", "shape", "strides")

    def __init__(self, storage: Any, offset: Any, shape: Any, strides: Any) -> None:
        require(type(storage) is Storage, f"tensor of a {kind(storage)}")
        for sizes in (shape, strides, (offset,)):
            require(
                type(sizes) is tuple
                and len(sizes) <= 32
                and all(
                    type(n) is int and 0 <= n <= pickle_stubs.MAX_BYTES for n in sizes
                ),
                "tensor shape, strides or offset are not sizes",
            )
        require(len(shape) == len(strides), "tensor with more strides than axes")
        last = sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        within = offset + last < storage.count and math.prod(shape) <= storage.count
        require(
            within or 0 in shape,
            f"tensor of shape {shape} and strides {strides} goes beyond its "
            f"{storage.count:,} numbers",
        )
        self.storage, self.offset = storage, offset
        self.shape, self.strides = shape, strides

    def __setstate__(self, state: Any) -> None:
        require(False, "tensor with attributes of its own")

    def view(self) -> np.ndarray:
        """Read-only, on the bytes of the file."""
        if 0 in self.shape:
            return np.zeros(self.shape, self.storage.dtype)
        numbers = np.frombuffer(self.storage.raw, self.storage.dtype)[self.offset :]
        steps = [s * self.storage.dtype.itemsize for s in self.strides]
        return np.lib.stride_tricks.as_strided(
            numbers, self.shape, steps, writeable=False
        )

    def numpy(self) -> np.ndarray:
        """A copy, C-contiguous."""
        return np.array(self.view(), order="C")


class Parameter:
    """Stands for a parameter as PyTorch pickled it before 0.4."""

    __slots__ = ("tensor",)

    def __new__(cls, tensor: Any = None, requires_grad: Any = True) -> "Parameter":
        """`requires_grad` is of no interest."""
        made = super().__new__(cls)
        made.tensor = tensor
        return made

    def __setstate__(self, state: Any) -> None:
        require(
            type(state) is tuple and 3 <= len(state) <= 5,
            "parameter state of unknown layout",
        )
        if type(state[0]) is Tensor:
            self.tensor = state[0]


def names() -> dict[tuple[str, str], Any]:
    """The stand-ins by the names that files give."""
    functions = {
        ("torch._utils", "_rebuild_tensor"): Tensor,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
        ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
        ("torch", "Size"): _size,
    }
    known: dict[tuple[str, str], Any] = {
        (module, name): Function(f"{module}.{name}", ours)
        for (module, name), ours in functions.items()
    }
    known["torch.nn.parameter", "Parameter"] = Parameter
    return known


# A call costs a file some five bytes: none may copy what it is given.


def _size(items: Any = ()) -> tuple:
    require(type(items) is tuple, f"size is a {kind(items)}, not a tuple")
    return items


def _rebuild_tensor(
    storage: Any,
    offset: Any,
    shape: Any,
    strides: Any,
    requires_grad: Any,
    hooks: Any,
    metadata: Any = None,
) -> Tensor:
    return Tensor(storage, offset, shape, strides)


def _rebuild_parameter(tensor: Any, requires_grad: Any, hooks: Any) -> Tensor:
    require(type(tensor) is Tensor, f"parameter of a {kind(tensor)}")
    return tensor


class StorageReader(pickle.Reader):
    """Reads a program that refers to storages, and keeps these by their keys.

    Attributes:
      storages: key -> storage, as yet without content.
    """

    def __init__(self, data: bytes, names: pickle.Names, old_format: bool) -> None:
        classes = {
            ("torch", f"{name}Storage"): Named(code) for name, code in STORAGES.items()
        }
        super().__init__(data, {**names, **classes})
        self._old_format = old_format
        self.storages: dict[str, Storage] = {}

    def persistent_load(self, pid: Any) -> Storage:
        """The storage of a reference: ("storage", class, key, device, count).

        Raises:
          PickleError: it is something else.
        """
        # The old format adds where a storage is part of another: nowhere, in weights.
        end = (None,) if self._old_format else ()
        require(
            type(pid) is tuple
            and len(pid) == 5 + len(end)
            and pid[0] == "storage"
            and type(pid[1]) is Named
            and type(pid[2]) is str
            and type(pid[4]) is int
            and 0 <= pid[4] <= pickle_stubs.MAX_BYTES
            and pid[5:] == end,
            "reference to tensor data of unknown layout",
        )
        storage = Storage(np.dtype(pid[1].name).newbyteorder("<"), pid[4])
        known = self.storages.setdefault(pid[2], storage)
        require(
            (known.dtype, known.count) == (storage.dtype, storage.count),
            "two references to the same tensor data differ",
        )
        return known


@dataclasses.dataclass(frozen=True)
class OldFormat:
    """What bytes in the format of before 1.6 hold.

    Attributes:
      content: what the program in them makes.
      storages: those that it refers to, with their content.
      end: where the last of them ends, in bytes.
    """

    content: Any
    storages: Sequence[Storage]
    end: int


def read_old_format(
    data: bytes | mmap.mmap, names: pickle.Names, max_opcodes: int
) -> OldFormat:
    """Reads what torch.save wrote before 1.6.

    Args:
      data: the file, or as much as follows its beginning.
      names: what the program may name besides storages.
      max_opcodes: of each of its programs.

    Raises:
      PickleError: it is something else.
    """
    head = data if type(data) is bytes else data[:MAX_PROGRAMS]
    position = 0

    def following(reader: type[pickle.Reader], *arguments: Any) -> Any:
        nonlocal position
        start = position
        position = pickle.program_end(head, start, max_opcodes)
        return reader(head[start:position], *arguments)

    magic, protocol = following(pickle.Reader, {}).load(), None
    if magic == OLD_MAGIC:
        protocol = following(pickle.Reader, {}).load()
    require(
        magic == OLD_MAGIC and protocol == OLD_PROTOCOL,
        "tensor data is not of torch.save's older format",
    )
    system = following(pickle.Reader, {}).load()
    require(
        type(system) is dict and system.get("little_endian") is True,
        "tensor data is not little-endian",
    )
    reader = following(StorageReader, names, True)
    content = reader.load()
    keys = following(pickle.Reader, {}).load()
    require(
        type(keys) is list
        and all(type(key) is str for key in keys)
        and sorted(keys) == sorted(reader.storages),
        "tensor data does not hold the storages that are referred to",
    )
    whole = memoryview(data)
    for key in keys:
        storage = reader.storages[key]
        start, position = position + 8, position + 8 + storage.size
        require(
            position <= len(data)
            and struct.unpack("<q", whole[start - 8 : start])[0] == storage.count,
            f"tensor data of {storage.count:,} numbers needs {8 + storage.size:,} "
            f"bytes, the file has {max(0, len(data) - start + 8):,}",
        )
        storage.raw = whole[start:position]
    return OldFormat(content, list(reader.storages.values()), position)
