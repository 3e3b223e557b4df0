"""Settings of the C library's memory allocator, for programs that run on the CPU."""

import ctypes
import importlib.metadata
import importlib.util
import sys

# Parameters of mallopt(3), as numbered in glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8


def keep_freed_memory() -> bool:
    """Tune malloc to keep freed memory for the next allocation.

    XLA's CPU programs allocate their temporary memory, often hundreds of megabytes, at
    every call. By default, glibc returns it to the system each time and maps it anew,
    so every page is faulted in again. With these settings, the memory of the process
    stays at its peak, which every call would reach anyway.

    Call this before threads allocate. Without glibc (macOS, Windows, musl) it does
    nothing.

    Returns:
      True if the C library accepted the settings.
    """
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    settings = (
        (_M_ARENA_MAX, 1),  # arenas of threads cannot hold large blocks
        (_M_MMAP_MAX, 0),
        (_M_TRIM_THRESHOLD, 2**31 - 1),
        (_M_TOP_PAD, 2**26),
    )
    return all([library.mallopt(name, value) == 1 for name, value in settings])


def keep_freed_memory_on_cpu() -> None:
    """Call `keep_freed_memory` if this installation of JAX can only use the CPU.

    Programs call this before JAX looks for devices. On accelerators the temporary
    memory is not the host's, and the threads that decode images benefit from arenas of
    their own.
    """
    plugins = importlib.metadata.entry_points(group="jax_plugins")
    if not plugins and importlib.util.find_spec("libtpu") is None:
        keep_freed_memory()
