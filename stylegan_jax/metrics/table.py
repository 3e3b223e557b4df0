"""All metrics by name: what each needs, and how it is had from what was collected."""

import dataclasses
import difflib
from collections.abc import Callable

import numpy as np

from stylegan_jax.metrics import ms_ssim, sliced_wasserstein
from stylegan_jax.metrics.collected import Collected
from stylegan_jax.metrics.frechet import fit, frechet_distance
from stylegan_jax.metrics.inception_score import SPLITS, inception_score
from stylegan_jax.metrics.kernel_distance import SUBSET_SIZE, kernel_distance
from stylegan_jax.metrics.networks import lpips
from stylegan_jax.metrics.path_length import Path, check_crop
from stylegan_jax.metrics.precision_recall import NEIGHBORS, precision_recall
from stylegan_jax.metrics.result import Measurement

# Seed of what a metric draws from features, as torch-fidelity has it.
DRAWS_SEED = 2020
MAX_NAMED = 10  # classes in a message

Measure = Callable[[Collected | None, Collected], list[Measurement]]
CheckSize = Callable[[int, int], object]  # height, width; raises ValueError


def _any_size(height: int, width: int) -> None:
    """Of metrics that take all."""
    del height, width


@dataclasses.dataclass(frozen=True)
class SetMetric:
    """A metric of a set of images, mostly against another one.

    Attributes:
      help: one line.
      images: generated ones, if nobody asks for another number.
      of_reals: quantities of the reals; empty if it takes none.
      of_generated: quantities of the generated images.
      measure: (reals, generated) -> numbers.
      network: that it looks through, "detector" or "lpips"; None for none.
      all_reals: takes all there are, not just as many as generated.
      labelled: compares class by class.
      needs_reals: can't be had without them, though it takes some.
      least_pixels: of the shorter side of the images.
      check_size: raises ValueError of a height and width that it can't take.
      least_images: of each kind; of each class, if it is labelled.
    """

    help: str
    images: int
    of_reals: tuple[str, ...]
    of_generated: tuple[str, ...]
    measure: Measure
    network: str | None = None
    all_reals: bool = False
    labelled: bool = False
    needs_reals: bool = True
    least_pixels: int = 1
    check_size: CheckSize = _any_size
    least_images: int = 2


@dataclasses.dataclass(frozen=True)
class PathMetric:
    """Perceptual path length; needs a generator and LPIPS."""

    help: str
    path: Path
    images: int = 50_000
    network: str = "lpips"

    @property
    def least_pixels(self) -> int:
        """Of the shorter side of the images."""
        return lpips.MIN_SIZE * (2 if self.path.crop else 1)

    def check_size(self, height: int, width: int) -> None:
        """Raises ValueError of images that have no face to crop to."""
        if self.path.crop:
            check_crop(height, width)


@dataclasses.dataclass(frozen=True)
class SeparabilityMetric:
    """Linear separability; needs a generator and a classifier of attributes."""

    help: str
    images: int = 200_000
    network = None
    least_pixels = 1
    check_size = staticmethod(_any_size)


Metric = SetMetric | PathMetric | SeparabilityMetric


def _fid(name: str) -> Measure:
    def measure(reals: Collected, generated: Collected) -> list[Measurement]:
        found = frechet_distance(reals.gaussian, generated.gaussian)
        by_n = found.divided_by_n(reals.count, generated.count)
        details = {"divisor": "N-1", "value_with_divisor_N": by_n}
        return [Measurement(name, found.value, details=details)]

    return measure


def _kid(reals: Collected, generated: Collected) -> list[Measurement]:
    size = min(SUBSET_SIZE, reals.count, generated.count)
    rng = np.random.RandomState(DRAWS_SEED)
    found = kernel_distance(generated.pool, reals.pool, rng, subset_size=size)
    details = {
        "subsets": len(found.of_subsets),
        "subset_size": size,
        "standard_deviation_over_subsets": float(np.std(found.of_subsets)),
    }
    return [Measurement("kid", found.value, found.standard_error, details)]


def _is(reals: None, generated: Collected) -> list[Measurement]:
    del reals
    scores = inception_score(generated.logits)
    found = Measurement.mean(
        "is", scores, splits=len(scores), standard_deviation=float(np.std(scores))
    )
    return [found]


def _pr(reals: Collected, generated: Collected) -> list[Measurement]:
    found = precision_recall(reals.pool, generated.pool)
    return [
        Measurement.mean("precision", found.precise, k=NEIGHBORS),
        Measurement.mean("recall", found.recalled, k=NEIGHBORS),
    ]


def _fid_per_class(reals: Collected, generated: Collected) -> list[Measurement]:
    values, few = {}, []
    seen = np.union1d(reals.classes, generated.classes).astype(int).tolist()
    for label in sorted({*seen, *reals.class_names}):
        sets = [x.pool[x.classes == label] for x in (reals, generated)]
        if min(map(len, sets)) > 1:
            values[label] = frechet_distance(*map(fit, sets)).value
        else:
            name = reals.class_names.get(label, label)
            few.append("{} ({} real, {} generated)".format(name, *map(len, sets)))
    if few:
        shown = ", ".join(few[:MAX_NAMED]) + ", ..." * (len(few) > MAX_NAMED)
        raise ValueError(
            f"{len(few)} of {len(few) + len(values)} classes have fewer than two real "
            f"or two generated images, and a mean without them is of something else: "
            f"{shown}; use more images"
        )
    mean = float(np.mean(list(values.values())))
    return [Measurement("fid_per_class", mean, details={"classes": values})]


