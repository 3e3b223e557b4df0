"""Read pickled weights without running anything in the file.

NVIDIA published its networks as Python pickles. A pickle is a program: it may name any
function on the machine and have it called. Here, every name that such a file
legitimately uses is bound to an inert stub of ours, which checks and keeps its
arguments. Any other name is refused before it is looked up, let alone imported. The
source code that a network carries is kept as text.

At most, a hostile file can waste some time before it is refused.
"""

import io
import pickle
import pickletools
from collections.abc import Mapping
from typing import Any

NETWORK_FILE = "a network .pkl of StyleGAN, StyleGAN2, StyleGAN2-ADA or StyleGAN3"

# Files that users often pass by mistake: their first bytes and their kind.
_FOREIGN = (
    (b"PK\x03\x04", "a zip archive: a PyTorch file (.pt, .pth) or a data set"),
    (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19", "a PyTorch file of the older format"),
    (b"version https://git-lfs", "a Git LFS pointer; fetch the real file"),
    (b"<!doctype html", "a web page; the download of the real file must have failed"),
    (b"<html", "a web page; the download of the real file must have failed"),
    (b"\x1f\x8b", "gzip-compressed; decompress it first"),
)

# The first opcodes of a dict, list, tuple or object: from protocol 2 on, and before.
_FIRST = (b"\x80", b"(", b"}", b"]", b"c")
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")
_GETS = ("GET", "BINGET", "LONG_BINGET")
# Opcodes that leave a container on the stack, which cannot be a key.
_CONTAINERS = frozenset(
    ("LIST", "APPEND", "APPENDS", "DICT", "SETITEM", "SETITEMS", "ADDITEMS")
)

Names = Mapping[tuple[str, str], Any]  # (module, name) -> stub
MAX_OPCODES = 1_000_000  # opcodes in a program; official: fewer than 100,000
MAX_TUPLE = 1_000  # values in a tuple and in those within it; official: about 20


class PickleError(ValueError):
    """The file is not one that can be read safely."""


def quote(text: str) -> str:
    """Return a name from the file for a message: quoted, escaped and shortened."""
    return repr(text if len(text) <= 120 else text[:120] + "...")


def describe(value: object) -> str:
    """Return a value from the file for a message; only its type if it may be large."""
    if type(value) is str:
        return quote(value)
    if type(value) in (bool, int, float):
        return repr(value)
    return f"a value of type {type_name(value)}"


def type_name(value: object) -> str:
    """Return the name of a value's type for a message."""
    return type(value).__name__.lstrip("_")


def require(condition: bool, message: str) -> None:
    """Raise PickleError with the message unless the condition holds."""
    if not condition:
        raise PickleError(f"{message}; nothing in the file was executed")


def refuse_foreign(data: bytes, expected: str = NETWORK_FILE) -> None:
    """Raise PickleError for kinds of files that are often passed by mistake."""
    require(bool(data), "the file is empty")
    head = data[:256].lstrip().lower()
    for signature, meaning in _FOREIGN:
        if head.startswith(signature.lower()):
            raise PickleError(f"the file is {meaning}; expected {expected}")
    if expected == NETWORK_FILE and not data.startswith(_FIRST):
        kind = "safetensors" if data[8:9] == b"{" else "damaged, or not a pickle"
        raise PickleError(
            f"the file is {kind}; expected {expected}; nothing in it was executed"
        )


def program_end(data: bytes, start: int = 0, limit: int = MAX_OPCODES) -> int:
    """Return the end of the program that begins at `start`, without running it.

    Raises:
      PickleError: The program has more than `limit` instructions, or some that no
        weights need.
    """
    file = io.BytesIO(data)
    file.seek(start)
    tuples = _TupleSizes()
    for step, (opcode, argument, position) in enumerate(pickletools.genops(file)):
        # These are looked up in a registry of the process, not by find_class.
        require(
            opcode.name not in ("EXT1", "EXT2", "EXT4"),
            f"the pickle uses the extension registry ({opcode.name}), which weight "
            "files never do",
        )
        if opcode.name in _PUTS:
            # A high memo slot makes the unpickler allocate all slots below it.
            require(argument <= position, f"the pickle claims memo slot {argument:,}")
        require(step < limit, f"the pickle has more than {limit:,} instructions")
        tuples.follow(opcode, argument)
    return file.tell()


def load_program(data: bytes, names: Names) -> Any:
    """Return what the only program in `data` builds out of stubs.

    Raises:
      PickleError: The program is refused, or something follows it.
    """
    require_end(data, program_end(data), "the file")
    return RestrictedUnpickler(data, names).load()


def require_end(data: Any, end: int, where: str) -> None:
    """Raise PickleError if anything follows position `end`."""
    rest = len(data) - end
    require(rest == 0, f"{where} has {rest:,} bytes after its end")


class _TupleSizes:
    """Sizes of a program's tuples, where a shared part counts each time.

    Python hashes a key recursively: for 40 tuples, each of which holds the one before
    twice, that takes 2^40 steps, and deep nesting exhausts the stack of the process.
    """

    def __init__(self) -> None:
        self._stack: list[int] = []  # sizes; 0 is a mark
        self._memo: dict[int, int] = {}

    def follow(self, opcode: pickletools.OpcodeInfo, argument: Any) -> None:
        """Raise PickleError if the instruction makes a tuple too large."""
        name, stack = opcode.name, self._stack
        if name in _PUTS:
            self._memo[argument] = stack[-1]
            return
        if name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
            return
        if name in _GETS:
            stack.append(self._memo[argument])
            return
        popped = 0
        if pickletools.markobject in opcode.stack_before:
            while size := stack.pop():
                popped += size
        for part in opcode.stack_before:
            if part is pickletools.markobject:
                break
            popped += stack.pop()
        size = 1 if name in _CONTAINERS else 1 + popped
        require(
            size <= MAX_TUPLE,
            f"the pickle builds a tuple of more than {MAX_TUPLE:,} values",
        )
        stack.extend([0 if name == "MARK" else size] * len(opcode.stack_after))


class RestrictedUnpickler(pickle.Unpickler):
    """An unpickler that knows some stubs and no other name."""

    def __init__(self, data: bytes, names: Names) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")
        self._names = names

    def find_class(self, module: str, name: str) -> Any:
        """Return the stub for a name.

        Raises:
          PickleError: There is none.
        """
        found = self._names.get((module, name))
        if found is not None:
            return found
        raise PickleError(
            f"the pickle requests {quote(f'{module}.{name}')}, which no weight "
            "file needs, so the file may be an attack; nothing in it was executed; "
            "get the file from its original source"
        )

    def persistent_load(self, pid: Any) -> Any:
        """Raise PickleError."""
        raise PickleError(
            "the pickle refers to data outside of itself, as PyTorch's .pt files do; "
            f"expected {NETWORK_FILE}; nothing in the file was executed"
        )
