"""Reads the official TensorFlow-era network files without running anything in them.

StyleGAN (2019) and StyleGAN2 were released as Python pickles of (G, D, Gs), each a
`dnnlib.tflib.network.Network`. A pickle is a program: it may name any function on
the machine and have it called. So here every name that such a file legitimately
uses is bound to an inert stand-in of ours, which checks and keeps its arguments;
any other name is refused before it is looked up, let alone imported. The source
code that a network carries is kept as text.

What remains possible to a hostile file is to be refused, or to waste some time.
"""

import dataclasses
import io
import math
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np

MAX_BYTES = 4 * 2**30  # of a file, and of all variables in it; official: 0.4 GB
MAX_SETTINGS = 10_000  # values in one network's static_kwargs; official: about 20
MAX_DEPTH = 8  # lists and dicts within each other in static_kwargs; official: 2
VERSIONS = range(2, 6)  # 2 ProGAN, 3 StyleGAN, 4 and 5 StyleGAN2
ROLES = ("generator", "discriminator", "generator_ema")  # the order in the file
NUMBERS = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")

_NETWORK_NAMES = (
    ("dnnlib.tflib.network", "Network"),
    ("dnnlib.tflib", "Network"),
    ("tfutil", "Network"),
)
_DICT_NAMES = (
    ("dnnlib.util", "EasyDict"),
    ("dnnlib", "EasyDict"),
    ("collections", "OrderedDict"),
)
_NUMPY_CORES = ("numpy.core", "numpy._core")  # as numpy 1 and numpy 2 spell it

