"""Whether all that metrics need is there, as far as it can be known beforehand."""

from stylegan_jax.metrics.generated_images import GeneratedImages
from stylegan_jax.metrics.networks.detectors import KINDS
from stylegan_jax.metrics.request import Asked
from stylegan_jax.metrics.table import Metric, SeparabilityMetric, SetMetric


def check(asked: Asked, has_classifier: bool, features: str | None) -> None:
    """Raises ValueError if a metric needs what is not there; names all of them.

    Args:
      asked: the metrics, and of what.
      has_classifier: of attributes.
      features: name of the detector, see `detectors.KINDS`; None if there is none.
    """
    problems = [
        f"{name} needs {lacks}"
        for name, metric in asked.metrics.items()
        if (lacks := _lack(metric, asked, has_classifier, features))
    ]
    if asked.reals is not None and asked.reals.size != asked.generated.size:
        a, b = ("{}x{}".format(*x.size) for x in (asked.reals, asked.generated))
        problems.append(
            f"{asked.reals.name} is {a}, {asked.generated.name} is {b}; images of one "
            "size are compared"
        )
    if problems:
        raise ValueError("\n  ".join(["these metrics can't be taken:", *problems]))


def _lack(
    metric: Metric, asked: Asked, has_classifier: bool, features: str | None
) -> str | None:
    """What a metric needs and does not have; None if nothing."""
    if min(asked.generated.size) < metric.least_pixels:
        return f"images of at least {metric.least_pixels} pixels each way"
    if isinstance(metric, SetMetric):
        return (
            _lack_of_reals(metric, asked)
            or _lack_of_images(metric, asked)
            or _lack_of_logits(metric, features)
            or _misfit(metric, asked)
        )
    if not isinstance(asked.generated, GeneratedImages):
        return "a generator, not only its images; give --workdir"
    if isinstance(metric, SeparabilityMetric) and not has_classifier:
        return "a classifier; give --attributes"
    return _misfit(metric, asked)


def _misfit(metric: Metric, asked: Asked) -> str | None:
    """What the size of the images should be and is not."""
    try:
        metric.check_size(*asked.generated.size)
    except ValueError as error:
        return f"images of another size: {error}"
    return None


def _lack_of_reals(metric: SetMetric, asked: Asked) -> str | None:
    needs_reals = bool(metric.of_reals) and metric.needs_reals
    if needs_reals and asked.reals is None:
        return "real images; give --data"
    if not metric.labelled:
        return None
    for images in (asked.reals, asked.generated):
        if not images.classes:
            return f"classes, which {images.name} lacks"
        if images.label_vectors:
            return f"classes; the labels of {images.name} are vectors"
    return _other_classes(asked)


def _other_classes(asked: Asked) -> str | None:
    """How the classes of two sets differ; a generator has those of its data."""
    real, generated = asked.reals.class_names, asked.generated.class_names
    if asked.reals.classes == asked.generated.classes and generated in (None, real):
        return None
    text = (
        f"the same classes in both sets; {asked.reals.name} has {len(real)}, "
        f"{asked.generated.name} {asked.generated.classes}"
    )
    for number, names in enumerate(zip(real, generated or (), strict=False)):
        if names[0] != names[1]:
            first = "number {} is {!r} in one, {!r} in the other".format(number, *names)
            return f"{text}, and {first}"
    return text


def _lack_of_images(metric: SetMetric, asked: Asked) -> str | None:
    """What is missing in number, known before any image is looked at."""
    least, reason = metric.least_images, ""
    if metric.labelled:
        least *= asked.reals.classes
        reason = f" of {asked.reals.classes} classes"
    reals, generated = asked.counts(metric)
    have = {"generated": generated} | ({"real": reals} if reals else {})
    few = [f"{count} {what}" for what, count in have.items() if count < least]
    if not few:
        return None
    return (
        f"at least {least} images of each kind{reason}, here are {' and '.join(few)}; "
        "raise --images (`evaluation.images` in training), or use more data"
    )


def _lack_of_logits(metric: SetMetric, features: str | None) -> str | None:
    if "logits" not in metric.of_generated or features not in KINDS:
        return None
    if KINDS[features].has_logits:
        return None
    others = ", ".join(name for name, kind in KINDS.items() if kind.has_logits)
    return f"a network of features with classes, which {features} is not: {others}"
