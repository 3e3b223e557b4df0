"""What takes the place of dicts, numpy arrays and numbers when a file is read.

Each stand-in has a __setstate__, for without it pickle would write whatever the file
says into the object's attributes; and __slots__.
"""

import math
from typing import Any

import numpy as np

from stylegan_jax.weights.pickle import kind, require, shown

MAX_BYTES = 4 * 2**30  # of a file, and of all variables in it; official: 0.4 GB
MAX_ARRAYS = 100_000  # in a file; official: about 800
MAX_SETTINGS = 10_000  # values in a file's arguments; official: about 200
MAX_DEPTH = 8  # lists and dicts within each other in arguments; official: 2
MAX_NAME = 200  # characters; official: about 40
NUMBERS = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")

_DICT_NAMES = (
    ("dnnlib.util", "EasyDict"),
    ("dnnlib", "EasyDict"),
    ("collections", "OrderedDict"),
)
_NUMPY_CORES = ("numpy.core", "numpy._core")  # as numpy 1 and numpy 2 spell it


class Dict(dict):
    """Stands for EasyDict and OrderedDict; a dict and nothing else."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        require(not state, "dict with attributes of its own")


class Named:
    """Stands for a name that is only handed on, like `numpy.ndarray`."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __setstate__(self, state: Any) -> None:
        require(False, f"attempt to change `{self.name}`")


class Function(Named):
    """Stands for a function; calls ours instead."""

    __slots__ = ("ours",)

    def __init__(self, name: str, ours: Any) -> None:
        super().__init__(name)
        self.ours = ours

    def __call__(self, *arguments: Any) -> Any:
        """Calls ours."""
        return self.ours(*arguments)


class DType:
    """Stands for a `numpy.dtype` of plain numbers."""

    __slots__ = ("code", "byteorder")

    def __init__(self, code: Any, align: Any = False, copy: Any = True) -> None:
        require(
            type(code) is str and code in NUMBERS,
            f"array of dtype {shown(code)}; only plain numbers are accepted "
            "(an object or structured array could hide code)",
        )
        self.code = code
        self.byteorder = "="

    def __setstate__(self, state: Any) -> None:
        simple = (
            type(state) is tuple
            and len(state) in (8, 9)
            and state[0] in (3, 4)
            and type(state[1]) is str
            and state[1] in ("<", ">", "|", "=")
            and all(part is None for part in state[2:5])
        )
        require(simple, "structured dtype; only plain numbers are accepted")
        self.byteorder = state[1]

    def numpy(self) -> np.dtype:
        """The dtype that this stands for."""
        return np.dtype(self.code).newbyteorder(self.byteorder)


class Array:
    """Stands for a numpy array or scalar; a view of bytes that the file does hold."""

    __slots__ = ("shape", "dtype", "order", "raw")

    def __init__(self) -> None:
        self.fill((0,), DType("f4"), "C", b"")

    def fill(self, shape: Any, dtype: Any, order: Any, raw: Any) -> "Array":
        """Checks and takes the content; returns itself."""
        require(type(dtype) is DType, f"array dtype is a {kind(dtype)}")
        require(
            type(shape) is tuple
            and len(shape) <= 32
            and all(type(n) is int and 0 <= n <= MAX_BYTES for n in shape),
            "array shape is not a tuple of sizes",
        )
        # As text: Python 2 had no bytes, and protocol 2 has no opcode for them.
        require(type(raw) in (bytes, bytearray, str), f"array content is a {kind(raw)}")
        expected = math.prod(shape) * dtype.numpy().itemsize
        require(
            expected == len(raw),
            f"array of shape {shape} and dtype {dtype.code} needs {expected:,} bytes, "
            f"the file has {len(raw):,}",
        )
        require(order in ("C", "F"), "array order is neither C nor F")
        self.shape, self.dtype, self.order, self.raw = shape, dtype, order, raw
        return self

    def __setstate__(self, state: Any) -> None:
        require(
            type(state) is tuple and len(state) == 5, "array state of unknown layout"
        )
        _, shape, dtype, is_fortran, raw = state
        require(type(is_fortran) in (bool, int), "array order of unknown kind")
        self.fill(shape, dtype, "F" if is_fortran else "C", raw)

    def numpy(self) -> np.ndarray:
        """A copy in native byte order, C-contiguous."""
        raw = self.raw.encode("latin1") if type(self.raw) is str else self.raw
        view = np.frombuffer(raw, self.dtype.numpy()).reshape(
            self.shape, order=self.order
        )
        return np.array(view, dtype=self.dtype.code, order="C")


