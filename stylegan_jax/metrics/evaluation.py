"""Takes metrics: each set of images passes by once, whatever is asked of it."""

import dataclasses
import datetime
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from stylegan_jax import reporting
from stylegan_jax.metrics import path_length, separability
from stylegan_jax.metrics.collected import (
    OF_FEATURES,
    Collected,
    Networks,
    Order,
    rows_of,
)
from stylegan_jax.metrics.frechet import Gaussian
from stylegan_jax.metrics.image_sets import GeneratedImages, ImageSet, RealImages
from stylegan_jax.metrics.real_cache import RealCache
from stylegan_jax.metrics.result import Conditions, Measurement, Result
from stylegan_jax.metrics.table import (
    Metric,
    PathMetric,
    SeparabilityMetric,
    SetMetric,
)
from stylegan_jax.parallel import Parallel

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
        {name: str(version) for name, version in reporting.versions().items()}
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


def evaluate(asked: Asked, means: Means) -> list[Result]:
    """Takes all metrics; every process has to call it, and gets the same.

    Raises:
      ValueError: a metric needs what is not there.
    """
    check(asked, means.attributes is not None)
    start = time.monotonic()
    of_sets = {n: m for n, m in asked.metrics.items() if isinstance(m, SetMetric)}
    wanted: dict[bool, dict[int, set[str]]] = {True: {}, False: {}}  # of the reals?
    for metric in of_sets.values():
        counts = asked.counts(metric)
        if counts[0]:
            wanted[True].setdefault(counts[0], set()).update(metric.of_reals)
        wanted[False].setdefault(counts[1], set()).update(metric.of_generated)
    reals = _collect_reals(asked, means, wanted[True])
    generated = _collect(
        asked.generated, wanted[False], asked.seed + 1, means, "generated images seen"
    )
    shared = time.monotonic() - start
    results = []
    versions = reporting.versions() | {"commit": reporting.git_commit()}
    for name, metric in asked.metrics.items():
        begin = time.monotonic()
        if isinstance(metric, SetMetric):
            counts = asked.counts(metric)
            found = metric.measure(reals.get(counts[0]), generated[counts[1]])
            spent = shared
        else:
            take = _path_length if isinstance(metric, PathMetric) else _separability
            counts, spent = (0, asked.images or metric.images), 0.0
            found = take(name, metric, asked, means, counts[1])
        seconds = time.monotonic() - begin + spent
        results += [
            _result(measurement, name, counts, seconds, versions, asked, means)
            for measurement in found
        ]
    return results


def check(asked: Asked, has_classifier: bool) -> None:
    """Raises ValueError if a metric needs what is not there; names all of them."""
    problems = []
    for name, metric in asked.metrics.items():
        if min(asked.generated.size) < metric.least_pixels:
            lacks = f"images of at least {metric.least_pixels} pixels each way"
        elif isinstance(metric, SetMetric):
            lacks = _lack(metric, asked)
        elif not isinstance(asked.generated, GeneratedImages):
            lacks = "a generator, not only its images; give --workdir"
        elif isinstance(metric, SeparabilityMetric) and not has_classifier:
            lacks = "a classifier; give --attributes"
        else:
            lacks = None
        if lacks:
            problems.append(f"{name} needs {lacks}")
    if asked.reals is not None and asked.reals.size != asked.generated.size:
        a, b = ("{}x{}".format(*x.size) for x in (asked.reals, asked.generated))
        problems.append(
            f"{asked.reals.name} is {a}, {asked.generated.name} is {b}; images of one "
            "size are compared"
        )
    if problems:
        raise ValueError("\n  ".join(["these metrics can't be taken:", *problems]))


def _lack(metric: SetMetric, asked: Asked) -> str | None:
    """What a metric needs and does not have; None if nothing."""
    needs_reals = bool(metric.of_reals) and metric.needs_reals
    if needs_reals and asked.reals is None:
        return "real images; give --data"
    if metric.labelled:
        for images in (asked.reals, asked.generated):
            if not images.classes:
                return f"classes, which {images.name} lacks"
    if min(count or 2 for count in asked.counts(metric)) < 2:
        return "at least two images of each kind"
    return None


def _collect(
    images: ImageSet,
    wanted: dict[int, set[str]],
    seed: int,
    means: Means,
    what: str,
) -> dict[int, Collected]:
    """What is wanted of the first so many images, in one pass: count -> quantities."""
    if not wanted:
        return {}
    orders = [Order(limit, names, seed) for limit, names in wanted.items()]
    total, seen = max(wanted), 0
    for batch, labels in images.batches(means.batch_size):
        now = frozenset().union(*(order.wanted for order in orders))
        rows = rows_of(batch, labels, now, means.networks, means.devices)
        for order in orders:
            order.add(rows)
        seen = min(total, seen + means.batch_size)
        means.show_progress(what, seen, total)
        if seen == total:
            break
    return {order.limit: order.collected() for order in orders}


