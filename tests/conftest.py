"""Settings for all tests; they must not hide anything that users would see."""

import os

import pytest

# Set before JAX is imported: keep all compiled programs between runs.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", "/tmp/stylegan_jax_tests/xla")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


@pytest.fixture(scope="module")
def quick_compilation():
    """Compile the programs of a module with few optimizations."""
    from tests import tiny  # which imports JAX

    with tiny.quick_compilation():
        yield
