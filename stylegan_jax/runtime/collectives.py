"""Values that the processes of a run exchange through its devices."""

import jax
import numpy as np
from jax.experimental import multihost_utils

from stylegan_jax.runtime import messages


def is_main_process() -> bool:
    """Return True in the process that changes shared files."""
    return jax.process_index() == 0


def all_processes(flag: bool) -> bool:
    """Return True if the flag is set in all processes; all must call it."""
    return bool(np.all(multihost_utils.process_allgather(np.int32(flag))))


def max_over_processes(value: int) -> int:
    """Return the largest value of all processes; all must call it."""
    return int(np.max(multihost_utils.process_allgather(np.int32(value))))


def gather_texts(text: str) -> list[str]:
    """Return the text of each process, in order; all must call it."""
    if jax.process_count() == 1:
        return [text]
    content = np.frombuffer(text.encode(), np.uint8)
    sizes = multihost_utils.process_allgather(np.int32(len(content)))
    padded = np.zeros(int(np.max(sizes)), np.uint8)
    padded[: len(content)] = content
    rows = multihost_utils.process_allgather(padded)
    return [bytes(row[:size]).decode() for row, size in zip(rows, sizes, strict=True)]


def differences(everywhere: list[dict[str, str]]) -> list[str]:
    """Return a line for each fact that is not the same in all processes.

    Args:
      everywhere: the facts of each process, in order.

    Returns:
      Lines such as "jax: '0.10.2' in processes 0, 1; '0.9.0' in process 2".
    """
    problems = []
    for name in dict.fromkeys(name for facts in everywhere for name in facts):
        holders: dict[str, list[int]] = {}
        for process, facts in enumerate(everywhere):
            holders.setdefault(facts.get(name, "nothing"), []).append(process)
        if len(holders) > 1:
            problems.append(
                f"{name}: "
                + "; ".join(
                    f"{value!r} in process{'es' * (len(who) > 1)} "
                    + messages.listed(who)
                    for value, who in holders.items()
                )
            )
    return problems
