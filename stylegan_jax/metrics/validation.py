"""Checks before an evaluation: inconsistent flags, unmet requirements of metrics."""

from collections.abc import Callable, Mapping, Sequence

from stylegan_jax.data.interface import Source
from stylegan_jax.metrics import registry
from stylegan_jax.metrics.context import EvalSpec
from stylegan_jax.metrics.generated_images import GeneratedImages
from stylegan_jax.metrics.metric import GeneratorMetric, Metric, SetMetric
from stylegan_jax.metrics.networks.detectors import KINDS
from stylegan_jax.metrics.statistics import LOGITS
from stylegan_jax.runtime.messages import listed, sides

# Flag of `evaluate` -> flags; it has an effect only with at least one of them.
REQUIRES = {
    "images_a": ("images_b",),
    "images_b": ("images_a",),
    "size": ("images_a",),
    "fit": ("images_a", "data"),
    "data": ("network", "workdir"),
    "step": ("network", "workdir"),
    "truncation_psi": ("network", "workdir"),
    "noise": ("network", "workdir"),
    "num_processes": ("coordinator",),
    "process_id": ("coordinator",),
}
EXCLUDES = {
    "network": ("workdir", "images_a", "images_b", "size"),
    "workdir": ("images_a", "images_b", "size"),
}

# Flag of `evaluate` -> predicate for the metrics that use it.
USED_BY: dict[str, Callable[[Metric], bool]] = {
    "features": lambda metric: metric.network == "detector",
    "detector": lambda metric: metric.network == "detector",
    "vgg16": lambda metric: metric.network == "lpips",
    "efficientnet": lambda metric: metric.network == "efficientnet",
    "attributes": lambda metric: (
        isinstance(metric, GeneratorMetric) and metric.needs_classifier
    ),
}


def flag_problems(given: set[str]) -> list[str]:
    """Return the inconsistencies among the flags of `evaluate` that were given."""
    problems = []
    if not given & {"network", "workdir", "images_a", "images_b"}:
        problems.append("give --network, or both --images_a and --images_b")
    for flag, others in EXCLUDES.items():
        clashing = [f"--{other}" for other in others if {flag, other} <= given]
        if clashing:
            problems.append(
                f"--{flag} cannot be combined with {', '.join(clashing)}: omit one of "
                "them"
            )
    for flag, others in REQUIRES.items():
        excluded = any(flag in EXCLUDES.get(other, ()) for other in given)
        if flag in given and not excluded and not given & set(others):
            needed = " or ".join(f"--{other}" for other in others)
            problems.append(
                f"--{flag} has no effect without {needed}: add that, or leave out "
                f"--{flag}"
            )
    return problems


def check_used(given: set[str], metrics: Mapping[str, Metric]) -> None:
    """Raise ValueError for a flag of `evaluate` that none of the metrics uses."""
    for flag in sorted(given & USED_BY.keys()):
        uses = USED_BY[flag]
        if not any(map(uses, metrics.values())):
            users = [name for name, each in registry.METRICS.items() if uses(each)]
            raise ValueError(
                f"--{flag} has no effect on --metrics={','.join(metrics)}; leave it "
                f"out, or add a metric that uses it: {listed(users)}"
            )


def check_requirements(
    spec: EvalSpec, has_classifier: bool, features: str | None
) -> None:
    """Raise ValueError, listing all problems, unless the metrics can be measured.

    Args:
      spec: the metrics, and their images.
      has_classifier: True if there is a classifier of attributes.
      features: name of the detector, see `detectors.KINDS`; None without one.
    """
    problems = [
        f"{name} needs {missing}"
        for name, metric in spec.metrics.items()
        if (missing := _missing(metric, spec, has_classifier, features))
    ]
    if spec.reals is not None and spec.reals.size != spec.generated.size:
        a, b = (sides(x.size) for x in (spec.reals, spec.generated))
        problems.append(
            f"{spec.reals.name} is {a}, {spec.generated.name} is {b} (width x height); "
            "both must have the same size"
        )
    if problems:
        raise ValueError("\n  ".join(["these metrics cannot be measured:", *problems]))


