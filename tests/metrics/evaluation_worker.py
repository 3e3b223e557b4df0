"""All metrics of an untrained generator, on some devices; for test_evaluation.py.

python -m tests.metrics.evaluation_worker DEVICES [PORT PROCESS]
"""

import dataclasses
import json
import sys

import jax

from stylegan_jax.data.sources import from_path
from stylegan_jax.metrics import request, table
from stylegan_jax.metrics.generated_images import GeneratedImages
from stylegan_jax.metrics.image_sets import RealImages
from stylegan_jax.runtime import parallel
from tests.metrics import stand_ins


def asked(devices: parallel.Parallel, images: int = 40) -> request.Asked:
    metrics = [name for name in table.METRICS if not name.endswith("_crop")]
    metrics.remove("fid_per_class")  # needs more images
    # Programs of both spaces, of one way each.
    metrics = [n for n in metrics if n not in ("ppl_z_end", "ppl_w_full")]
    source = from_path.open_path("builtin", (16, 16), "exact")
    subject = stand_ins.subject(devices, source.label_size)
    return request.Asked(
        metrics=table.find(metrics),
        reals=RealImages(source, devices, 3, "exact"),
        generated=GeneratedImages(subject, devices, 3, None, 0.9),
        images=images,
        seed=3,
        checkpoint={"checkpoint": 7000, "step": 5, "kimg": 7.0},
    )


def numbers(devices: parallel.Parallel) -> dict[str, float]:
    """Of the generator; and, with "real/" before the name, of two sets of reals."""
    means = stand_ins.means(devices)
    of_generator = asked(devices)
    of_reals = dataclasses.replace(
        of_generator,
        metrics=table.find(
            ["fid50k", "fid50k_full", "kid", "is", "pr", "swd", "msssim"]
            + ["lpips_diversity"]
        ),
        generated=dataclasses.replace(of_generator.reals, seed=4),
    )
    per_class = dataclasses.replace(
        of_reals, metrics=table.find(["fid_per_class"]), images=320
    )
    return {
        prefix + result.measurement.name: result.measurement.value
        for prefix, what in (
            ("", of_generator),
            ("real/", of_reals),
            ("real/", per_class),
        )
        for result in stand_ins.take(what, means)
    }


def worker(devices: str, port: str | None = None, process: str = "0") -> None:
    jax.config.update("jax_num_cpu_devices", int(devices))
    if port is not None:
        parallel.initialize(f"127.0.0.1:{port}", 2, int(process), 30)
    print(json.dumps(numbers(parallel.data_parallel())))


if __name__ == "__main__":
    worker(*sys.argv[1:])
