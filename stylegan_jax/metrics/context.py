"""The specification of an evaluation, and the context that it runs in."""

import dataclasses
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.config import Evaluation
from stylegan_jax.metrics.image_sets import ImageSet, RealImages
from stylegan_jax.metrics.metric import Metric, SetMetric
from stylegan_jax.metrics.networks import detectors
from stylegan_jax.metrics.networks.lpips import LPIPS
from stylegan_jax.metrics.real_cache import RealCache
from stylegan_jax.metrics.statistics import Networks
from stylegan_jax.runtime import environment
from stylegan_jax.runtime.parallel import Parallel

IMAGES_OF_A_PAIR = 2  # a batch on each device is split into pairs
ShowProgress = Callable[[str, int, int], None]  # description, done, total
# Images [b,H,W,3] uint8 -> logits [b,A] of binary attributes.
Classifier = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class EvalSpec:
    """The metrics to evaluate, and the images to evaluate them on.

    Attributes:
      metrics: name -> metric.
      reals: the real images, or None.
      generated: the images that are compared with them.
      images: number of generated images per metric; None for each metric's default.
      seed: seed of everything that is drawn.
      checkpoint: number, step and kimg of a run's checkpoint, as in `MetricResult`.
    """

    metrics: dict[str, Metric]
    reals: RealImages | None
    generated: ImageSet
    images: int | None
    seed: int
    checkpoint: dict[str, Any]

    def counts(self, metric: Metric) -> tuple[int, int]:
        """Return how many real and how many generated images a metric uses."""
        generated = self.images or metric.images
        if self.generated.count is not None:
            generated = min(generated, self.generated.count)
        uses_reals = isinstance(metric, SetMetric) and metric.uses_reals
        if self.reals is None or not uses_reals:
            return 0, generated
        if metric.all_reals:
            return self.reals.count, generated
        reals = min(generated, self.reals.count)
        return reals, reals if metric.equal_counts else generated


@dataclasses.dataclass(frozen=True)
class EvalContext:
    """The devices, networks and settings that an evaluation runs with.

    Attributes:
      devices: the devices of all processes; every process takes part.
      networks: the networks that metrics use.
      attributes: a classifier of attributes, for linear separability, or None.
      cache: cache of the statistics of real images, or None.
      batch_size: global batch size.
      show_progress: receives (description, done, total).
    """

    devices: Parallel
    networks: Networks
    attributes: Classifier | None
    cache: RealCache | None
    batch_size: int
    show_progress: ShowProgress

    def __post_init__(self):
        """Raise ValueError unless batches split into pairs on every device."""
        check_batch_size(self.devices, self.batch_size)


def check_batch_size(devices: Parallel, batch_size: int) -> None:
    """Raise ValueError unless batches split into pairs on every device."""
    kind = "images of a pair, since some metrics compare pairs"
    devices.check_batch("batch_size", batch_size, IMAGES_OF_A_PAIR, kind)


def default_batch_size(devices: Parallel) -> int:
    """Return 32 images, or the next number that splits into pairs on every device."""
    step = IMAGES_OF_A_PAIR * devices.batch_shards
    return -(-Evaluation().batch_size // step) * step


def open_context(
    metrics: dict[str, Metric],
    devices: Parallel,
    settings: Evaluation,
    show_progress: ShowProgress,
    on_warning: Callable[[str], None],
    attributes: str | None = None,
) -> EvalContext:
    """Load everything that these metrics need.

    Args:
      metrics: name -> metric.
      devices: the devices of all processes.
      settings: detector, weights, cache of real images and batch size.
      show_progress: see `EvalContext`.
      on_warning: receives warnings about the cache.
      attributes: "package.module:function", a classifier for linear separability.

    Raises:
      ValueError: there is no such detector or classifier, or the batch does not divide
        evenly over the devices.
      OSError: weights cannot be found, or cannot be downloaded.
    """
    needed = {metric.network for metric in metrics.values()}
    share = settings.batch_size // devices.process_count
    detector = lpips = efficientnet = cache = None
    if "detector" in needed:
        detector = detectors.load(
            settings.features, settings.detector, batch_size=share
        )
    if "lpips" in needed:
        lpips = LPIPS(settings.vgg16, batch_size=share)
    if "efficientnet" in needed:
        efficientnet = detectors.load_efficientnet(settings.efficientnet, share)
    if settings.cache is not None:
        cache = RealCache(Path(settings.cache).expanduser(), on_warning)
    return EvalContext(
        devices,
        Networks(detector, lpips, efficientnet),
        None if attributes is None else _load_classifier(attributes),
        cache,
        settings.batch_size,
        show_progress,
    )


def _load_classifier(name: str) -> Classifier:
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
        if not callable(found):
            raise ValueError(f"it is no function, but {found!r:.80}")
        return found
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"`--attributes` (={name!r}) must be package.module:function, naming a "
            f"function from images [B,h,w,3] uint8 to logits [B,A]: {error}"
        ) from error


def agreement_facts(spec: EvalSpec, context: EvalContext) -> dict[str, str]:
    """Return the values that all processes of an evaluation must agree on, by name."""
    facts = {
        **environment.versions(),
        "metrics": ", ".join(spec.metrics),
        "images": spec.images,
        "seed": spec.seed,
        "batch_size": context.batch_size,
        "dataset_fingerprint": spec.reals and spec.reals.fingerprint,
        "dataset_mirrored": spec.reals and spec.reals.mirror,
        **spec.generated.conditions(),
        **spec.checkpoint,
    }
    del facts["generated"]  # a path, which hosts may mount elsewhere
    for name, network in vars(context.networks).items():
        facts[f"weights of {name}"] = getattr(network, "digest", None)
    return {name: str(value) for name, value in facts.items()}
