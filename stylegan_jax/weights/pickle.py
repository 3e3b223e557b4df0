"""Reads official network files without running anything in them.

NVIDIA published its networks as Python pickles. A pickle is a program: it may name any
function on the machine and have it called. So here every name that such a file
legitimately uses is bound to an inert stand-in of ours, which checks and keeps its
arguments; any other name is refused before it is looked up, let alone imported. The
source code that a network carries is kept as text.

What remains possible to a hostile file is to be refused, or to waste some time.
"""

import io
import pickle
import pickletools
from collections.abc import Mapping
from typing import Any

NETWORK_FILE = "a network .pkl of StyleGAN, StyleGAN2 or StyleGAN2-ADA"

# What people hand over by mistake: how such a file begins, and what it is.
_FOREIGN = (
    (b"PK\x03\x04", "a zip archive, as torch.save writes (.pt, .pth) or a data set"),
    (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19", "a PyTorch file of the older format"),
    (b"version https://git-lfs", "a Git LFS pointer; fetch the real file"),
    (b"<!doctype html", "a web page; the download of the real file must have failed"),
    (b"<html", "a web page; the download of the real file must have failed"),
    (b"\x1f\x8b", "gzip-compressed; decompress it first"),
)

_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")
_GETS = ("GET", "BINGET", "LONG_BINGET")
# What these leave on the stack cannot be a key.
_OF_CONTAINERS = frozenset(
    ("LIST", "APPEND", "APPENDS", "DICT", "SETITEM", "SETITEMS", "ADDITEMS")
)

Names = Mapping[tuple[str, str], Any]  # (module, name) -> its stand-in
MAX_OPCODES = 1_000_000  # of a program; official: below 100,000
MAX_TUPLE = 1_000  # values in a tuple and those within it; official: about 20


class PickleError(ValueError):
    """The file is not a network file that can be read safely."""


def short(text: str) -> str:
    """A name out of the file, fit for a message: quoted, escaped, not endless."""
    return repr(text if len(text) <= 120 else text[:120] + "...")


def shown(value: object) -> str:
    """A value out of the file; only its kind where it could be of any size."""
    if type(value) is str:
        return short(value)
    return repr(value) if type(value) in (bool, int, float) else f"a {kind(value)}"


def kind(value: object) -> str:
    """Its type's name, for messages."""
    return type(value).__name__.lstrip("_")


def require(condition: bool, message: str) -> None:
    """Raises PickleError unless the condition holds."""
    if not condition:
        raise PickleError(f"{message}. Nothing in the file was executed")


def refuse_foreign(data: bytes, expected: str = NETWORK_FILE) -> None:
    """Raises PickleError for the kinds of files that are handed over by mistake."""
    require(bool(data), "is empty")
    head = data[:256].lstrip().lower()
    for signature, meaning in _FOREIGN:
        if head.startswith(signature.lower()):
            raise PickleError(f"is {meaning}. Expected: {expected}")


def program_end(data: bytes, start: int = 0, limit: int = MAX_OPCODES) -> int:
    """Where the program that begins at `start` ends; carries out none of it.

    Raises:
      PickleError: it is longer than `limit` instructions, or no network needs them.
    """
    file = io.BytesIO(data)
    file.seek(start)
    tuples = _Tuples()
    for step, (opcode, argument, position) in enumerate(pickletools.genops(file)):
        # These are looked up in a registry of the process, not by find_class.
        require(
            opcode.name not in ("EXT1", "EXT2", "EXT4"),
            f"uses the extension registry ({opcode.name}), which network files do not",
        )
        if opcode.name in _PUTS:
            # A memo slot far out makes the unpickler allocate all before it.
            require(argument <= position, f"claims memo slot {argument:,}")
        require(step < limit, f"has more than {limit:,} instructions")
        tuples.follow(opcode, argument)
    return file.tell()


class _Tuples:
    """Follows a program for the sizes of its tuples, shared parts counted each time.

    Python hashes a key by walking it: of 40 tuples, each of twice the one before, that
    is 2^40 steps, and a deep one exhausts the stack of the process.
    """

    def __init__(self) -> None:
        self._stack: list[int] = []  # sizes; 0 is a mark
        self._memo: dict[int, int] = {}

    def follow(self, opcode: pickletools.OpcodeInfo, argument: Any) -> None:
        """Raises PickleError if a tuple becomes too large."""
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
        taken = 0
        if pickletools.markobject in opcode.stack_before:
            while size := stack.pop():
                taken += size
        for part in opcode.stack_before:
            if part is pickletools.markobject:
                break
            taken += stack.pop()
        size = 1 if name in _OF_CONTAINERS else 1 + taken
        require(size <= MAX_TUPLE, f"has a tuple of more than {MAX_TUPLE:,} values")
        stack.extend([0 if name == "MARK" else size] * len(opcode.stack_after))


class Reader(pickle.Unpickler):
    """An unpickler that knows some stand-ins and no other name."""

    def __init__(self, data: bytes, names: Names) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")
        self._names = names

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of a name.

        Raises:
          PickleError: there is none.
        """
        found = self._names.get((module, name))
        if found is not None:
            return found
        raise PickleError(
            f"asks for {short(f'{module}.{name}')}, which no file of network weights "
            "needs; it may be an attack. It was refused and nothing in the file was "
            "executed. Please get the file from its original source"
        )

    def persistent_load(self, pid: Any) -> Any:
        """Raises PickleError."""
        raise PickleError(
            "refers to data outside of itself, as PyTorch's .pt files do. Expected: a "
            "network .pkl. Nothing in it was executed"
        )
