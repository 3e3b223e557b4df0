"""The time of a compiled program by kind of operation, on a CPU.

JAX's profiler reports the instructions of the optimized HLO. Operations overlap, so the
times add up to more than the elapsed time. Of matrix products that run in the
background (XLA's, unless they are part of a fusion), only the launch is recorded.
"""

import collections
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import jax

# The opcodes of each kind; the first matching kind counts.
KINDS = {
    "convolution": {"convolution"},
    "matrix product": {"dot"},
    "reduction": {"reduce", "reduce-window"},
}
# Operations that only move data, or compute what to move.
MOVES = {
    *("bitcast", "broadcast", "concatenate", "constant", "copy", "dynamic-slice"),
    *("dynamic-update-slice", "iota", "pad", "parameter", "reshape", "reverse"),
    *("slice", "transpose"),
}
ELEMENTWISE = "elementwise"  # arithmetic, with or without data movement
COPY = "copy, pad, shift"
_CONTROL = {"call", "conditional", "while"}  # their bodies are counted

_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.-]+) \(.*\{$")
_INSTRUCTION = re.compile(
    r"^\s+(?:ROOT )?%?([\w.-]+) = (?:\([^)]*\)|\S+) ([\w-]+)\((.*)$"
)
_CALLED = re.compile(r"calls=%?([\w.-]+)")


def kinds(hlo: str) -> dict[str, str]:
    """Return the kind of every instruction of a program, by name."""
    opcodes: dict[str, set[str]] = collections.defaultdict(set)  # by computation
    instructions, computation = [], ""
    for line in hlo.splitlines():
        if found := _COMPUTATION.match(line):
            computation = found[1]
        elif found := _INSTRUCTION.match(line):
            name, opcode, rest = found.groups()
            opcodes[computation].add(opcode)
            called = _CALLED.search(rest) if opcode == "fusion" else None
            instructions.append((name, opcode, called and called[1]))
    return {
        name: _kind(opcodes[called] if called else {opcode})
        for name, opcode, called in instructions
        if opcode not in _CONTROL
    }


def _kind(opcodes: set[str]) -> str:
    for kind, typical in KINDS.items():
        if opcodes & typical:
            return kind
    return COPY if opcodes <= MOVES else ELEMENTWISE


def seconds(run: Callable[[], None], hlo: str, calls: int = 3) -> dict[str, float]:
    """Measure the seconds per call of `run`, which waits for the program, by kind."""
    run()
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(calls):
                run()
        (trace,) = Path(folder).rglob("*.xplane.pb")
        data = jax.profiler.ProfileData.from_file(str(trace))
        kind_of, total = kinds(hlo), collections.Counter()
        for plane in data.planes:
            for line in plane.lines:
                for event in line.events:
                    if event.name in kind_of:
                        total[kind_of[event.name]] += event.duration_ns / calls / 1e9
    return dict(total.most_common())


def table(by_kind: dict[str, float]) -> str:
    """Format the times as a table."""
    whole = sum(by_kind.values())
    return "\n".join(
        f"{kind:16s} {1000 * part:8.1f} ms {part / whole:6.1%}"
        for kind, part in by_kind.items()
    )
