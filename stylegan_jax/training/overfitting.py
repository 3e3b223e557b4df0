"""Signs that the discriminator memorizes the training images."""

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax import rngs
from stylegan_jax.augment import controller
from stylegan_jax.config import Training
from stylegan_jax.data import pipeline
from stylegan_jax.data.interface import Source
from stylegan_jax.models import LevelOfDetail
from stylegan_jax.runtime.logger import RunLogger
from stylegan_jax.training.progress import Progress
from stylegan_jax.training.setup import Setup
from stylegan_jax.training.state import DISCRIMINATOR, GENERATOR, TrainState
from stylegan_jax.training.step import process_reals

IMAGES = 256  # of each set, at most
BATCH = 32  # images that are scored at a time
OVERFITS = 0.5  # r_v from which the discriminator is said to overfit
PATIENCE_TICKS = 2
ROUNDING = 1e-6  # of float32, at most


class OverfittingWatch:
    """Watches the adaptive probability of the augmentations from tick to tick."""

    def __init__(self, training: Training):
        """Start without a tick."""
        self._control = controller.from_config(training)
        self._ticks_at_maximum = 0

    def warning(self, probability: float) -> str | None:
        """Return a warning with a remedy when it is due, once for each occasion.

        Args:
          probability: probability of the augmentations at the end of a tick.
        """
        if not isinstance(self._control, controller.Adaptive):
            return None
        maximum = 1.0 if self._control.maximum is None else self._control.maximum
        self._ticks_at_maximum += 1
        if probability < maximum - ROUNDING:
            self._ticks_at_maximum = 0
        if self._ticks_at_maximum != PATIENCE_TICKS:
            return None
        return (
            f"WARNING: the augmentation probability stays at {probability:.2f}, and "
            "the discriminator still overfits. Add images, raise "
            "`training.r1_gamma`, take a narrower discriminator, or start from a "
            "trained network (`training.transfer`)."
        )


class OverfittingLog:
    """Logs `HeldOutScores` at every tick, and warns when the discriminator overfits."""

    def __init__(
        self, setup: Setup, training: Source, held_out: Source, logger: RunLogger
    ):
        """See `HeldOutScores`; `logger` receives scalars and the warning."""
        self._scores = HeldOutScores(setup, training, held_out)
        self._logger = logger
        self._warned = False

    def measure(self, state: TrainState, progress: Progress) -> None:
        """Score the images; all processes must call it."""
        found = self._scores(state, progress)
        self._logger.scalars(progress.images_seen, found)
        r_v = found["overfitting/r_v"]
        if r_v >= OVERFITS and not self._warned:
            self._logger.line(
                f"WARNING: the discriminator overfits: r_v is {r_v:.2f} (0: held-out "
                "images score like training images, 1: like generated ones). Add "
                "images, or `training.augment`, or raise `training.r1_gamma`."
            )
        self._warned = r_v >= OVERFITS


class HeldOutScores:
    """Compares the discriminator's scores of held-out, training and generated images.

    r_v is 0 if it takes held-out images for training images, and 1 if it takes them for
    generated ones.

    Reference: Karras et al. 2020, "Training Generative Adversarial Networks with
    Limited Data", section 3.
    """

    def __init__(self, setup: Setup, training: Source, held_out: Source):
        """Read nothing yet.

        Args:
          setup: the training.
          training: the images that are trained on.
          held_out: the images held out.
        """
        self._setup = setup
        self._sources = {"training": training, "held_out": held_out}
        self._resolution: int | None = None
        self._images: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        parallel = setup.parallel
        self._score = parallel.jit_replicated(self._scores)
        self._generate = parallel.jit_replicated(self._generated)

    def __call__(self, state: TrainState, progress: Progress) -> dict[str, float]:
        """Return r_v and the mean scores; all processes must call it.

        Images are not augmented. Every device scores all of them.
        """
        if progress.resolution != self._resolution:
            self._resolution = progress.resolution
            self._images = {
                name: pipeline.first_images(
                    source,
                    resolution=progress.resolution,
                    count=min(IMAGES, source.num_images),
                    seed=self._setup.experiment.run.seed,
                )
                for name, source in self._sources.items()
            }
        lod = progress.lod.with_traced_fade() if self._grows else progress.lod
        params = self._setup.parallel.replicate_global(state.params[DISCRIMINATOR])
        means = {
            name: self._mean(params, images, labels, lod)
            for name, (images, labels) in self._images.items()
        }
        variables = state.generator_variables(state.params[GENERATOR])
        variables = self._setup.parallel.replicate_global(variables)
        labels = self._images["training"][1]
        fakes = [
            np.asarray(self._generate(variables, rows[0], labels[rows], lod))
            for rows in _batches(len(labels))
        ]
        labels = labels[np.concatenate(_batches(len(labels)))]
        means["generated"] = self._mean(params, np.concatenate(fakes), labels, lod)
        span = means["training"] - means["generated"]
        r_v = (means["training"] - means["held_out"]) / span if span else 0.0
        scores = {f"overfitting/score_{name}": mean for name, mean in means.items()}
        return scores | {"overfitting/r_v": r_v}

    @property
    def _grows(self) -> bool:
        return self._setup.experiment.model.growing

    def _mean(
        self,
        params: dict,
        images: np.ndarray,
        labels: np.ndarray,
        lod: LevelOfDetail,
    ) -> float:
        """Return the mean score of images [N,H,W,C], uint8 or in about [-1,1]."""
        scores = [
            np.asarray(self._score(params, images[rows], labels[rows], lod))
            for rows in _batches(len(images))
        ]
        return float(np.mean(np.concatenate(scores)))

    def _scores(
        self, params: dict, images: jax.Array, labels: jax.Array, lod: LevelOfDetail
    ) -> jax.Array:
        if images.dtype == jnp.uint8:
            images = process_reals(images, fade=lod.fade)
        return self._setup.discriminator.apply(
            {"params": params}, images, labels if labels.shape[1] else None, lod=lod
        )

    def _generated(
        self, variables: dict, start: int, labels: jax.Array, lod: LevelOfDetail
    ) -> jax.Array:
        generator, e = self._setup.generator, self._setup.experiment
        key = rngs.key(e.run.seed, rngs.Stream.GRID)
        of_z, of_noise = jax.random.split(jax.random.fold_in(key, start))
        z = jax.random.normal(of_z, (len(labels), generator.z_dim))
        return generator.apply(
            variables,
            z,
            labels if labels.shape[1] else None,
            lod=lod,
            noise="random",
            rngs={"noise": of_noise},
        )


def _batches(count: int) -> list[np.ndarray]:
    """Return the rows of batches; the last one is filled with the first rows."""
    starts = range(0, count, BATCH)
    return [np.arange(start, start + BATCH) % count for start in starts]
