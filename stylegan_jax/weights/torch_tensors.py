"""Read the tensors in PyTorch's files without PyTorch.

A file is a pickled program that builds tensors as views of storages, which it refers to
by keys; the numbers are stored separately. In torch.save's old format (PyTorch below
1.6), they follow the program and the few small programs around it. In the zip format,
each storage is a member of the archive.
"""

import dataclasses
import math
import mmap
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from stylegan_jax.weights import pickle, pickle_stubs
from stylegan_jax.weights.pickle import RestrictedUnpickler, require, type_name
from stylegan_jax.weights.pickle_stubs import Named, Stub, functions

OLD_MAGIC, OLD_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
MAX_PROGRAMS = 64 * 2**20  # bytes of all programs in a file; VGG16's: 5,000
# Class -> little-endian numbers. NumPy has no bfloat16, and no known weights need it.
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


class Storage(Stub):
    """A stub for a sequence of numbers; `raw` is a view of bytes in the file."""

    __slots__ = ("dtype", "count", "raw")

    def __init__(self, dtype: np.dtype, count: int) -> None:
        self.dtype, self.count, self.raw = dtype, count, None

    @property
    def size(self) -> int:
        """Size of its numbers in bytes."""
        return self.count * self.dtype.itemsize


class Tensor(Stub):
    """A stub for a tensor: a view of a storage."""

    __slots__ = ("storage", "offset", "shape", "strides")

    def __init__(self, storage: Any, offset: Any, shape: Any, strides: Any) -> None:
        require(
            type(storage) is Storage,
            f"the storage of a tensor has type {type_name(storage)}",
        )
        for sizes in (shape, strides, (offset,)):
            require(
                type(sizes) is tuple
                and len(sizes) <= 32
                and all(
                    type(n) is int and 0 <= n <= pickle_stubs.MAX_BYTES for n in sizes
                ),
                "the shape, strides or offset of a tensor are not sizes",
            )
        require(len(shape) == len(strides), "a tensor has more strides than axes")
        last = sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        within = offset + last < storage.count and math.prod(shape) <= storage.count
        require(
            within or 0 in shape,
            f"a tensor of shape {shape} and strides {strides} goes beyond the "
            f"{storage.count:,} numbers of its storage",
        )
        self.storage, self.offset = storage, offset
        self.shape, self.strides = shape, strides

    def view(self) -> np.ndarray:
        """Return a read-only array on the bytes of the file."""
        if 0 in self.shape:
            return np.zeros(self.shape, self.storage.dtype)
        numbers = np.frombuffer(self.storage.raw, self.storage.dtype)[self.offset :]
        steps = [s * self.storage.dtype.itemsize for s in self.strides]
        return np.lib.stride_tricks.as_strided(
            numbers, self.shape, steps, writeable=False
        )

    def numpy(self) -> np.ndarray:
        """Return a C-contiguous copy."""
        return np.array(self.view(), order="C")


class Parameter:
    """A stub for a parameter as PyTorch below 0.4 pickles it."""

    __slots__ = ("tensor",)

    def __new__(cls, tensor: Any = None, requires_grad: Any = True) -> "Parameter":
        """Keep the tensor and ignore `requires_grad`."""
        parameter = super().__new__(cls)
        parameter.tensor = tensor
        return parameter

    def __setstate__(self, state: Any) -> None:
        require(
            type(state) is tuple and 3 <= len(state) <= 5,
            "a parameter's state has an unknown layout",
        )
        if type(state[0]) is Tensor:
            self.tensor = state[0]


def names() -> dict[tuple[str, str], Any]:
    """Return the stubs by the names that files use."""
    ours = {
        ("torch._utils", "_rebuild_tensor"): Tensor,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
        ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
        ("torch", "Size"): _size,
    }
    return functions(ours) | {("torch.nn.parameter", "Parameter"): Parameter}


# A call takes about five bytes of a file, so none of these may copy its arguments.


def _size(items: Any = ()) -> tuple:
    require(type(items) is tuple, f"a size has type {type_name(items)}")
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
    require(type(tensor) is Tensor, f"a parameter has type {type_name(tensor)}")
    return tensor


class StorageUnpickler(RestrictedUnpickler):
    """An unpickler of a program that refers to storages.

    Attributes:
      storages: key -> storage; the content is filled in later.
    """

    def __init__(self, data: bytes, names: pickle.Names, old_format: bool) -> None:
        classes = {
            ("torch", f"{name}Storage"): Named(code) for name, code in STORAGES.items()
        }
        super().__init__(data, {**names, **classes})
        self._old_format = old_format
        self.storages: dict[str, Storage] = {}

    def persistent_load(self, pid: Any) -> Storage:
        """Return the storage for a reference: ("storage", class, key, device, count).

        Raises:
          PickleError: The reference is something else.
        """
        # In the old format, a further value marks the storage as a part of another one,
        # which no weights need.
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
            "a reference to tensor data has an unknown layout",
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
    """The content of bytes in the old format.

    Attributes:
      content: object that the program builds.
      storages: the storages that it refers to, with their content.
      end: position after the last storage, in bytes.
    """

    content: Any
    storages: Sequence[Storage]
    end: int


def read_old_format(
    data: bytes | mmap.mmap, names: pickle.Names, max_opcodes: int
) -> OldFormat:
    """Read torch.save's old format (PyTorch below 1.6).

    Args:
      data: The file; anything may follow the end of the last storage.
      names: Stubs for the names that the program may use besides storages.
      max_opcodes: Limit on the instructions in each of the file's programs.

    Raises:
      PickleError: The data is in another format.
    """
    head = data if type(data) is bytes else data[:MAX_PROGRAMS]
    position = 0

    def next_program(reader: type[RestrictedUnpickler], *arguments: Any) -> Any:
        nonlocal position
        start = position
        position = pickle.program_end(head, start, max_opcodes)
        return reader(head[start:position], *arguments)

    # The header: magic number, protocol, byte order.
    magic, protocol = next_program(RestrictedUnpickler, {}).load(), None
    if magic == OLD_MAGIC:
        protocol = next_program(RestrictedUnpickler, {}).load()
    require(
        magic == OLD_MAGIC and protocol == OLD_PROTOCOL,
        "the tensor data is not in torch.save's older format",
    )
    system = next_program(RestrictedUnpickler, {}).load()
    require(
        type(system) is dict and system.get("little_endian") is True,
        "the tensor data is not little-endian",
    )

    # The program proper, and the order of its storages.
    unpickler = next_program(StorageUnpickler, names, True)
    content = unpickler.load()
    keys = next_program(RestrictedUnpickler, {}).load()
    require(
        type(keys) is list
        and all(type(key) is str for key in keys)
        and sorted(keys) == sorted(unpickler.storages),
        "the tensor data lacks storages that are referred to",
    )

    # The storages: count, numbers.
    whole = memoryview(data)
    for key in keys:
        storage = unpickler.storages[key]
        start, position = position + 8, position + 8 + storage.size
        require(
            position <= len(data)
            and struct.unpack("<q", whole[start - 8 : start])[0] == storage.count,
            f"tensor data of {storage.count:,} numbers needs {8 + storage.size:,} "
            f"bytes, but the file has {max(0, len(data) - start + 8):,}",
        )
        storage.raw = whole[start:position]
    return OldFormat(content, list(unpickler.storages.values()), position)
