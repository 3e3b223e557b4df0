"""The time of a compiled program by kind of operation, on a CPU.

JAX's profiler reports the instructions of the optimized HLO. Operations overlap, so the
times add up to more than the elapsed time. For matrix products that run asynchronously
(XLA's, unless they are part of a fusion), only the launch is recorded.
"""

import collections
import tempfile
from collections.abc import Callable
from pathlib import Path

import jax

from benchmarks import hlo

CALLS = 3  # number of measured calls
# The opcodes of each kind; the first matching kind counts.
KINDS = {
    "convolution": {"convolution"},
    "matrix product": {"dot"},
    "reduction": {"reduce", "reduce-window"},
}
ELEMENTWISE = "elementwise"  # arithmetic, with or without data movement
COPY = "copy, pad, shift"
_CONTROL = {"call", "conditional", "while"}  # their bodies are counted


def kinds(text: str) -> dict[str, str]:
    """Return the kind of every instruction of a program's optimized HLO, by name."""
    program = hlo.Program(text)
    return {
        x.name: _kind({part.opcode for part in program.inside(x)})
        for instructions in program.computations.values()
        for x in instructions
        if x.opcode not in _CONTROL
    }


def _kind(opcodes: set[str]) -> str:
    for kind, typical in KINDS.items():
        if opcodes & typical:
            return kind
    return COPY if opcodes <= hlo.MOVES else ELEMENTWISE


def seconds(run: Callable[[], None], text: str) -> dict[str, float]:
    """Measure the seconds per call of a program by kind of operation.

    Args:
      run: executes the program and waits for it.
      text: the program's optimized HLO.
    """
    run()
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(CALLS):
                run()
        (trace,) = Path(folder).rglob("*.xplane.pb")
        data = jax.profiler.ProfileData.from_file(str(trace))
        kind_of, total = kinds(text), collections.Counter()
        for plane in data.planes:
            for line in plane.lines:
                for event in line.events:
                    if event.name in kind_of:
                        total[kind_of[event.name]] += event.duration_ns / CALLS / 1e9
    return dict(total.most_common())


def table(by_kind: dict[str, float]) -> str:
    """Format the times as a table."""
    whole = sum(by_kind.values())
    return "\n".join(
        f"{kind:16s} {1000 * part:8.1f} ms {part / whole:6.1%}"
        for kind, part in by_kind.items()
    )
