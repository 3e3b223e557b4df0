"""Available memory of the host."""

from pathlib import Path

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")  # of a container, version 2


def available_bytes() -> int | None:
    """Return the bytes that can be allocated without swapping; None if unknown.

    This is the smaller of what Linux reports and what is left of a container's limit.
    """
    found = []
    if MEMINFO.exists():
        for line in MEMINFO.read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                found.append(int(value.split()[0]) * 1024)
    limit, used = CGROUP / "memory.max", CGROUP / "memory.current"
    if limit.exists() and used.exists() and limit.read_text().strip() != "max":
        found.append(max(int(limit.read_text()) - int(used.read_text()), 0))
    return min(found, default=None)
