"""Lets sets of images pass by once, and remembers what is known of the reals."""

from typing import Any

from stylegan_jax.metrics.collected import OF_FEATURES, Collected, Order, rows_of
from stylegan_jax.metrics.frechet import Gaussian
from stylegan_jax.metrics.image_sets import ImageSet
from stylegan_jax.metrics.request import Asked, Means


def collect(
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


def collect_reals(
    asked: Asked, means: Means, wanted: dict[int, set[str]]
) -> dict[int, Collected]:
    """Like `collect`, of real images, with what is known of them already."""
    known: dict[int, Collected] = {}
    missing: dict[int, set[str]] = {}
    for count, names in wanted.items():
        known[count] = Collected(count, class_names=asked.reals.present_classes)
        for name in sorted(names):  # alike on all processes
            stored = None
            if means.cache is not None and name in _KEPT:
                stored = means.cache.load(description(name, count, asked, means))
            # All processes have to take the same way.
            if means.devices.any_process(stored is None)():
                missing.setdefault(count, set()).add(name)
            else:
                _set(known[count], name, stored)
    found = collect(asked.reals, missing, asked.seed, means, "real images seen")
    for count, names in missing.items():
        for name in sorted(names):
            if name in found[count].failures:
                known[count].failures[name] = found[count].failures[name]
                continue
            arrays = _get(found[count], name)
            _set(known[count], name, arrays)
            if means.cache is not None and name in _KEPT:
                means.cache.store(description(name, count, asked, means), arrays)
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


def description(name: str, count: int, asked: Asked, means: Means) -> dict[str, Any]:
    """All that a quantity of the reals depends on."""
    reals, detector = asked.reals, means.networks.detector
    of_features = name in OF_FEATURES
    return {
        "quantity": name,
        "count": count,
        # Which come first, or are mirrored; else of no matter for what is known of all.
        "seed": None
        if count == reals.count and name == "moments" and not reals.mirror
        else reals.seed,
        "of": reals.count,
        "fingerprint": reals.fingerprint,
        "size": list(reals.size),
        "channels": reals.source.channels,
        "fit": reals.fit + " mirrored" * reals.mirror,
        "detector": [detector.name, detector.digest] if of_features else None,
        "resize": detector.resize if of_features else None,
    }