def check_classes(
    reals: Source, classes: tuple[str, ...], network: str, has_names: bool
) -> None:
    """Raise ValueError unless real images have the classes of the generator.

    Args:
      reals: the real images.
      classes: classes of the generator.
      network: name, directory or file of the generator.
      has_names: False for a conversion, which knows only the number of its classes.
    """
    if len(classes) == len(reals.classes) and not has_names:
        return
    if classes != reals.classes:
        difference = _first_difference(reals.classes, classes) if has_names else ""
        raise ValueError(
            f"{reals.name} has {len(reals.classes)} classes, {network} has "
            f"{len(classes)}, and they must be the same{difference}; name the data of "
            "the run with --data"
        )


def _missing(
    metric: Metric, spec: EvalSpec, has_classifier: bool, features: str | None
) -> str | None:
    """Return what a metric needs but lacks, or None."""
    if min(spec.generated.size) < metric.min_pixels:
        return f"images of at least {metric.min_pixels} pixels in height and width"
    if isinstance(metric, SetMetric):
        missing = _missing_images(metric, spec) or _missing_logits(metric, features)
        if missing:
            return missing
    elif not isinstance(spec.generated, GeneratedImages):
        return "a generator, not only its images; give --network"
    elif metric.needs_classifier and not has_classifier:
        return "a classifier; give --attributes"
    elif metric.check_generator is not None:
        try:
            metric.check_generator(spec.generated.generator)
        except ValueError as error:
            return f"another network: {error}"
    if metric.check_size is not None:
        try:
            metric.check_size(*spec.generated.size)
        except ValueError as error:
            return f"images of another size: {error}"
    return None


def _missing_images(metric: SetMetric, spec: EvalSpec) -> str | None:
    if metric.uses_reals and metric.needs_reals and spec.reals is None:
        return "real images; give --data"
    least, reason = metric.min_images, ""
    if metric.per_class:
        missing = _missing_classes(spec)
        if missing:
            return missing
        least *= spec.reals.classes
        reason = f" of {spec.reals.classes} classes"
    real, generated = spec.counts(metric)
    counts = {"generated": generated, "real": real}
    few = [f"{count} {kind}" for kind, count in counts.items() if 0 < count < least]
    if not few:
        return None
    return (
        f"at least {least} images of each kind{reason}, but there are "
        f"{' and '.join(few)}; raise --images (`evaluation.images` in training), or "
        "use more data"
    )


def _missing_classes(spec: EvalSpec) -> str | None:
    for images in (spec.reals, spec.generated):
        if not images.classes:
            return f"classes, which {images.name} lacks"
        if images.label_vectors:
            return f"classes; the labels of {images.name} are vectors"
    # A generator has the classes of its data.
    real, generated = spec.reals.class_names, spec.generated.class_names
    if spec.reals.classes == spec.generated.classes and generated in (None, real):
        return None
    return (
        f"the same classes in both sets; {spec.reals.name} has {len(real)}, "
        f"{spec.generated.name} {spec.generated.classes}"
        + _first_difference(real, generated or ())
    )


def _first_difference(a: Sequence[str], b: Sequence[str]) -> str:
    """Return a clause about the first class that differs; empty if there is none."""
    for number, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return f": number {number} is {x!r} in one and {y!r} in the other"
    return ""


def _missing_logits(metric: SetMetric, features: str | None) -> str | None:
    if LOGITS not in metric.statistics or features not in KINDS:
        return None
    if KINDS[features].has_logits:
        return None
    others = ", ".join(name for name, kind in KINDS.items() if kind.has_logits)
    return f"a detector with class logits, which {features} is not; use {others}"
