"""Settings for all tests; nothing here may hide what a user would see."""

import os

# Before JAX is imported: small programs, compiled once and kept between runs.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", "/tmp/stylegan_jax_tests/xla")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
