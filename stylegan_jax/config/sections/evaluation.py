"""Settings of the metrics that are computed during training."""

import dataclasses

from stylegan_jax.config.setting import (
    FRACTION,
    POSITIVE,
    setting,
)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Metrics of the averaged generator that are computed during training."""

    metrics: str = setting(
        "",
        "Comma-separated names of the metrics, as in `python -m "
        "stylegan_jax.evaluate`; empty: none.",
    )
    every_kimg: float = setting(
        200.0,
        "Interval between evaluations, which run at the end of a tick.",
        unit="thousands of real images",
        rule=POSITIVE,
    )
    images: int | None = setting(
        None,
        "Number of images to generate for each metric; None: the metric's default.",
        unit="images",
        rule=POSITIVE,
    )
    features: str = setting(
        "inception", "Feature network, as in `evaluate --features`."
    )
    detector: str | None = setting(
        None,
        "File of the feature network's weights; None: found in the cache, else "
        "downloaded.",
    )
    vgg16: str | None = setting(
        None,
        "File of VGG16's weights, for LPIPS; None: found in the cache, else "
        "downloaded.",
    )
    efficientnet: str | None = setting(
        None,
        "File of EfficientNet-Lite0's weights, for `kid_efficientnet` and "
        "`fd_efficientnet`; None: found in the cache, else in the package that the "
        "extra `metrics` installs.",
    )
    batch_size: int = setting(
        32,
        "Global batch size of the evaluation, over all devices.",
        unit="images",
        rule=POSITIVE,
    )
    cache: str | None = setting(
        "~/.cache/stylegan_jax/metrics",
        "Directory of the cached statistics of real images; None: no cache.",
    )
    best: str | None = setting(
        None,
        "Result of one of `metrics` that selects the best checkpoints, which are kept "
        "in addition to the newest, e.g. `fid50k` or `recall` (of `pr`); None keeps "
        "only the newest.",
    )
    keep_best: int = setting(1, "Number of best checkpoints to keep.", rule=POSITIVE)
    # Signs of mode collapse, reported in the progress line.
    alarm_msssim: float = setting(
        0.15,
        "Excess of `msssim` over real images above which a collapse is reported, after "
        "one of at most half of it.",
    )
    alarm_recall: float = setting(
        0.02,
        "Value of `recall` below which a collapse is reported, after one of at least "
        "twice as much.",
        rule=FRACTION,
    )
