"""Evaluation of the averaged generator during training."""

from collections.abc import Mapping

import numpy as np
from etils import epath

from stylegan_jax.data.interface import Source
from stylegan_jax.metrics import context, evaluation, registry, results, validation
from stylegan_jax.metrics.context import EvalSpec
from stylegan_jax.metrics.generated_images import GeneratedImages, class_weights
from stylegan_jax.metrics.image_sets import RealImages
from stylegan_jax.metrics.results import MetricFailure, MetricResult, MetricValue
from stylegan_jax.models import LevelOfDetail, Variables
from stylegan_jax.runtime.logger import RunLogger, format_duration
from stylegan_jax.training.guard import EvalResult
from stylegan_jax.training.progress import Progress
from stylegan_jax.training.setup import Setup
from stylegan_jax.training.state import TrainState

VARIETY = ("msssim", "recall")  # numbers that indicate a collapse


class Evaluator:
    """The loop's hook that measures `evaluation.metrics` at its interval."""

    def __init__(
        self,
        training: Setup,
        source: Source,
        logger: RunLogger,
        directory: epath.Path,
        images_seen: int,
    ):
        """Load networks and check settings, before training starts.

        Args:
          training: the training, whose experiment names some metrics.
          source: the real images.
          logger: receives lines, events and scalars.
          directory: directory of the run.
          images_seen: the run's clock.

        Raises:
          ValueError: settings are inconsistent, or a metric's requirements are not met.
          OSError: weights cannot be found or downloaded.
        """
        e, devices = training.experiment, training.parallel
        generator, settings = training.generator, e.evaluation
        self._settings, self._seed = settings, e.run.seed
        self._generator, self._devices = generator, devices
        self._logger, self._directory = logger, directory
        self._last_images = images_seen
        names = [name.strip() for name in settings.metrics.split(",")]
        self._metrics = registry.find(names)
        numbers = registry.numbers(self._metrics)
        if settings.best is not None and settings.best not in numbers:
            raise ValueError(
                f"`evaluation.best` (={settings.best!r}) must be one of the numbers of "
                f"`evaluation.metrics`: {', '.join(numbers)}"
            )
        devices.check_batch("evaluation.batch_size", settings.batch_size, 2)
        self._reals = RealImages(source, devices, e.run.seed, e.data.fit)
        self._class_weights = class_weights(source) if generator.label_size else None
        # Checked before any network is loaded or downloaded.
        validation.check_requirements(
            self._spec({}, LevelOfDetail(generator.resolution), 0, 0),
            has_classifier=False,
            features=settings.features,
        )
        self._context = context.open_context(
            self._metrics,
            devices,
            settings,
            show_progress=lambda description, done, total: logger.progress(
                f"metrics: {done} of {total} {description}"
            ),
            on_warning=lambda text: logger.line(f"WARNING: {text}"),
        )

    def __call__(self, state: TrainState, progress: Progress) -> EvalResult | None:
        """Measure the metrics if an evaluation is due; all processes must call it.

        Args:
          state: the state, whose averaged generator is measured.
          progress: the run's clock and level of detail.

        Returns:
          None if no evaluation is due.
        """
        interval = self._settings.every_kimg * 1000
        images_seen = progress.images_seen
        if images_seen // interval == self._last_images // interval:
            return None
        self._last_images = images_seen
        ema = self._devices.replicate_global(state.ema)
        spec = self._spec(ema, progress.lod, images_seen, progress.step)
        found: dict[str, MetricResult] = {}
        failures: dict[str, str] = {}
        for result in evaluation.evaluate(spec, self._context):
            if isinstance(result, MetricFailure):  # such as images without any detail
                failures[result.metric] = result.reason
            else:
                found[result.name] = result
        self._log(found, failures, images_seen)
        best, score = self._settings.best, None
        if best in found:
            value = found[best].value
            score = value if registry.higher_is_better(best) else -value
        settings = self._settings
        above, below = settings.alarm_msssim, settings.alarm_recall
        collapse = collapse_alarm(found, above, below)
        return EvalResult(
            score,
            f"{', '.join(failures)} cannot be measured" if failures else None,
            collapse if found.keys() & VARIETY else None,
            not collapse_alarm(found, above / 2, below * 2),
        )

    def _spec(
        self, ema: Variables, lod: LevelOfDetail, images_seen: int, step: int
    ) -> EvalSpec:
        generated = GeneratedImages(
            "the run",
            self._generator,
            ema,
            lod,
            self._devices,
            self._seed,
            self._class_weights,
        )
        return EvalSpec(
            metrics=self._metrics,
            reals=self._reals,
            generated=generated,
            images=self._settings.images,
            seed=self._seed,
            checkpoint={
                "checkpoint": images_seen,
                "step": step,
                "kimg": images_seen / 1000,
            },
        )

    def _log(
        self,
        found: dict[str, MetricResult],
        failures: dict[str, str],
        images_seen: int,
    ) -> None:
        kimg = images_seen / 1000
        for text in results.group_failures(failures):
            self._logger.line(f"WARNING: not measured at {kimg:g} kimg: {text}")
            self._logger.event("evaluation_failed", message=text)
        if not found:
            return
        values = {name: result.value for name, result in found.items()}
        self._logger.scalars(
            images_seen, {f"metrics/{name}": value for name, value in values.items()}
        )
        seconds = np.max([result.seconds for result in found.values()])
        self._logger.line(
            f"metrics at {kimg:g} kimg: "
            + "  ".join(f"{name} {value:.4g}" for name, value in values.items())
            + f"  ({format_duration(seconds)})"
        )
        if self._devices.is_main:
            path = self._directory / results.FILE
            with self._logger.warn_on_os_error(path):
                results.append(path, found.values())


def collapse_alarm(
    found: Mapping[str, MetricValue], msssim_above: float, recall_below: float
) -> str:
    """Return a warning if the generator produces too little variety, else "".

    Args:
      found: name of a number -> its value.
      msssim_above: tolerated excess of "msssim" over that of the reals.
      recall_below: smallest tolerated "recall".
    """
    signs = []
    similarity = found.get("msssim")
    above = similarity.details.get("above_reals", 0.0) if similarity else 0.0
    if above > msssim_above:
        real = similarity.value - above
        signs.append(f"MS-SSIM {similarity.value:.2f}, reals {real:.2f}")
    recall = found.get("recall")
    if recall is not None and recall.value < recall_below:
        signs.append(f"recall {recall.value:.3f}")
    return f"COLLAPSE? {', '.join(signs)}" if signs else ""
