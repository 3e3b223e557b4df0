"""Persistent cache of compiled programs."""

import os

import jax

from stylegan_jax.runtime import storage
from stylegan_jax.runtime.cli import describe

MIN_COMPILE_SECONDS = 0.5  # faster compilations are not cached


def use(path: str | None, name: str = "the compilation cache") -> None:
    """Keep compiled programs in a directory on disk or in a bucket.

    A directory that cannot be created is reported once, and not used.

    Args:
      path: the directory; None changes nothing.
      name: name of the setting, for the message.
    """
    if path is None:
        return
    path = os.path.expanduser(path)
    if storage.scheme_of(path) is None:
        try:
            os.makedirs(path, exist_ok=True)
        except OSError as error:
            print(
                f"WARNING: {name} cannot be used, so every start compiles all "
                f"programs: {describe(error)}"
            )
            return
    jax.config.update("jax_compilation_cache_dir", path)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", MIN_COMPILE_SECONDS)


def use_unless_set(path: str | None) -> None:
    """Use a directory, unless JAX's environment variable sets one."""
    if jax.config.jax_compilation_cache_dir is None:
        use(path)
