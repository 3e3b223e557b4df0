"""Prints XLA's flags with which this jaxlib compiles quickest; `make test` sets them.

Nearly all of the tests' time is compilation, of programs that run once. Both flags
concern the last part of it, the code of each loop: LLVM's optimisations, and how its
input is made. XLA's own passes, which the tests look at, stay as they are. Not so with
0.12's `--xla_cpu_opt_preset=FAST_COMPILE`, which is quicker, but moves gradients that
nearly cancel by 1e-3. Flags that a jaxlib does not know end the process, hence the
version.
"""

import importlib.metadata

_MLIR_EMITTERS_ALWAYS = (0, 11)  # seen: 0.10 has a way around them, 0.12 not


def flags(jaxlib: str) -> str:
    """For a jaxlib's version, such as "0.10.2"."""
    version = tuple(int(n) for n in jaxlib.split(".")[:2])
    if version < _MLIR_EMITTERS_ALWAYS:
        return "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
    return "--xla_backend_optimization_level=0"


if __name__ == "__main__":
    print(flags(importlib.metadata.version("jaxlib")))
