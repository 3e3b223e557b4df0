"""Count the instructions of the kernels that XLA generates for a GPU.

XLA writes the files of a program to `--xla_dump_to`: the PTX code of its kernels, and
the sequence in which they run. Loops count as one iteration, and branches as taken, so
the counts are estimates. Calls of libraries, such as cuDNN, do not count.
"""

import re
from pathlib import Path

WARP = 32  # threads that execute an instruction together

_ENTRY = re.compile(r"\.entry (\w+)\(.*?\n\{(.*?)\n\}", re.DOTALL)
# A line that starts with a directive, a label, a brace or a comment is no instruction.
_INSTRUCTION = re.compile(r"^\s+[@a-z]", re.MULTILINE)
_LAUNCH = re.compile(
    r"kCustomKernel .*\] (\w+) grid: \[(\d+), (\d+), (\d+)\]"
    r" threads: \[(\d+), (\d+), (\d+)\]"
)


def kernels(text: str) -> dict[str, int]:
    """Return the number of instructions of each kernel in PTX code."""
    return {
        name: len(_INSTRUCTION.findall(body)) for name, body in _ENTRY.findall(text)
    }


def launches(text: str) -> list[tuple[str, int]]:
    """Return (kernel, warps) of each kernel in a sequence of thunks.

    Raises:
      ValueError: there are none, or kernels of another format.
    """
    found = []
    for name, *sizes in _LAUNCH.findall(text):
        x, y, z, *threads = map(int, sizes)
        per_block = -(-threads[0] * threads[1] * threads[2] // WARP)
        found.append((name, x * y * z * per_block))
    if not found or len(found) != len(re.findall(r"k\w*Kernel\b", text)):
        raise ValueError("the sequence of thunks has kernels of an unknown format")
    return found


def instructions(folder: Path) -> int:
    """Return the number of instructions, each counted once for a warp.

    Args:
      folder: the files of one program.

    Raises:
      ValueError: the code of a kernel is missing.
    """
    counts: dict[str, int] = {}
    for path in folder.glob("*.ptx"):
        counts |= kernels(path.read_text())
    sequences = [*folder.glob("*.thunk_sequence.txt")]
    if len(sequences) != 1:
        raise ValueError(
            f"{folder} has {len(sequences)} sequences of thunks; one needed"
        )
    total = 0
    for name, warps in launches(sequences[0].read_text()):
        if name not in counts:
            raise ValueError(f"{folder} has no PTX code of the kernel {name}")
        total += counts[name] * warps
    return total
