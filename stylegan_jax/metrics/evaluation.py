"""Evaluation: one pass over each image set, for any number of metrics."""

import datetime
import time
from collections.abc import Iterator
from typing import Any

from stylegan_jax.data import decoding
from stylegan_jax.data.pipeline import UnusableImage
from stylegan_jax.metrics import real_cache, validation
from stylegan_jax.metrics.context import EvalContext, EvalSpec
from stylegan_jax.metrics.image_sets import ImageSet
from stylegan_jax.metrics.metric import GeneratorMetric, Metric, SetMetric
from stylegan_jax.metrics.results import MetricFailure, MetricResult
from stylegan_jax.metrics.statistics import (
    ImageBatch,
    Statistic,
    Statistics,
    StatisticsAccumulator,
    by_name,
    gather_rows,
)
from stylegan_jax.runtime import environment

# Number of images -> the statistics that are needed for that many.
Needed = dict[int, set[Statistic]]


def evaluate(
    spec: EvalSpec, context: EvalContext
) -> Iterator[MetricResult | MetricFailure]:
    """Evaluate the metrics one after another; a failure does not stop the others.

    Every process must call this and consume all results, which are the same.

    Raises:
      ValueError: immediately, if a metric lacks something that it needs.
      UnusableImage: an image cannot be read; perhaps in this process only.
    """
    validation.check_requirements(
        spec,
        has_classifier=context.attributes is not None,
        features=getattr(context.networks.detector, "name", None),
    )
    return _results(spec, context)


def _results(
    spec: EvalSpec, context: EvalContext
) -> Iterator[MetricResult | MetricFailure]:
    start = time.monotonic()
    reals, generated, failure = {}, {}, None
    try:
        reals, generated = _collect_all(spec, context)
    except UnusableImage:
        raise
    except ValueError as error:  # metrics of the generator may still succeed
        failure = str(error)
    shared_seconds = time.monotonic() - start
    versions = environment.versions() | {"commit": environment.git_commit()}
    for name, metric in spec.metrics.items():
        begin = time.monotonic()
        num_real, num_generated = spec.counts(metric)
        try:
            if isinstance(metric, GeneratorMetric):
                values = metric.measure(spec, context, num_generated, name)
            elif failure is not None:
                raise ValueError(failure)
            else:
                begin -= shared_seconds
                values = metric.measure(reals.get(num_real), generated[num_generated])
        except UnusableImage:
            raise
        except ValueError as error:
            yield MetricFailure(name, str(error))
            continue
        seconds = time.monotonic() - begin
        now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        conditions = _conditions(metric, spec, context)
        for number, value in zip(metric.numbers, values, strict=True):
            yield MetricResult(
                **vars(value),
                **conditions,
                name=number,
                versions=versions,
                seconds=round(seconds, 3),
                time=now,
            )


def _conditions(metric: Metric, spec: EvalSpec, context: EvalContext) -> dict[str, Any]:
    """Return the fields of a `MetricResult` that do not depend on the value."""
    num_real, num_generated = spec.counts(metric)
    network = getattr(context.networks, metric.network) if metric.network else None
    conditions = {
        "metric": metric.name,
        "images_real": num_real or None,
        "images_generated": num_generated,
        "seed": spec.seed,
        "batch_size": context.batch_size,
        "detector": getattr(network, "name", None),
        "detector_digest": getattr(network, "digest", None),
        "resize": getattr(network, "resize", None),
        "size": spec.generated.size,
        **spec.generated.conditions(),
        **spec.checkpoint,
    }
    if isinstance(metric, GeneratorMetric) and not metric.truncates:
        conditions |= {"truncation_psi": None, "noise": None}
    if num_real:
        conditions |= {
            "dataset": spec.reals.name,
            "dataset_fingerprint": spec.reals.fingerprint,
            "dataset_mirrored": spec.reals.mirror,
            "dataset_fit": spec.reals.fit,
            "decoder": decoding.VERSION,
        }
    return conditions


def _collect_all(
    spec: EvalSpec, context: EvalContext
) -> tuple[dict[int, Statistics], dict[int, Statistics]]:
    """Collect the statistics that each set metric needs.

    Returns:
      Number of images -> statistics, of the reals and of the generated images.
    """
    real, generated = Needed(), Needed()
    for metric in spec.metrics.values():
        if isinstance(metric, SetMetric):
            num_real, num_generated = spec.counts(metric)
            if num_real:
                real.setdefault(num_real, set()).update(metric.statistics)
            generated.setdefault(num_generated, set()).update(metric.statistics)
    return (
        collect_real_statistics(spec, context, real),
        collect_statistics(
            spec.generated,
            generated,
            spec.seed + 1,
            context,
            "generated images processed",
        ),
    )


def collect_statistics(
    images: ImageSet,
    needed: Needed,
    seed: int,
    context: EvalContext,
    description: str,
) -> dict[int, Statistics]:
    """Collect statistics of the first images of a set, for several numbers of images.

    Args:
      images: the images, which are read once.
      needed: number of images -> statistics.
      seed: seed of statistics that draw samples.
      context: devices, networks and batch size.
      description: text of the progress line.

    Returns:
      Number of images -> their statistics.
    """
    if not needed:
        return {}
    accumulators = {
        limit: StatisticsAccumulator(limit, by_name(statistics), seed)
        for limit, statistics in needed.items()
    }
    total, seen = max(needed), 0
    for batch in images.batches(context.batch_size):
        pending = [s for acc in accumulators.values() for s in acc.pending]
        image_batch = ImageBatch(*batch, context.networks)
        rows = gather_rows(image_batch, pending, context.devices)
        for accumulator in accumulators.values():
            accumulator.add(rows, context.batch_size)
        seen = min(total, seen + context.batch_size)
        context.show_progress(description, seen, total)
        if seen == total:
            break
    return {limit: accumulator.result() for limit, accumulator in accumulators.items()}


def collect_real_statistics(
    spec: EvalSpec, context: EvalContext, needed: Needed
) -> dict[int, Statistics]:
    """Collect statistics of real images, loading those that are in the cache."""
    reals, cache = spec.reals, context.cache

    def describe(statistic: Statistic, count: int) -> dict[str, Any]:
        return real_cache.describe(statistic, count, reals, context.networks)

    found: dict[int, Statistics] = {}
    missing = Needed()
    for count, statistics in needed.items():
        found[count] = Statistics(count, reals.present_classes)
        for statistic in by_name(statistics):
            arrays = None
            if cache is not None and statistic.cached:
                arrays = cache.load(describe(statistic, count))
            # A cache may differ between hosts, but all processes must do the same.
            if context.devices.any_process(arrays is None)():
                missing.setdefault(count, set()).add(statistic)
            else:
                found[count].values[statistic.name] = statistic.from_arrays(arrays)
    collected = collect_statistics(
        reals, missing, spec.seed, context, "real images processed"
    )
    for count, new in collected.items():
        found[count].values |= new.values
        found[count].failures |= new.failures
        for statistic in missing[count]:
            if cache is not None and statistic.cached and statistic.name in new.values:
                arrays = statistic.to_arrays(new.values[statistic.name])
                cache.store(describe(statistic, count), arrays)
    return found
