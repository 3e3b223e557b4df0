"""Print the XLA flags that make this jaxlib compile fastest; `make test` sets them.

The tests spend nearly all of their time on compiling programs that run once. Both
flags concern the last step, the code generation of each loop: LLVM's optimizations,
and how its input is emitted. XLA's own passes, which some tests inspect, stay the
same. `--xla_cpu_opt_preset=FAST_COMPILE` of jaxlib 0.12 is faster still, but changes
gradients that nearly cancel by 1e-3. An unknown flag ends the process, so the flags
depend on the version.
"""

import importlib.metadata

_FUSION_EMITTERS_REQUIRED = (0, 11)  # observed: optional in 0.10, required in 0.12


def flags(jaxlib: str) -> str:
    """Return the flags for a jaxlib version, such as "0.10.2"."""
    version = tuple(int(n) for n in jaxlib.split(".")[:2])
    if version < _FUSION_EMITTERS_REQUIRED:
        return "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
    return "--xla_backend_optimization_level=0"


if __name__ == "__main__":
    print(flags(importlib.metadata.version("jaxlib")))
