"""Memory of the host, where programs run on the CPU."""

import ctypes
import importlib.metadata
import importlib.util
import sys

# Of mallopt(3), as glibc's malloc.h numbers them.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8


def keep_freed() -> bool:
    """Has freed memory kept for the next allocation, not given back to the system.

    XLA's CPU programs allocate their temporary memory, often hundreds of megabytes, at
    every call. By default glibc maps it afresh each time, and every page is faulted in
    again. With this the memory of the process stays at its peak, where it would come
    back to anyway.

    Call it before threads allocate. Without glibc (macOS, Windows, musl) nothing
    changes.

    Returns:
      Whether the C library took the settings.
    """
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    settings = (
        (_M_ARENA_MAX, 1),  # arenas of threads can hold no large blocks
        (_M_MMAP_MAX, 0),
        (_M_TRIM_THRESHOLD, 2**31 - 1),
        (_M_TOP_PAD, 2**26),
    )
    return all([library.mallopt(name, value) == 1 for name, value in settings])


def keep_freed_on_cpu() -> None:
    """`keep_freed`, if this installation of JAX has nothing but the CPU to run on.

    For front doors, before JAX looks for devices. With accelerators programs take no
    memory of the host, and the threads that decode images want arenas of their own.
    """
    plugins = importlib.metadata.entry_points(group="jax_plugins")
    if not plugins and importlib.util.find_spec("libtpu") is None:
        keep_freed()