def _reconstruct(subtype: Any, shape: Any, typecode: Any) -> Array:
    require(
        type(subtype) is Named and subtype.name == "numpy.ndarray",
        "array of another class than numpy.ndarray",
    )
    return Array()


def _scalar(dtype: Any, raw: Any) -> Array:
    return Array().fill((), dtype, "C", raw)


def _from_buffer(raw: Any, dtype: Any, shape: Any, order: Any) -> Array:
    return Array().fill(shape, dtype, order, raw)


def _encode(text: Any, encoding: Any) -> str:
    """Leaves bytes that were written as text as they are, see `Array.fill`."""
    require(
        type(text) is str and encoding == "latin1",
        "`_codecs.encode` on something else than latin1 text",
    )
    return text


def names() -> dict[tuple[str, str], Any]:
    """The stand-ins by the names that files give."""
    known: dict[tuple[str, str], Any] = dict.fromkeys(_DICT_NAMES, Dict)
    known["numpy", "ndarray"] = Named("numpy.ndarray")
    known["numpy", "dtype"] = Function("numpy.dtype", DType)
    known["_codecs", "encode"] = Function("_codecs.encode", _encode)
    for core in _NUMPY_CORES:
        for module, name, ours in (
            ("multiarray", "_reconstruct", _reconstruct),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        ):
            known[f"{core}.{module}", name] = Function(f"{core}.{module}.{name}", ours)
    return known


class Conversion:
    """Makes plain values of stand-ins, within budgets.

    A pickle may refer to one array, or one list, from many places; the budgets, which
    are one file's, keep it from growing without bound.
    """

    def __init__(self) -> None:
        self._bytes_left = MAX_BYTES
        self._arrays_left = MAX_ARRAYS
        self._settings_left = MAX_SETTINGS

    def spend(self, count: int, dtype: np.dtype) -> None:
        """Raises PickleError if there is no room for an array of `count` numbers."""
        self._arrays_left -= 1
        require(self._arrays_left >= 0, f"there are more than {MAX_ARRAYS:,} arrays")
        # At least the size in float32, which `all_variables` makes of it.
        self._bytes_left -= count * max(dtype.itemsize, 4)
        require(self._bytes_left >= 0, f"the arrays exceed {MAX_BYTES:,} bytes")

    def array(self, array: Array) -> np.ndarray:
        """The numpy array that the stand-in stands for."""
        self.spend(math.prod(array.shape), array.dtype.numpy())
        return array.numpy()

    def settings(self, value: Any, where: str) -> Any:
        """Arguments as plain Python values; numpy scalars become numbers."""
        return self._plain(value, where)

    def _plain(self, value: Any, where: str, depth: int = 0) -> Any:
        self._settings_left -= 1
        require(
            depth <= MAX_DEPTH and self._settings_left >= 0, f"{where} is too large"
        )
        if value is None or type(value) in (bool, int, float, str, bytes):
            return value
        if type(value) in (list, tuple):
            return type(value)(self._plain(item, where, depth + 1) for item in value)
        if isinstance(value, dict):
            return {
                text(key, f"{where}: key"): self._plain(item, where, depth + 1)
                for key, item in value.items()
            }
        require(type(value) is Array, f"{where} holds a {kind(value)}")
        array = self.array(value)
        return array.item() if array.ndim == 0 else array


_REQUIRED = object()


def typed(
    state: dict,
    key: str,
    where: str,
    wanted: type | tuple[type, ...],
    default: Any = _REQUIRED,
) -> Any:
    """`state[key]`, which must be of that kind; absent, the default if there is one."""
    first = wanted[0] if isinstance(wanted, tuple) else wanted
    if key not in state and default is not _REQUIRED:
        return default
    require(key in state, f"{where} has no `{key}`")
    value = state[key]
    require(
        isinstance(value, wanted),
        f"{where}: `{key}` is a {kind(value)}, expected a {first.__name__}",
    )
    return value


def text(value: Any, where: str) -> str:
    """The value, which must be a name: a str, and not endless."""
    require(type(value) is str, f"{where} is a {kind(value)}, expected a str")
    require(len(value) <= MAX_NAME, f"{where} has more than {MAX_NAME} characters")
    return value
