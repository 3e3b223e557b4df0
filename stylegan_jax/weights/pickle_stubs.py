"""Inert stubs for the dicts, NumPy arrays and numbers in a pickle.

Each stub has __slots__ and a __setstate__; without them, pickle would set arbitrary
attributes from the file.
"""

import math
from typing import Any

import numpy as np

from stylegan_jax.weights.pickle import describe, require, type_name

# Limits, with the values of official files.
MAX_BYTES = 4 * 2**30  # of a file, and of all of its variables; official: 0.4 GB
MAX_ARRAYS = 100_000  # in a file; official: about 800
MAX_SETTINGS = 10_000  # values in a file's arguments; official: about 200
MAX_DEPTH = 8  # nesting of lists and dicts in arguments; official: 2
MAX_NAME = 200  # characters; official: about 40
NUMBERS = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")

_DICT_NAMES = (
    ("dnnlib.util", "EasyDict"),
    ("dnnlib", "EasyDict"),
    ("collections", "OrderedDict"),
)
_NUMPY_CORES = ("numpy.core", "numpy._core")  # the names in NumPy 1 and NumPy 2


class Stub:
    """An object whose state no pickle may set."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        require(False, f"a {type_name(self)} has attributes of its own")


class Dict(dict):
    """A stub for EasyDict and OrderedDict: a dict and nothing else."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        require(not state, "a dict has attributes of its own")


