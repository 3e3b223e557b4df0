"""Opens what metrics work with: networks, a classifier, what is known of reals."""

import importlib
from collections.abc import Callable
from pathlib import Path

from stylegan_jax.metrics.collected import Networks
from stylegan_jax.metrics.networks import detectors
from stylegan_jax.metrics.networks.lpips import LPIPS
from stylegan_jax.metrics.real_cache import RealCache
from stylegan_jax.metrics.request import Attributes, Means, ShowProgress
from stylegan_jax.metrics.table import Metric
from stylegan_jax.runtime.parallel import Parallel

CACHE = "~/.cache/stylegan_jax/metrics"


def means(
    metrics: dict[str, Metric],
    devices: Parallel,
    *,
    features: str,
    detector: str | None,
    vgg16: str | None,
    attributes: str | None,
    cache: str | None,
    batch_size: int,
    show_progress: ShowProgress,
    on_warning: Callable[[str], None],
) -> Means:
    """All that these metrics need.

    Args:
      metrics: by name.
      devices: of all processes.
      features: of `detectors.KINDS`, the network of features.
      detector: path of its weights; None looks for them, and downloads.
      vgg16: path of the weights that LPIPS is made of; likewise.
      attributes: "package.module:function", a classifier for linear separability.
      cache: directory of what is known of real images; None remembers nothing.
      batch_size: images at once, over all devices.
      show_progress: told how far it is.
      on_warning: told what is wrong but can be mended.

    Raises:
      ValueError: there is no such network or classifier, or the batch does not divide.
      OSError: weights that are not to be had.
    """
    needed = {metric.network for metric in metrics.values()}
    share = batch_size // devices.process_count
    return Means(
        devices=devices,
        networks=Networks(
            detectors.load(features, detector, batch_size=share)
            if "detector" in needed
            else None,
            LPIPS(vgg16, batch_size=share) if "lpips" in needed else None,
        ),
        attributes=None if attributes is None else _function(attributes),
        cache=None
        if cache is None
        else RealCache(Path(cache).expanduser(), on_warning),
        batch_size=batch_size,
        show_progress=show_progress,
    )


def _function(name: str) -> Attributes:
    module, _, function = name.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"`--attributes` (={name!r}) must be package.module:function, of images "
            f"[B,h,w,3] uint8 to logits [B,A]: {error}"
        ) from error