# What people hand over by mistake: how such a file begins, and what it is.
_FOREIGN = (
    (b"PK\x03\x04", "a zip archive, as torch.save writes (.pt, .pth) or a data set"),
    (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19", "a PyTorch file of the older format"),
    (b"version https://git-lfs", "a Git LFS pointer; fetch the real file"),
    (b"<!doctype html", "a web page; the download of the real file must have failed"),
    (b"<html", "a web page; the download of the real file must have failed"),
    (b"\x1f\x8b", "gzip-compressed; decompress it first"),
)


class PickleError(ValueError):
    """The file is not a network file that can be read safely."""


@dataclasses.dataclass(frozen=True)
class Network:
    """What one pickled `dnnlib.tflib.network.Network` holds.

    Attributes:
        name: its name, e.g. `G`, `G_synthesis`, `D`, `Gs`.
        static_kwargs: the arguments of its build function, plain Python values.
        func_name: the build function, e.g. `G_style`.
        source: the source text of the build function's module; never compiled.
        version: of the pickle's layout, see `VERSIONS`.
        variables: its own variables in the file's order, in the file's precision.
        components: the networks it is made of, e.g. `mapping` and `synthesis`.
    """

    name: str
    static_kwargs: dict[str, Any]
    func_name: str
    source: str
    version: int
    variables: dict[str, np.ndarray]
    components: dict[str, "Network"]

    def all_variables(self) -> dict[str, np.ndarray]:
        """Own and components' variables by full official name, in float32.

        Those of component `mapping` are named `G_mapping/...`, as TensorFlow does.

        Returns:
            Name -> float32 array, own variables first.

        Raises:
            PickleError: if a name occurs twice.
        """
        everything = dict(self.variables)
        for key, component in self.components.items():
            for name, value in component.all_variables().items():
                full_name = f"G_{key}/{name}"
                if full_name in everything:
                    raise PickleError(
                        f"network {_short(self.name)} has two variables named "
                        f"{_short(full_name)}"
                    )
                everything[full_name] = value
        return {name: value.astype(np.float32) for name, value in everything.items()}


def read_networks(path: str | Path) -> dict[str, Network]:
    """Reads the networks of an official TensorFlow-era file; runs none of its code.

    Args:
        path: a `.pkl` file as the official StyleGAN or StyleGAN2 wrote it.

    Returns:
        `generator`, `discriminator` and `generator_ema`. A file that holds a single
        network does not tell which of them it is: it is returned as `network`.

    Raises:
        PickleError: if the file is damaged, asks for anything that a network file
            has no need of, or is something else altogether.

    Reference: Karras et al., "A Style-Based Generator Architecture for Generative
        Adversarial Networks" (2019), official release.
    """
    path = Path(path)
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise PickleError(
            f"{path}: has {size:,} bytes; network files have at most {MAX_BYTES:,}"
        )
    data = path.read_bytes()
    # Damaged bytes can raise almost any exception in here (the pickle documentation
    # says so), and all of them mean the same to the user.
    try:
        _refuse_foreign(data)
        _check_opcodes(data)
        content = _Reader(data).load()
        return _Conversion().networks(content)
    except PickleError as error:
        raise PickleError(f"{path}: {error}") from None
    except Exception as error:
        raise PickleError(
            f"{path}: is truncated or damaged ({size:,} bytes; "
            f"{type(error).__name__}: {str(error)[:120]}). Nothing in it was executed; "
            "please download it again"
        ) from error


def _short(text: str) -> str:
    """A name out of the file, fit for a message: quoted, escaped, not endless."""
    return repr(text if len(text) <= 120 else text[:120] + "...")


def _shown(value: object) -> str:
    """A value out of the file; only its kind where it could be of any size."""
    if type(value) is str:
        return _short(value)
    return repr(value) if type(value) in (bool, int, float) else f"a {_kind(value)}"


def _kind(value: object) -> str:
    return type(value).__name__.lstrip("_")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise PickleError(f"{message}. Nothing in the file was executed")


# Before reading: what is it, and is it whole?


def _refuse_foreign(data: bytes) -> None:
    _require(bool(data), "is empty")
    head = data[:256].lstrip().lower()
    for signature, meaning in _FOREIGN:
        if head.startswith(signature.lower()):
            raise PickleError(
                f"is {meaning}. Expected: a TensorFlow-era network .pkl (StyleGAN, "
                "StyleGAN2)"
            )


def _check_opcodes(data: bytes) -> None:
    """Walks through the whole program once without carrying out any of it."""
    end = 0
    for opcode, argument, position in pickletools.genops(data):
        # These are looked up in a registry of the process, not by find_class.
        _require(
            opcode.name not in ("EXT1", "EXT2", "EXT4"),
            f"uses the extension registry ({opcode.name}), which network files do not",
        )
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT"):
            # A memo slot far out makes the unpickler allocate all before it.
            _require(argument <= position, f"claims memo slot {argument:,}")
        end = position + 1
    rest = len(data) - end
    _require(rest == 0, f"goes on for {rest:,} bytes after its end")


# While reading: inert stand-ins. Each has a __setstate__, for without it pickle
# would write whatever the file says into the object's attributes; and __slots__.


class _Unassembled:
    """Stands for a network; keeps its state."""

    __slots__ = ("state",)

    def __setstate__(self, state: Any) -> None:
        _require(type(state) is dict, f"network state is a {_kind(state)}, not a dict")
        self.state = state


class _Dict(dict):
    """Stands for EasyDict and OrderedDict; a dict and nothing else."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        _require(not state, "dict with attributes of its own")


class _Named:
    """Stands for a name that is only handed on, like `numpy.ndarray`."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __setstate__(self, state: Any) -> None:
        _require(False, f"attempt to change `{self.name}`")


class _Function(_Named):
    """Stands for a function; calls ours instead."""

    __slots__ = ("ours",)

    def __init__(self, name: str, ours: Any) -> None:
        super().__init__(name)
        self.ours = ours

    def __call__(self, *arguments: Any) -> Any:
        return self.ours(*arguments)


class _DType:
    """Stands for a `numpy.dtype` of plain numbers."""

    __slots__ = ("code", "byteorder")

    def __init__(self, code: Any, align: Any = False, copy: Any = True) -> None:
        _require(
            type(code) is str and code in NUMBERS,
            f"array of dtype {_shown(code)}; only plain numbers are accepted "
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
        _require(simple, "structured dtype; only plain numbers are accepted")
        self.byteorder = state[1]

    def numpy(self) -> np.dtype:
        return np.dtype(self.code).newbyteorder(self.byteorder)


class _Array:
    """Stands for a numpy array or scalar; a view of bytes that the file does hold."""

    __slots__ = ("shape", "dtype", "order", "raw")

    def __init__(self) -> None:
        self.fill((0,), _DType("f4"), "C", b"")

    def fill(self, shape: Any, dtype: Any, order: Any, raw: Any) -> "_Array":
        _require(type(dtype) is _DType, f"array dtype is a {_kind(dtype)}")
        _require(
            type(shape) is tuple
            and len(shape) <= 32
            and all(type(n) is int and 0 <= n <= MAX_BYTES for n in shape),
            "array shape is not a tuple of sizes",
        )
        # As text: Python 2 had no bytes, and protocol 2 has no opcode for them.
        _require(
            type(raw) in (bytes, bytearray, str), f"array content is a {_kind(raw)}"
        )
        expected = math.prod(shape) * dtype.numpy().itemsize
        _require(
            expected == len(raw),
            f"array of shape {shape} and dtype {dtype.code} needs {expected:,} bytes, "
            f"the file has {len(raw):,}",
        )
        _require(order in ("C", "F"), "array order is neither C nor F")
        self.shape, self.dtype, self.order, self.raw = shape, dtype, order, raw
        return self

    def __setstate__(self, state: Any) -> None:
        _require(
            type(state) is tuple and len(state) == 5, "array state of unknown layout"
        )
        _, shape, dtype, is_fortran, raw = state
        _require(type(is_fortran) in (bool, int), "array order of unknown kind")
        self.fill(shape, dtype, "F" if is_fortran else "C", raw)

    def numpy(self) -> np.ndarray:
        raw = self.raw.encode("latin1") if type(self.raw) is str else self.raw
        view = np.frombuffer(raw, self.dtype.numpy()).reshape(
            self.shape, order=self.order
        )
        return np.array(view, dtype=self.dtype.code, order="C")


def _reconstruct(subtype: Any, shape: Any, typecode: Any) -> _Array:
    _require(
        type(subtype) is _Named and subtype.name == "numpy.ndarray",
        "array of another class than numpy.ndarray",
    )
    return _Array()


def _scalar(dtype: Any, raw: Any) -> _Array:
    return _Array().fill((), dtype, "C", raw)


def _from_buffer(raw: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    return _Array().fill(shape, dtype, order, raw)


def _encode(text: Any, encoding: Any) -> str:
    """Leaves bytes that were written as text as they are, see `_Array.fill`."""
    _require(
        type(text) is str and encoding == "latin1",
        "`_codecs.encode` on something else than latin1 text",
    )
    return text


def _known_names() -> dict[tuple[str, str], Any]:
    known: dict[tuple[str, str], Any] = dict.fromkeys(_NETWORK_NAMES, _Unassembled)
    known |= dict.fromkeys(_DICT_NAMES, _Dict)
    known["numpy", "ndarray"] = _Named("numpy.ndarray")
    known["numpy", "dtype"] = _Function("numpy.dtype", _DType)
    known["_codecs", "encode"] = _Function("_codecs.encode", _encode)
    for core in _NUMPY_CORES:
        for module, name, ours in (
            ("multiarray", "_reconstruct", _reconstruct),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        ):
            known[f"{core}.{module}", name] = _Function(f"{core}.{module}.{name}", ours)
    return known


class _Reader(pickle.Unpickler):
    """An unpickler that knows the stand-ins above and no other name."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")
        self._known = _known_names()

    def find_class(self, module: str, name: str) -> Any:
        found = self._known.get((module, name))
        if found is not None:
            return found
        wanted = _short(f"{module}.{name}")
        if module.split(".")[0] in ("torch", "torch_utils"):
            raise PickleError(
                "is a PyTorch-era network file (StyleGAN2-ADA-PyTorch, StyleGAN3): it "
                f"asks for {wanted}. Expected: a TensorFlow-era file (StyleGAN, "
                "StyleGAN2). Nothing in it was executed"
            )
        raise PickleError(
            f"asks for {wanted}, which no StyleGAN network file needs; it may be an "
            "attack. It was refused and nothing in the file was executed. Please get "
            "the file from its original source"
        )

    def persistent_load(self, pid: Any) -> Any:
        raise PickleError(
            "refers to data outside of itself, as PyTorch files do. Expected: a "
            "TensorFlow-era file (StyleGAN, StyleGAN2). Nothing in it was executed"
        )


# After reading: from stand-ins to networks.


class _Conversion:
    """Checks what was read and makes networks of it.

    A pickle may refer to one large array, or one list, from many places; the two
    budgets keep such a file from growing without bound.
    """

    def __init__(self) -> None:
        self._bytes_left = MAX_BYTES
        self._settings_left = 0

    def networks(self, content: Any) -> dict[str, Network]:
        if type(content) is _Unassembled:
            return {"network": self._network(content, "network")}
        is_triple = type(content) in (tuple, list) and len(content) == len(ROLES)
        _require(
            is_triple and all(type(part) is _Unassembled for part in content),
            f"holds a {_kind(content)}; expected the three networks "
            "(G, D, Gs) or a single network",
        )
        return {
            role: self._network(part, role)
            for role, part in zip(ROLES, content, strict=True)
        }

    def _network(self, part: Any, where: str, nested: bool = False) -> Network:
        _require(type(part) is _Unassembled, f"{where} is a {_kind(part)}")
        state = getattr(part, "state", None)
        _require(state is not None, f"{where} is a network without content")
        version = state.get("version")
        _require(
            type(version) is int and version in VERSIONS,
            f"{where}: version is {_shown(version)}, expected "
            f"{VERSIONS.start} to {VERSIONS.stop - 1}",
        )
        components = _typed(state, "components", where, dict, {})
        # The official networks nest once; deeper, a small file could unfold to any
        # size, or without end.
        _require(not (nested and components), f"{where} is a component with components")
        variables = self._variables(state, where)
        self._settings_left = MAX_SETTINGS
        static_kwargs = _typed(state, "static_kwargs", where, dict, {})
        func_key = "build_func_name" if "build_func_name" in state else "func_name"
        return Network(
            name=_typed(state, "name", where, str),
            static_kwargs=self._plain(static_kwargs, f"{where}.static_kwargs"),
            func_name=_typed(state, func_key, where, str, ""),
            source=_typed(state, "build_module_src", where, str, ""),
            version=version,
            variables=variables,
            components={
                _text(key, f"{where}: component name"): self._network(
                    component, f"{where}.{key[:40]}", nested=True
                )
                for key, component in components.items()
            },
        )

    def _variables(self, state: dict, where: str) -> dict[str, np.ndarray]:
        variables: dict[str, np.ndarray] = {}
        for pair in _typed(state, "variables", where, list):
            _require(
                type(pair) in (tuple, list) and len(pair) == 2,
                f"{where}: variables are not (name, value) pairs",
            )
            name = _text(pair[0], f"{where}: variable name")
            _require(name not in variables, f"{where}: two variables {_short(name)}")
            _require(
                type(pair[1]) is _Array,
                f"{where}: variable {_short(name)} is a {_kind(pair[1])}, not an array",
            )
            variables[name] = self._array(pair[1])
        return variables

    def _array(self, array: _Array) -> np.ndarray:
        # At least the size in float32, which `all_variables` makes of it.
        itemsize = max(array.dtype.numpy().itemsize, 4)
        self._bytes_left -= math.prod(array.shape) * itemsize
        _require(self._bytes_left >= 0, f"the arrays exceed {MAX_BYTES:,} bytes")
        return array.numpy()

    def _plain(self, value: Any, where: str, depth: int = 0) -> Any:
        """Settings as plain Python values; numpy scalars become numbers."""
        self._settings_left -= 1
        _require(
            depth <= MAX_DEPTH and self._settings_left >= 0, f"{where} is too large"
        )
        if value is None or type(value) in (bool, int, float, str, bytes):
            return value
        if type(value) in (list, tuple):
            return type(value)(self._plain(item, where, depth + 1) for item in value)
        if isinstance(value, dict):
            return {
                _text(key, f"{where}: key"): self._plain(item, where, depth + 1)
                for key, item in value.items()
            }
        _require(type(value) is _Array, f"{where} holds a {_kind(value)}")
        array = self._array(value)
        return array.item() if array.ndim == 0 else array


_REQUIRED = object()


def _typed(
    state: dict, key: str, where: str, kind: type, default: Any = _REQUIRED
) -> Any:
    """`state[key]`, which must be of that kind; absent, the default if there is one."""
    if key not in state and default is not _REQUIRED:
        return default
    _require(key in state, f"{where} has no `{key}`")
    value = state[key]
    _require(
        isinstance(value, kind),
        f"{where}: `{key}` is a {_kind(value)}, expected a {kind.__name__}",
    )
    return value


def _text(value: Any, where: str) -> str:
    _require(type(value) is str, f"{where} is a {_kind(value)}, expected a str")
    return value
