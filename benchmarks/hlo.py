"""The text of optimized HLO: the instructions that a compiled program executes.

XLA prints the same language for all devices. A program is a set of computations; the
entry computation is executed, and so are the bodies of its loops and calls. A fusion is
executed as one operation; its computation defines it.
"""

import collections
import dataclasses
import functools
import math
import re
from collections.abc import Iterator

ITEM_BYTES = {
    **dict.fromkeys(("pred", "s8", "u8", "s4", "u4"), 1),
    **dict.fromkeys(("bf16", "f16", "s16", "u16"), 2),
    **dict.fromkeys(("f32", "s32", "u32"), 4),
    **dict.fromkeys(("f64", "s64", "u64", "c64"), 8),
}
# Opcodes that take no time, such as parameters and tuples.
FREE = {
    *("after-all", "bitcast", "constant", "get-tuple-element", "opt-barrier"),
    *("parameter", "partition-id", "replica-id", "tuple"),
}
# Operations that only move data, or compute what to move.
MOVES = {
    *("bitcast", "broadcast", "concatenate", "constant", "copy", "copy-start"),
    *("dynamic-slice", "dynamic-update-slice", "get-tuple-element", "iota", "pad"),
    *("parameter", "reshape", "reverse", "slice", "slice-start", "transpose", "tuple"),
}