def _collect_reals(
    asked: Asked, means: Means, wanted: dict[int, set[str]]
) -> dict[int, Collected]:
    """Like `_collect`, of real images, with what is known of them already."""
    known: dict[int, Collected] = {}
    missing: dict[int, set[str]] = {}
    for count, names in wanted.items():
        known[count] = Collected(count)
        for name in names:
            stored = None
            if means.cache is not None and name in _KEPT:
                stored = means.cache.load(_description(name, count, asked, means))
            # All processes have to take the same way.
            if means.devices.any_process(stored is None)():
                missing.setdefault(count, set()).add(name)
            else:
                _set(known[count], name, stored)
    found = _collect(asked.reals, missing, asked.seed, means, "real images seen")
    for count, names in missing.items():
        for name in names:
            arrays = _get(found[count], name)
            _set(known[count], name, arrays)
            if means.cache is not None and name in _KEPT:
                means.cache.store(_description(name, count, asked, means), arrays)
    return known


# Not patches: they are large, and quick to take again.
_KEPT = ("moments", "pool", "classes", "similarity")


def _get(collected: Collected, name: str) -> Any:
    if name == "moments":
        return {"mean": collected.gaussian.mean, "factor": collected.gaussian.factor}
    if name in _KEPT:
        return {name: getattr(collected, name)}
    return getattr(collected, name)


def _set(collected: Collected, name: str, value: Any) -> None:
    if name == "moments":
        collected.gaussian = Gaussian(value["mean"], value["factor"])
    else:
        setattr(collected, name, value[name] if name in _KEPT else value)


def _description(name: str, count: int, asked: Asked, means: Means) -> dict[str, Any]:
    """All that a quantity of the reals depends on."""
    reals, detector = asked.reals, means.networks.detector
    of_features = name in OF_FEATURES
    return {
        "quantity": name,
        "count": count,
        # Which come first, or are mirrored; else of no matter for what is known of all.
        "seed": None
        if count == reals.count and name == "moments" and not reals.mirror
        else asked.seed,
        "fingerprint": reals.fingerprint,
        "size": list(reals.size),
        "channels": reals.source.channels,
        "fit": reals.fit + " mirrored" * reals.mirror,
        "detector": [detector.name, detector.digest] if of_features else None,
        "resize": detector.resize if of_features else None,
    }


def _path_length(
    name: str, metric: PathMetric, asked: Asked, means: Means, count: int
) -> list[Measurement]:
    generated, devices, path = asked.generated, means.devices, metric.path
    subject, where = generated.subject, np.random.RandomState(asked.seed + 2)
    distances = []
    for index, (z, labels) in enumerate(generated.latents(means.batch_size, 2)):
        share = len(z[0]) // devices.process_count
        first = devices.process_index * share
        times = path.times(len(z[0]), where)[first : first + share]
        key = jax.random.fold_in(jax.random.key(asked.seed), index)
        ends = path_length.step_images(
            subject.generator,
            path_length.with_new_noise(subject.variables, key),
            *z,
            labels,
            devices.put_batch(times),
            path,
            resolution=subject.resolution,
            fade=subject.fade if subject.fade != 1 else None,
        )
        ends = map(devices.local_rows, ends)
        here = np.asarray(means.networks.distance(*ends)) / path.epsilon**2
        distances.append(devices.all_rows(here))
        done = min(count, (index + 1) * means.batch_size)
        means.show_progress(f"steps of {name}", done, count)
        if done == count:
            break
    kept = path_length.kept_distances(np.concatenate(distances)[:count])
    details = {"epsilon": path.epsilon, "kept": len(kept)}
    return [Measurement.mean(name, kept, **details)]


def _separability(
    name: str, metric: SeparabilityMetric, asked: Asked, means: Means, count: int
) -> list[Measurement]:
    del metric
    generated, devices = asked.generated, means.devices
    parts: dict[str, list[np.ndarray]] = {"z": [], "w": [], "logits": []}
    latents = generated.latents(means.batch_size)
    pictures = generated.batches(means.batch_size)
    for index, (((z,), labels), (images, _)) in enumerate(
        zip(latents, pictures, strict=False)
    ):
        w = generated.styles(z, labels)[:, 0]
        rows = {
            "z": devices.local_rows(z),
            "w": devices.local_rows(w),
            "logits": np.asarray(means.attributes(images)),
        }
        for key, value in rows.items():
            parts[key].append(devices.all_rows(value))
        done = min(count, (index + 1) * means.batch_size)
        means.show_progress(f"images of {name}", done, count)
        if done == count:
            break
    whole = {key: np.concatenate(value)[:count] for key, value in parts.items()}
    out = []
    for space in "wz":
        score, entropies = separability.linear_separability(
            whole[space], whole["logits"]
        )
        details = {"conditional_entropies": entropies.tolist()}
        out.append(Measurement(f"{name}_{space}", score, details=details))
    return out


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
            truncation_psi=generated.truncation_psi if truncated else None,
            noise=generated.noise if truncated else None,
            detector=getattr(network, "name", None),
            detector_digest=getattr(network, "digest", None),
            resize=getattr(network, "resize", None),
            dataset=reals.name if counts[0] else None,
            dataset_fingerprint=reals.fingerprint if counts[0] else None,
            dataset_mirrored=reals.mirror if counts[0] else None,
            size=generated.size,
            generated=generated.name,
            generated_fingerprint=generated.fingerprint,
            **asked.checkpoint,
        ),
        versions=versions,
        seconds=round(seconds, 3),
        time=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
    )
