"""The registry of metrics: one entry per metric, and the lookup by name.

To add a metric, write its formula in a file of this package and add one entry to
`_ENTRIES`, where all programs find it. The formula's file has a function from
`Statistics` to `MetricValue`s. It also defines a `Statistic` if the metric needs a
quantity of the images that no existing one provides. `lpips_diversity` is a short
example.
"""

import difflib
import functools
from collections.abc import Iterable

from stylegan_jax.metrics import (
    frechet,
    generator_metrics,
    inception_score,
    kernel_distance,
    lpips_diversity,
    ms_ssim,
    path_length,
    precision_recall,
    sliced_wasserstein,
)
from stylegan_jax.metrics.metric import GeneratorMetric, Metric, SetMetric
from stylegan_jax.metrics.networks import lpips
from stylegan_jax.metrics.path_length import Path
from stylegan_jax.metrics.statistics import CLASSES, EFFICIENTNET_POOL, LOGITS, POOL
from stylegan_jax.sampling import transform


def _path_length(space: str, whole: bool, crop: bool) -> GeneratorMetric:
    where = "anywhere along the path" if whole else "at the start of the path"
    return GeneratorMetric(
        f"ppl_{space}_{'full' if whole else 'end'}{'_crop' * crop}",
        f"Perceptual path length in {space}, steps {where}"
        + ", cropped to the face" * crop,
        functools.partial(
            generator_metrics.measure_path_length, Path(space, whole, crop)
        ),
        network="lpips",
        truncates=False,
        min_pixels=lpips.MIN_SIZE * (2 if crop else 1),
        check_size=path_length.check_crop if crop else None,
    )


_fid = functools.partial(frechet.measure_distance, frechet.MOMENTS)
_ENTRIES: tuple[Metric, ...] = (
    SetMetric(
        "fid50k",
        "Frechet inception distance to an equal number of reals",
        _fid,
        (frechet.MOMENTS,),
    ),
    SetMetric(
        "fid50k_full",
        "Frechet inception distance to all reals",
        _fid,
        (frechet.MOMENTS,),
        all_reals=True,
    ),
    SetMetric("kid", "Kernel inception distance", kernel_distance.measure_kid, (POOL,)),
    SetMetric(
        "is",
        "Inception Score",
        inception_score.measure_inception_score,
        (LOGITS,),
        uses_reals=False,
        higher_is_better=True,
        min_images=inception_score.SPLITS,
    ),
    SetMetric(
        "pr",
        "Improved precision and recall",
        precision_recall.measure_precision_recall,
        (POOL,),
        numbers=("precision", "recall"),
        higher_is_better=True,
        min_images=precision_recall.NEIGHBORS + 1,
    ),
    SetMetric(
        "fid_per_class",
        "Mean over classes of the Frechet inception distance",
        frechet.measure_fid_per_class,
        (POOL, CLASSES),
        all_reals=True,
        per_class=True,
    ),
    SetMetric(
        "swd",
        "Sliced Wasserstein distance of patches, times 1000",
        sliced_wasserstein.measure_swd,
        (sliced_wasserstein.PATCHES,),
        images=2048,
        equal_counts=True,
        min_pixels=sliced_wasserstein.SMALLEST_LEVEL,
        check_size=sliced_wasserstein.levels,
    ),
    SetMetric(
        "msssim",
        "MS-SSIM of pairs of generated images; low means diverse",
        ms_ssim.measure_ms_ssim,
        (ms_ssim.SIMILARITY,),
        images=2048,
        needs_reals=False,
        min_pixels=ms_ssim.MIN_PIXELS,
    ),
    SetMetric(
        "kid_efficientnet",
        "Kernel distance of EfficientNet-Lite0's features",
        kernel_distance.measure_kid_efficientnet,
        (EFFICIENTNET_POOL,),
        images=2048,
        min_images=3,
    ),
    SetMetric(
        "fd_efficientnet",
        "Frechet distance of EfficientNet-Lite0's features to all reals",
        functools.partial(frechet.measure_distance, frechet.EFFICIENTNET_MOMENTS),
        (frechet.EFFICIENTNET_MOMENTS,),
        images=10_000,
        all_reals=True,
    ),
    SetMetric(
        "lpips_diversity",
        "LPIPS distance of pairs of generated images; high means diverse",
        lpips_diversity.measure_lpips_diversity,
        (lpips_diversity.PAIR_DISTANCES,),
        images=2048,
        uses_reals=False,
        higher_is_better=True,
        min_pixels=lpips.MIN_SIZE,
    ),
    *(
        _path_length(space, whole, crop)
        for space in "zw"
        for whole in (True, False)
        for crop in (False, True)
    ),
    *(
        GeneratorMetric(
            name,
            f"Equivariance to {motion}, in decibels",
            functools.partial(generator_metrics.measure_equivariance, kind),
            truncates=False,
            higher_is_better=True,
            check_generator=transform.check,
        )
        for name, kind, motion in (
            ("eqt50k_int", "translate_whole", "translation by whole pixels (EQ-T)"),
            ("eqt50k_frac", "translate", "translation by any distance (EQ-T_frac)"),
            ("eqr50k", "rotate", "rotation (EQ-R)"),
        )
    ),
    GeneratorMetric(
        "ls",
        "Linear separability of attributes in w and in z",
        generator_metrics.measure_separability,
        images=200_000,
        numbers=("ls_w", "ls_z"),
        needs_classifier=True,
    ),
)
METRICS: dict[str, Metric] = {metric.name: metric for metric in _ENTRIES}


def find(names: Iterable[str]) -> dict[str, Metric]:
    """Return the metrics of these names.

    Raises:
      ValueError: a name is unknown, or none was given; the message lists the closest
        names and all metrics.
    """
    names, problems = list(names), []
    for name in names:
        if name in METRICS:
            continue
        close = [known for known in METRICS if known.startswith(name.lower())][:2]
        if not name or not close:
            close = difflib.get_close_matches(name.lower(), METRICS, 2, cutoff=0.4)
        guess = f"; did you mean {' or '.join(close)}?" if close else ""
        problems.append(f"unknown metric {name!r}{guess}")
    if problems or not names:
        problems = problems or ["no metric was named"]
        raise ValueError("\n".join([*problems, table()]))
    return {name: METRICS[name] for name in names}


def table(*_: object) -> str:
    """Return the text of `evaluate --help=metrics`, with a line for each metric."""
    rows = [
        f"  {name:16s} {m.help}; {m.images:,} images" for name, m in METRICS.items()
    ]
    return "\n".join(["Metrics, with their default numbers of images:", *rows])


def numbers(metrics: dict[str, Metric]) -> list[str]:
    """Return the names of the numbers that these metrics return."""
    return [number for metric in metrics.values() for number in metric.numbers]


def higher_is_better(number: str) -> bool:
    """Return True if larger values of this number are better."""
    return any(m.higher_is_better for m in METRICS.values() if number in m.numbers)


def needs_real_images(metrics: dict[str, Metric]) -> bool:
    """Return True if any of these metrics uses real images."""
    return any(isinstance(m, SetMetric) and m.uses_reals for m in metrics.values())