_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.-]+) = (.*?) ([\w-]+)\((.*)$")
_ARRAY = re.compile(r"([a-z]+\d*)\[([\d,]*)\](?:\{([^}]*)\})?")
_CALLED = re.compile(
    r"(?:calls|to_apply|body|branch_computations|true_computation|false_computation)="
    r"(\{[^}]*\}|%?[\w.-]+)"
)


@dataclasses.dataclass(frozen=True)
class Array:
    """Type of an array.

    Attributes:
      dtype: XLA's name of it, such as "bf16".
      shape: size of each axis.
      on_chip: True if it stays in a TPU's fast memory (memory space 1).
    """

    dtype: str
    shape: tuple[int, ...]
    on_chip: bool = False

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes of the elements, without the padding of the layout."""
        return self.size * ITEM_BYTES.get(self.dtype, 0)  # 0: tokens

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One line of a computation.

    Attributes:
      name: unique in the program.
      opcode: such as "fusion".
      result: type of the result; several for a tuple.
      operands: names of the operands.
      attributes: the text after the operands.
      literal: value of a constant, as text; empty for other operations.
    """

    name: str
    opcode: str
    result: tuple[Array, ...]
    operands: tuple[str, ...]
    attributes: str
    literal: str = ""

    @functools.cached_property
    def called(self) -> tuple[str, ...]:
        """Names of the computations that it calls."""
        found = " ".join(_CALLED.findall(self.attributes))
        return tuple(re.findall(r"[\w.-]+", found))

    @functools.cached_property
    def window(self) -> dict[str, tuple[int, ...]]:
        """Window of a convolution: {"size": (3, 3), "stride": (2, 2), ...}."""
        found = re.search(r"window=\{([^}]*)\}", self.attributes)
        items = (item.split("=") for item in found[1].split()) if found else ()
        return {
            key: tuple(int(n) for n in value.split("x"))
            for key, value in items
            if key != "pad"
        }

    @property
    def dim_labels(self) -> tuple[str, str, str] | None:
        """Labels of the axes of a convolution's operands and result."""
        found = re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", self.attributes)
        return found and found.groups()

    def attribute(self, name: str) -> str | None:
        """Return an attribute's value, a word or number, also of `backend_config`."""
        found = re.search(rf'\b{name}"?[=:]"?([^",}}\s]+)', self.attributes)
        return found and found[1]

    @property
    def target(self) -> str:
        """Library function of a custom call; empty for other operations."""
        return (self.attribute("custom_call_target") or "").removeprefix("__")

    @property
    def op_name(self) -> str:
        """Path of the JAX operation that it comes from."""
        found = re.search(r'op_name="([^"]*)"', self.attributes)
        return found[1] if found else ""


class Program:
    """The computations of a compiled program."""

    def __init__(self, text: str):
        """Parse the text.

        Args:
          text: the optimized HLO, as from `jax.stages.Compiled.as_text`.

        Raises:
          ValueError: the text has no entry computation.
        """
        self.computations: dict[str, list[Instruction]] = collections.defaultdict(list)
        self.entry, computation = "", ""
        for line in text.splitlines():
            if found := _COMPUTATION.match(line):
                computation = found[2]
                self.entry = computation if found[1] else self.entry
            elif found := _INSTRUCTION.match(line):
                self.computations[computation].append(_instruction(*found.groups()))
        if not self.entry:
            raise ValueError("the text has no entry computation; it must be HLO")
        self._named = {
            instruction.name: instruction
            for instructions in self.computations.values()
            for instruction in instructions
        }

    def executed(self) -> Iterator[tuple[Instruction, int]]:
        """Yield the executed operations, and how often each one is executed."""
        return self._executed(self.entry, 1)

    def _executed(self, name: str, times: int) -> Iterator[tuple[Instruction, int]]:
        for x in self.computations[name]:
            if x.opcode in FREE or x.opcode.endswith("-done"):
                continue
            if x.opcode in ("call", "conditional", "while", "async-start"):
                trips = self.trips(x) if x.opcode == "while" else 1
                for called in x.called:
                    yield from self._executed(called, times * (trips or 1))
            else:
                yield x, times

    def loops_of_unknown_length(self) -> list[Instruction]:
        """Return the loops whose bodies `executed` yields once."""
        return [
            x
            for x in self._named.values()
            if x.opcode == "while" and self.trips(x) is None
        ]

    def trips(self, loop: Instruction) -> int | None:
        """Return the number of iterations of a loop; None if it is unknown."""
        # For GPUs, XLA writes {"known_trip_count":{"n":"5"}}.
        if found := re.search(r'trip_count"?:\{"n":"(\d+)"', loop.attributes):
            return int(found[1])
        # For TPUs, the counter is the first element of the loop state. It counts from 0
        # while it is less than a constant.
        body = self.computations[loop.attribute("condition").removeprefix("%")]
        named = {x.name: x for x in body}
        root = body[-1]
        if root.opcode != "compare" or root.attribute("direction") != "LT":
            return None
        counter, bound = (named[name] for name in root.operands)
        if counter.attribute("index") != "0" or not bound.literal.isdigit():
            return None
        return int(bound.literal)

    def inside(self, instruction: Instruction) -> list[Instruction]:
        """Return an operation, or the operations of a fusion, including nested fusions.

        The computation that a reduction or scatter applies is not part of it.
        """
        if instruction.opcode != "fusion":
            return [instruction]
        return [
            part
            for called in instruction.called
            for x in self.computations[called]
            for part in self.inside(x)
        ]

    def operands(self, instruction: Instruction) -> list[Array]:
        """Return the types of the operands; for a tuple, those of its elements."""
        return [
            array
            for name in instruction.operands
            if name in self._named
            for array in self._named[name].result
        ]

    def bytes(self, instruction: Instruction) -> int:
        """Count the bytes that an operation reads and writes, except on the chip.

        Operands count as a whole, even if the operation only reads a slice.
        """
        arrays = (*self.operands(instruction), *instruction.result)
        return sum(array.bytes for array in arrays if not array.on_chip)

    def operations(self, instruction: Instruction) -> int:
        """Count the operations of the matrix products and convolutions in a fusion.

        A multiply-add is two operations. Those with padding and with the zeros of a
        dilated operand count, because a matrix unit executes them.
        """
        return sum(2 * self._multiply_adds(x) for x in self.inside(instruction))

    def _multiply_adds(self, x: Instruction) -> int:
        if not (x.opcode in ("convolution", "dot") or is_library_product(x)):
            return 0
        a, b = self.operands(x)[:2]
        result = x.result[0]
        if x.dim_labels is None:
            sizes = re.search(
                r"lhs_contracting_dim(?:s|ension\w*)\"?[=:][{\[]([^}\]]*)", x.attributes
            )
            axes = re.findall(r"\d+", sizes[1]) if sizes else []
            return result.size * math.prod(a.shape[int(axis)] for axis in axes)
        lhs, _, out = x.dim_labels
        taps = math.prod(x.window.get("size", ()))
        groups = int(x.attribute("feature_group_count") or 1)
        if "BackwardInput" in x.target:  # the first operand is the incoming gradient
            return a.size * taps * result.shape[out.index("f")] // groups
        if "BackwardFilter" in x.target:
            return b.size * taps * a.shape[lhs.index("f")] // groups
        return result.size * taps * a.shape[lhs.index("f")] // groups


def _instruction(name: str, result: str, opcode: str, rest: str) -> Instruction:
    operands, _, attributes = rest.partition(")")
    return Instruction(
        name,
        opcode,
        tuple(
            Array(
                dtype,
                tuple(int(n) for n in shape.split(",") if n),
                "S(1)" in layout,
            )
            for dtype, shape, layout in _ARRAY.findall(result)
        ),
        tuple(re.findall(r"%([\w.-]+)", operands)),
        attributes,
        operands if opcode == "constant" else "",
    )


def is_library_product(x: Instruction) -> bool:
    """Return True for calls of cuDNN's convolutions and cuBLAS's matrix products."""
    return x.target.startswith(("cudnn$conv", "cublas$"))


def is_convolution(x: Instruction) -> bool:
    """Return True unless it is a matrix product, possibly written as a convolution."""
    if x.target.startswith("cudnn$conv"):
        return True
    return x.opcode == "convolution" and max(x.window.get("size", (1,))) > 1


def exceeds_result(x: Instruction) -> bool:
    """Return True for a convolution whose window is larger than its result.

    Its filter is as large as the image: a kernel gradient in the form of a forward
    convolution. cuDNN is slow for it; a TPU computes kernel gradients in this form.
    """
    if not is_convolution(x) or "Backward" in x.target:
        return False
    sizes, out = x.window["size"], x.dim_labels[2]
    result = [x.result[0].shape[out.index(str(i))] for i in range(len(sizes))]
    return any(n > m for n, m in zip(sizes, result, strict=True))
