"""Metrics of the averaged generator while it is trained."""

import dataclasses

import numpy as np
from etils import epath

from stylegan_jax.config import Experiment
from stylegan_jax.data.interface import Source
from stylegan_jax.metrics import (
    evaluation,
    opening,
    records,
    request,
    requirements,
    table,
)
from stylegan_jax.metrics.generated_images import (
    GeneratedImages,
    Subject,
    class_weights,
)
from stylegan_jax.metrics.image_sets import RealImages
from stylegan_jax.metrics.result import Measurement, Result, failures_told
from stylegan_jax.models import Generator, LevelOfDetail, Variables
from stylegan_jax.runtime.logger import RunLogger, format_duration
from stylegan_jax.runtime.parallel import Parallel


@dataclasses.dataclass(frozen=True)
class LossAux:
    """What an evaluation means for the run.

    Attributes:
      score: of `evaluation.best`, more is better; None if none was, or it failed.
      alarm: one line; None if nothing failed or points to a collapse.
    """

    score: float | None
    alarm: str | None


class Evaluator:
    """Takes `evaluation.metrics` whenever enough images were seen since the last."""

    def __init__(
        self,
        e: Experiment,
        generator: Generator,
        source: Source,
        devices: Parallel,
        logger: RunLogger,
        directory: epath.Path,
        images_seen: int,
    ):
        """Opens all that is needed, and checks that nothing is missing.

        Args:
          e: the experiment, with some metrics.
          generator: the network.
          source: the real images.
          devices: every process takes part.
          logger: gets lines and points.
          directory: of the run.
          images_seen: where the run stands.

        Raises:
          ValueError: settings that do not fit, or networks that can't be had.
          OSError: weights that can't be had.
        """
        how = e.evaluation
        self._e, self._generator, self._devices = e, generator, devices
        self._logger, self._directory = logger, directory
        self._last_images = images_seen
        metrics = table.find([name.strip() for name in how.metrics.split(",")])
        numbers = table.numbers(metrics)
        if how.best is not None and how.best not in numbers:
            raise ValueError(
                f"`evaluation.best` (={how.best!r}) must be one of the numbers that "
                f"`evaluation.metrics` give: {', '.join(numbers)}"
            )
        devices.check_batch("evaluation.batch_size", how.batch_size, 2)
        self._metrics = metrics
        self._reals = RealImages(source, devices, e.run.seed, e.data.fit)
        self._weights = class_weights(source) if generator.label_size else None
        # Before networks are loaded, or even downloaded.
        requirements.check(
            self._asked({}, generator.resolution, 1.0, 0, 0),
            has_classifier=False,
            features=how.features,
        )
        self._means = opening.means(
            metrics,
            devices,
            features=how.features,
            detector=how.detector,
            vgg16=how.vgg16,
            attributes=None,
            cache=how.cache,
            batch_size=how.batch_size,
            show_progress=lambda what, done, total: logger.progress(
                f"metrics: {done} of {total} {what}"
            ),
            on_warning=lambda text: logger.line(f"WARNING: {text}"),
        )

    def __call__(
        self, ema: Variables, lod: LevelOfDetail, images_seen: int, step: int
    ) -> LossAux | None:
        """Takes the metrics, if it is time; all processes have to call it.

        Args:
          ema: the averaged generator, whole on every device.
          lod: the stage's resolution and its fade.
          images_seen: the run's clock.
          step: likewise.

        Returns:
          None if it is not time.
        """
        how = self._e.evaluation
        every = how.every_kimg * 1000
        if images_seen // every == self._last_images // every:
            return None
        self._last_images = images_seen
        asked = self._asked(ema, lod, images_seen, step)
        results: list[Result] = []
        failures: dict[str, str] = {}
        for taken in evaluation.evaluate(asked, self._means):
            results += taken.results
            if taken.failure is not None:  # such as images without any detail
                failures[taken.metric] = taken.failure
        for text in failures_told(failures):
            self._logger.line(
                f"WARNING: at {images_seen / 1000:g} kimg can't be taken: {text}"
            )
            self._logger.event("evaluation_failed", message=text)
        if results:
            self._report(results, images_seen)
        found = {r.measurement.name: r.measurement for r in results}
        score = None
        if how.best in found:
            value = found[how.best].value
            score = value if how.best in table.MORE_IS_BETTER else -value
        signs = [alarm(found, how.alarm_msssim, how.alarm_recall)]
        if failures:
            signs.append(f"{', '.join(failures)} can't be taken")
        return LossAux(score, ", ".join(filter(None, signs)) or None)

    def _asked(
        self,
        ema: Variables,
        lod: LevelOfDetail,
        images_seen: int,
        step: int,
    ) -> request.Asked:
        subject = Subject("the run", self._generator, ema, lod)
        seed = self._e.run.seed
        return request.Asked(
            metrics=self._metrics,
            reals=self._reals,
            generated=GeneratedImages(
                subject, self._devices, seed, self._weights, truncation_psi=1.0
            ),
            images=self._e.evaluation.images,
            seed=seed,
            checkpoint={
                "checkpoint": images_seen,
                "step": step,
                "kimg": images_seen / 1000,
            },
        )

    def _report(self, results: list[Result], images_seen: int) -> None:
        numbers = {r.measurement.name: r.measurement.value for r in results}
        self._logger.scalars(
            images_seen, {f"metrics/{name}": value for name, value in numbers.items()}
        )
        seconds = np.max([r.seconds for r in results])
        self._logger.line(
            f"metrics at {images_seen / 1000:g} kimg: "
            + "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())
            + f"  ({format_duration(seconds)})"
        )
        if self._devices.is_main:
            path = self._directory / records.FILE
            with self._logger.warn_on_os_error(path):
                records.append(path, results)


def alarm(
    found: dict[str, Measurement], msssim_above: float, recall_below: float
) -> str | None:
    """One line about signs that the generator makes too few different images."""
    signs = []
    similar = found.get("msssim")
    above = similar.details.get("above_reals", 0.0) if similar else 0.0
    if above > msssim_above:
        signs.append(f"MS-SSIM {similar.value:.2f}, reals {similar.value - above:.2f}")
    recall = found.get("recall")
    if recall is not None and recall.value < recall_below:
        signs.append(f"recall {recall.value:.3f}")
    return f"COLLAPSE? {', '.join(signs)}" if signs else None
