"""Memory that a program frees is kept for its next allocation."""

import subprocess
import sys

import pytest


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_freed_memory_is_not_faulted_in_again():
    """Page faults of repeated allocations; in a process of its own."""
    code = """
import resource, sys
from stylegan_jax.runtime import malloc
kept = sys.argv[1] == "True" and malloc.keep_freed_memory()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    bytearray(2**26)
before = faults()
for _ in range(5):
    bytearray(2**26)
print(kept, faults() - before)
"""
    results = []
    for keep in (True, False):
        done = subprocess.run(
            [sys.executable, "-c", code, str(keep)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        kept, faults = done.stdout.split()
        results.append((kept == "True", int(faults)))
    (kept, with_it), (_, without) = results
    if not kept:
        pytest.skip("this C library has no such settings")
    assert with_it < without / 10