def _swd(reals: Collected, generated: Collected) -> list[Measurement]:
    found = sliced_wasserstein.distances(
        reals.patches.normalized(),
        generated.patches.normalized(),
        np.random.RandomState(DRAWS_SEED),
    )
    means = {str(side): float(np.mean(values)) for side, values in found.items()}
    # Over directions: what other images would change is not in there.
    average = float(np.mean(list(means.values())))
    return [Measurement("swd", average, details={"levels": means})]


def _msssim(reals: Collected | None, generated: Collected) -> list[Measurement]:
    found = Measurement.mean("msssim", generated.similarity)
    if reals is None:
        return [found]
    of_reals = float(np.mean(reals.similarity))
    details = {"of_reals": of_reals, "above_reals": found.value - of_reals}
    return [dataclasses.replace(found, details=details)]


def _lpips_diversity(reals: None, generated: Collected) -> list[Measurement]:
    del reals
    return [Measurement.mean("lpips_diversity", generated.distances)]


def _path(space: str, whole: bool, crop: bool) -> PathMetric:
    where = "anywhere" if whole else "at the beginning"
    text = f"perceptual path length in {space}, steps {where} on the way"
    return PathMetric(text + ", face cropped" * crop, Path(space, whole, crop))


_MOMENTS, _POOL = ("moments",), ("pool",)
METRICS: dict[str, Metric] = {
    "fid50k": SetMetric(
        "Frechet inception distance to as many reals",
        *(50_000, _MOMENTS, _MOMENTS, _fid("fid50k"), "detector"),
    ),
    "fid50k_full": SetMetric(
        "Frechet inception distance to all reals",
        *(50_000, _MOMENTS, _MOMENTS, _fid("fid50k_full"), "detector"),
        all_reals=True,
    ),
    "kid": SetMetric(
        "kernel inception distance", 50_000, _POOL, _POOL, _kid, "detector"
    ),
    "is": SetMetric(
        "Inception Score",
        *(50_000, (), ("logits",), _is, "detector"),
        least_images=SPLITS,
    ),
    "pr": SetMetric(
        "improved precision and recall",
        *(50_000, _POOL, _POOL, _pr, "detector"),
        least_images=NEIGHBORS + 1,
    ),
    "fid_per_class": SetMetric(
        "mean over classes of the Frechet inception distance",
        *(50_000, ("pool", "classes"), ("pool", "classes"), _fid_per_class),
        *("detector", True, True),
    ),
    "swd": SetMetric(
        "sliced Wasserstein distance of patches, times 1000",
        *(2048, ("patches",), ("patches",), _swd),
        least_pixels=sliced_wasserstein.SMALLEST_LEVEL,
        check_size=sliced_wasserstein.levels,
    ),
    "msssim": SetMetric(
        "MS-SSIM of pairs of generated images: low is varied",
        *(2048, ("similarity",), ("similarity",), _msssim),
        needs_reals=False,
        least_pixels=ms_ssim.SMALLEST,
    ),
    "lpips_diversity": SetMetric(
        "perceptual distance of pairs of generated images: high is varied",
        *(2048, (), ("distances",), _lpips_diversity, "lpips"),
        least_pixels=lpips.MIN_SIZE,
    ),
    **{
        f"ppl_{space}_{'full' if whole else 'end'}{'_crop' * crop}": _path(
            space, whole, crop
        )
        for space in "zw"
        for whole in (True, False)
        for crop in (False, True)
    },
    "ls": SeparabilityMetric("linear separability of attributes in w and z"),
}


# What metrics give that give more than one number, or one by another name.
_NUMBERS = {"pr": ("precision", "recall"), "ls": ("ls_w", "ls_z")}
MORE_IS_BETTER = frozenset({"is", "precision", "recall", "lpips_diversity"})


def numbers(metrics: dict[str, Metric]) -> list[str]:
    """The names of the numbers that these metrics give."""
    return [number for name in metrics for number in _NUMBERS.get(name, (name,))]


def takes_reals(metrics: dict[str, Metric]) -> bool:
    """Whether any of these metrics looks at real images."""
    return any(isinstance(m, SetMetric) and m.of_reals for m in metrics.values())


def find(names: list[str]) -> dict[str, Metric]:
    """The metrics of these names.

    Raises:
      ValueError: there is no such metric; names the closest, and all.
    """
    problems = []
    for name in names:
        if name not in METRICS:
            close = [known for known in METRICS if known.startswith(name.lower())][:2]
            if not name or not close:
                close = difflib.get_close_matches(name.lower(), METRICS, 2, cutoff=0.4)
            guess = f"; did you mean {' or '.join(close)}?" if close else ""
            problems.append(f"unknown metric {name!r}{guess}")
    if problems or not names:
        every = "\n".join(f"  {name:16s} {m.help}" for name, m in METRICS.items())
        problems = problems or ["no metric was named"]
        raise ValueError("\n".join([*problems, "there are:", every]))
    return {name: METRICS[name] for name in names}