class Named:
    """A stub for a name that is only passed on, such as `numpy.ndarray`."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __setstate__(self, state: Any) -> None:
        require(False, f"the pickle attempts to change `{self.name}`")


class Function(Named):
    """A stub for a function that calls ours instead."""

    __slots__ = ("ours",)

    def __init__(self, name: str, ours: Any) -> None:
        super().__init__(name)
        self.ours = ours

    def __call__(self, *arguments: Any) -> Any:
        """Call our function."""
        return self.ours(*arguments)


def functions(ours: dict[tuple[str, str], Any]) -> dict[tuple[str, str], Any]:
    """Return stubs that call our functions: (module, name) -> stub."""
    return {
        (module, name): Function(f"{module}.{name}", function)
        for (module, name), function in ours.items()
    }


class DType:
    """A stub for a `numpy.dtype` of plain numbers."""

    __slots__ = ("code", "byteorder")

    def __init__(self, code: Any, align: Any = False, copy: Any = True) -> None:
        require(
            type(code) is str and code in NUMBERS,
            f"an array has dtype {describe(code)}; only plain numbers are accepted, "
            "because an object array or a structured one could hide code",
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
        require(
            simple, "an array has a structured dtype; only plain numbers are accepted"
        )
        self.byteorder = state[1]

    def numpy(self) -> np.dtype:
        """Return the dtype that this stands for."""
        return np.dtype(self.code).newbyteorder(self.byteorder)


class Array:
    """A stub for a NumPy array or scalar: a view of bytes in the file."""

    __slots__ = ("shape", "dtype", "order", "raw")

    def __init__(self) -> None:
        self.fill((0,), DType("f4"), "C", b"")

    def fill(self, shape: Any, dtype: Any, order: Any, raw: Any) -> "Array":
        """Check and keep the content; return self."""
        require(type(dtype) is DType, f"an array's dtype has type {type_name(dtype)}")
        require(
            type(shape) is tuple
            and len(shape) <= 32
            and all(type(n) is int and 0 <= n <= MAX_BYTES for n in shape),
            "an array's shape is not a tuple of sizes",
        )
        # As text too: Python 2 had no bytes, and protocol 2 has no opcode for them.
        require(
            type(raw) in (bytes, bytearray, str),
            f"an array's content has type {type_name(raw)}",
        )
        expected = math.prod(shape) * dtype.numpy().itemsize
        require(
            expected == len(raw),
            f"an array of shape {shape} and dtype {dtype.code} needs {expected:,} "
            f"bytes, but the file has {len(raw):,}",
        )
        require(order in ("C", "F"), "an array's order is neither C nor F")
        self.shape, self.dtype, self.order, self.raw = shape, dtype, order, raw
        return self

    def __setstate__(self, state: Any) -> None:
        require(
            type(state) is tuple and len(state) == 5,
            "an array's state has an unknown layout",
        )
        _, shape, dtype, is_fortran, raw = state
        require(
            type(is_fortran) in (bool, int),
            f"an array's order has type {type_name(is_fortran)}",
        )
        self.fill(shape, dtype, "F" if is_fortran else "C", raw)

    def numpy(self) -> np.ndarray:
        """Return a C-contiguous copy in native byte order."""
        raw = self.raw.encode("latin1") if type(self.raw) is str else self.raw
        view = np.frombuffer(raw, self.dtype.numpy()).reshape(
            self.shape, order=self.order
        )
        return np.array(view, dtype=self.dtype.code, order="C")


def _reconstruct(subtype: Any, shape: Any, typecode: Any) -> Array:
    require(
        type(subtype) is Named and subtype.name == "numpy.ndarray",
        "an array has a class other than numpy.ndarray",
    )
    return Array()


def _scalar(dtype: Any, raw: Any) -> Array:
    return Array().fill((), dtype, "C", raw)


def _from_buffer(raw: Any, dtype: Any, shape: Any, order: Any) -> Array:
    return Array().fill(shape, dtype, order, raw)


def _encode(text: Any, encoding: Any) -> str:
    """Return bytes that were written as text unchanged; see `Array.fill`."""
    require(
        type(text) is str and encoding == "latin1",
        "`_codecs.encode` is called on something other than latin1 text",
    )
    return text


def names() -> dict[tuple[str, str], Any]:
    """Return the stubs by the names that files use."""
    known: dict[tuple[str, str], Any] = dict.fromkeys(_DICT_NAMES, Dict)
    known["numpy", "ndarray"] = Named("numpy.ndarray")
    ours = {("numpy", "dtype"): DType, ("_codecs", "encode"): _encode}
    for core in _NUMPY_CORES:
        ours[f"{core}.multiarray", "_reconstruct"] = _reconstruct
        ours[f"{core}.multiarray", "scalar"] = _scalar
        ours[f"{core}.numeric", "_frombuffer"] = _from_buffer
    return known | functions(ours)


class Budget:
    """Limits on the content that one file's stubs may expand to.

    A pickle may refer to one array, or one list, from many places; the budget keeps the
    result from growing without bound.
    """

    def __init__(self) -> None:
        self._bytes_left = MAX_BYTES
        self._arrays_left = MAX_ARRAYS
        self._settings_left = MAX_SETTINGS

    def spend(self, count: int, dtype: np.dtype) -> None:
        """Raise PickleError if there is no room for an array of `count` numbers."""
        self._arrays_left -= 1
        require(self._arrays_left >= 0, f"the file has more than {MAX_ARRAYS:,} arrays")
        # At least the size in float32, which `all_variables` converts to.
        self._bytes_left -= count * max(dtype.itemsize, 4)
        require(
            self._bytes_left >= 0, f"the arrays of the file exceed {MAX_BYTES:,} bytes"
        )

    def array(self, array: Array) -> np.ndarray:
        """Return the NumPy array that a stub stands for."""
        self.spend(math.prod(array.shape), array.dtype.numpy())
        return array.numpy()

    def settings(self, value: Any, where: str, depth: int = 0) -> Any:
        """Return arguments as plain Python values; NumPy scalars become numbers."""
        self._settings_left -= 1
        require(
            depth <= MAX_DEPTH and self._settings_left >= 0, f"{where} are too large"
        )
        if value is None or type(value) in (bool, int, float, str, bytes):
            return value
        if type(value) in (list, tuple):
            items = (self.settings(item, where, depth + 1) for item in value)
            return type(value)(items)
        if isinstance(value, dict):
            return {
                text(key, f"a key in {where}"): self.settings(item, where, depth + 1)
                for key, item in value.items()
            }
        require(type(value) is Array, f"{where} hold {describe(value)}")
        array = self.array(value)
        return array.item() if array.ndim == 0 else array


_REQUIRED = object()


def typed(
    state: dict,
    key: str,
    where: str,
    expected: type | tuple[type, ...],
    default: Any = _REQUIRED,
) -> Any:
    """Return `state[key]` after a check of its type; if absent, the default."""
    if key not in state and default is not _REQUIRED:
        return default
    require(key in state, f"{where} has no `{key}`")
    value = state[key]
    first = expected[0] if isinstance(expected, tuple) else expected
    require(
        isinstance(value, expected),
        f"`{key}` of {where} has type {type_name(value)}, expected {first.__name__}",
    )
    return value


def text(value: Any, where: str) -> str:
    """Return a value that must be a name: a str, and of bounded length."""
    require(type(value) is str, f"{where} has type {type_name(value)}, expected str")
    require(len(value) <= MAX_NAME, f"{where} has more than {MAX_NAME} characters")
    return value
