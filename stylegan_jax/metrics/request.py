"""What is asked of an evaluation, and what it works with."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from stylegan_jax.metrics.collected import Networks
from stylegan_jax.metrics.generated_images import GeneratedImages
from stylegan_jax.metrics.image_sets import ImageSet, RealImages
from stylegan_jax.metrics.real_cache import RealCache
from stylegan_jax.metrics.table import Metric, SetMetric
from stylegan_jax.runtime import environment
from stylegan_jax.runtime.parallel import Parallel

ShowProgress = Callable[[str, int, int], None]  # what, done, of how many
# Images [b,H,W,3] uint8 -> logits [b,A] of binary attributes.
Attributes = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Means:
    """What an evaluation works with.

    Attributes:
      devices: all of them; every process takes part.
      networks: those that the metrics look through.
      attributes: a classifier, for linear separability.
      cache: of what is known of real images; None remembers nothing.
      batch_size: images at once, over all devices; even shares for all of them.
      show_progress: told how far it is.
    """

    devices: Parallel
    networks: Networks
    attributes: Attributes | None
    cache: RealCache | None
    batch_size: int
    show_progress: ShowProgress

    def __post_init__(self):
        """Raises ValueError if the batch does not split into pairs on the devices."""
        self.devices.check_batch("batch_size", self.batch_size, 2)


@dataclasses.dataclass(frozen=True)
class Asked:
    """Which metrics of what.

    Attributes:
      metrics: by name.
      reals: None if there are none.
      generated: what is compared with them.
      images: generated ones for each metric; None leaves it to the metric.
      seed: of everything that is drawn.
      checkpoint: of a run: its number, step and kimg.
    """

    metrics: dict[str, Metric]
    reals: RealImages | None
    generated: ImageSet
    images: int | None
    seed: int
    checkpoint: dict[str, Any]

    def counts(self, metric: SetMetric) -> tuple[int, int]:
        """How many reals and how many generated images a metric takes."""
        generated = self.images or metric.images
        if self.generated.count is not None:
            generated = min(generated, self.generated.count)
        if self.reals is None or not metric.of_reals:
            return 0, generated
        if metric.all_reals:
            return self.reals.count, generated
        reals = min(generated, self.reals.count)
        if "patches" in metric.of_reals:
            generated = reals
        return reals, generated


def facts(asked: Asked, means: Means) -> dict[str, str]:
    """What all processes of an evaluation must have in common, by name."""
    sets = {"reals": asked.reals, "generated": asked.generated}
    return (
        {name: str(version) for name, version in environment.versions().items()}
        | {"metrics": ", ".join(asked.metrics), "images": str(asked.images)}
        | {"seed": str(asked.seed), "batch_size": str(means.batch_size)}
        | {f"fingerprint of {k}": str(x and x.fingerprint) for k, x in sets.items()}
        | {"mirrored reals": str(asked.reals and asked.reals.mirror)}
        | {f"checkpoint: {k}": str(value) for k, value in asked.checkpoint.items()}
        | {
            f"truncation and noise of {k}": f"{x.truncation_psi:g}, {x.noise}"
            for k, x in sets.items()
            if isinstance(x, GeneratedImages)
        }
        | {
            f"weights of {name}": str(getattr(network, "digest", None))
            for name, network in vars(means.networks).items()
        }
    )
