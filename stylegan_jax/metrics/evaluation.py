"""Takes metrics: each set of images passes by once, whatever is asked of it."""

import dataclasses
import datetime
import time
from collections.abc import Iterator

from stylegan_jax.data.pipeline import UnusableImage
from stylegan_jax.metrics import collecting, of_generator, requirements
from stylegan_jax.metrics.collected import Collected
from stylegan_jax.metrics.generated_images import GeneratedImages
from stylegan_jax.metrics.request import Asked, Means
from stylegan_jax.metrics.result import Conditions, Measurement, Result
from stylegan_jax.metrics.table import PathMetric, SetMetric
from stylegan_jax.runtime import environment


@dataclasses.dataclass(frozen=True)
class Taken:
    """A metric that was taken, or could not be.

    Attributes:
      metric: its name.
      results: its numbers.
      failure: why there are none; None if there are.
    """

    metric: str
    results: list[Result]
    failure: str | None = None


def evaluate(asked: Asked, means: Means) -> Iterator[Taken]:
    """Takes the metrics, one after another; one that fails does not stop the others.

    Every process has to call it and to take all that comes, and gets the same.

    Raises:
      ValueError: at once, a metric needs what is not there.
      UnusableImage: this process, perhaps alone, met an image that can't be read.
    """
    requirements.check(
        asked,
        has_classifier=means.attributes is not None,
        features=getattr(means.networks.detector, "name", None),
    )
    return _all_taken(asked, means)


def _all_taken(asked: Asked, means: Means) -> Iterator[Taken]:
    start = time.monotonic()
    reals, generated, broken = {}, {}, None
    try:
        reals, generated = _collected(asked, means)
    except UnusableImage:
        raise
    except ValueError as error:  # paths and separability may still be had
        broken = str(error)
    shared = time.monotonic() - start
    versions = environment.versions() | {"commit": environment.git_commit()}
    for name, metric in asked.metrics.items():
        begin = time.monotonic()
        if broken is not None and isinstance(metric, SetMetric):
            yield Taken(name, [], broken)
            continue
        try:
            if isinstance(metric, SetMetric):
                counts, spent = asked.counts(metric), shared
                found = _measure(metric, reals.get(counts[0]), generated[counts[1]])
            else:
                counts, spent = (0, asked.images or metric.images), 0.0
                take = (
                    of_generator.take_path_length
                    if isinstance(metric, PathMetric)
                    else of_generator.take_separability
                )
                found = take(name, metric, asked, means, counts[1])
        except UnusableImage:
            raise
        except ValueError as error:
            yield Taken(name, [], str(error))
            continue
        seconds = time.monotonic() - begin + spent
        results = [
            _result(measurement, name, counts, seconds, versions, asked, means)
            for measurement in found
        ]
        yield Taken(name, results)


def _collected(
    asked: Asked, means: Means
) -> tuple[dict[int, Collected], dict[int, Collected]]:
    """What the metrics of sets want of the first so many reals, and generated."""
    wanted: dict[bool, dict[int, set[str]]] = {True: {}, False: {}}  # of the reals?
    for metric in asked.metrics.values():
        if not isinstance(metric, SetMetric):
            continue
        counts = asked.counts(metric)
        if counts[0]:
            wanted[True].setdefault(counts[0], set()).update(metric.of_reals)
        wanted[False].setdefault(counts[1], set()).update(metric.of_generated)
    reals = collecting.collect_reals(asked, means, wanted[True])
    generated = collecting.collect(
        asked.generated, wanted[False], asked.seed + 1, means, "generated images seen"
    )
    return reals, generated


def _measure(
    metric: SetMetric, reals: Collected | None, generated: Collected
) -> list[Measurement]:
    """The numbers of a metric.

    Raises:
      ValueError: there are none, or what it is of could not be had.
    """
    for collected, names in (
        (reals, metric.of_reals),
        (generated, metric.of_generated),
    ):
        for name in names if collected is not None else ():
            if name in collected.failures:
                raise ValueError(collected.failures[name])
    return metric.measure(reals, generated)


def _result(
    measurement: Measurement,
    name: str,
    counts: tuple[int, int],
    seconds: float,
    versions: dict[str, str | None],
    asked: Asked,
    means: Means,
) -> Result:
    metric, reals, generated = asked.metrics[name], asked.reals, asked.generated
    network = {
        "detector": means.networks.detector,
        "lpips": means.networks.distance,
    }.get(metric.network)
    of_generator = isinstance(generated, GeneratedImages)
    truncated = of_generator and not isinstance(metric, PathMetric)
    return Result(
        measurement,
        Conditions(
            metric=name,
            images_real=counts[0] or None,
            images_generated=counts[1],
            seed=asked.seed,
            batch_size=means.batch_size,
            truncation_psi=generated.truncation_psi if truncated else None,
            noise=generated.noise if truncated else None,
            detector=getattr(network, "name", None),
            detector_digest=getattr(network, "digest", None),
            resize=getattr(network, "resize", None),
            dataset=reals.name if counts[0] else None,
            dataset_fingerprint=reals.fingerprint if counts[0] else None,
            dataset_mirrored=reals.mirror if counts[0] else None,
            dataset_fit=reals.fit if counts[0] else None,
            size=generated.size,
            generated=generated.name,
            generated_fingerprint=generated.fingerprint,
            generated_fit=generated.fit,
            dtype=generated.subject.dtype if of_generator else None,
            label_source=generated.label_source if of_generator else None,
            **asked.checkpoint,
        ),
        versions=versions,
        seconds=round(seconds, 3),
        time=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
    )
