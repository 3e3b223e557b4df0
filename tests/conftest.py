"""Settings for all tests; nothing here may hide what a user would see."""

import os

import pytest

# Before JAX is imported: small programs, compiled once and kept between runs.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", "/tmp/stylegan_jax_tests/xla")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


@pytest.fixture(scope="module")
def quick_compilation():
    """For modules whose programs are many and need not be fast."""
    from tests import tiny  # which imports JAX

    with tiny.quick_compilation():
        yield
