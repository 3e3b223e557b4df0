"""All metrics of an untrained generator, on some devices; for test_evaluation.py.

python -m tests.metrics.evaluation_worker DEVICES [PORT PROCESS]
"""

import dataclasses
import json
import sys

import jax

from stylegan_jax.data.sources import from_path
from stylegan_jax.metrics import registry
from stylegan_jax.metrics.context import EvalSpec
from stylegan_jax.metrics.image_sets import RealImages
from stylegan_jax.runtime import parallel, processes
from tests.metrics import stand_ins


def generator_spec(devices: parallel.Parallel, images: int = 40) -> EvalSpec:
    skipped = {
        "fid_per_class",  # needs more images
        *("ppl_z_end", "ppl_w_full"),  # the others compile both spaces and both times
        *("eqt50k_int", "eqt50k_frac", "eqr50k"),  # of StyleGAN3 only
    }
    names = [n for n in registry.METRICS if not n.endswith("_crop")]
    source = from_path.open_path("builtin", (16, 16), "exact")
    generated = stand_ins.generator(devices, source.label_size, seed=3)
    return EvalSpec(
        metrics=registry.find([n for n in names if n not in skipped]),
        reals=RealImages(source, devices, 3, "exact"),
        generated=dataclasses.replace(generated, truncation_psi=0.9),
        images=images,
        seed=3,
        checkpoint={"checkpoint": 7000, "step": 5, "kimg": 7.0},
    )


def numbers(devices: parallel.Parallel) -> dict[str, float]:
    """Numbers of the generator and, named "real/...", of two sets of reals."""
    context = stand_ins.context(devices)
    of_generator = generator_spec(devices)
    of_reals = dataclasses.replace(
        of_generator,
        metrics=registry.find(
            ["fid50k", "fid50k_full", "kid", "is", "pr", "swd", "msssim"]
            + ["lpips_diversity"]
        ),
        generated=dataclasses.replace(of_generator.reals, seed=4),
    )
    per_class = dataclasses.replace(
        of_reals, metrics=registry.find(["fid_per_class"]), images=320
    )
    return {
        prefix + name: result.value
        for prefix, spec in (
            ("", of_generator),
            ("real/", of_reals),
            ("real/", per_class),
        )
        for name, result in stand_ins.measure(spec, context).items()
    }


def worker(devices: str, port: str | None = None, process: str = "0") -> None:
    jax.config.update("jax_num_cpu_devices", int(devices))
    if port is not None:
        processes.initialize(f"127.0.0.1:{port}", 2, int(process), 30)
    print(json.dumps(numbers(parallel.data_parallel())))


if __name__ == "__main__":
    worker(*sys.argv[1:])
