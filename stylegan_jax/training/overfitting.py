"""Signs that the discriminator memorizes, or the generator copies, the training images.

Images that are held out from training are the reference: for the scores that the
discriminator gives to unseen images, and for the distance between such images and the
training images.
"""

from typing import NamedTuple

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
from stylegan_jax.sampling.figures.nearest import small
from stylegan_jax.training.guard import EvalResult
from stylegan_jax.training.progress import Progress
from stylegan_jax.training.setup import Setup
from stylegan_jax.training.state import DISCRIMINATOR, GENERATOR, TrainState
from stylegan_jax.training.step import process_reals

IMAGES = 256  # maximum number of images in each set
BATCH = 32  # images that are scored at a time
OVERFITS = 0.5  # the discriminator overfits if r_v is at least this ...
SIGNIFICANT = 2.0  # ... and more than this many standard errors above 0
NEIGHBORS = 2048  # maximum number of training images searched for the nearest one
COPIES = 0.5  # generated images are copies if `nearest` is below this
ALIKE = 0.4  # generated images are alike if `variety` is below this
PATIENCE_TICKS = 2
ROUNDING = 1e-6  # bound of float32's rounding error near 1


class OverfittingWatch:
    """Warns when the adaptive augmentation probability stays at its maximum."""

    def __init__(self, training: Training):
        """Start before the first tick."""
        self._control = controller.from_config(training)
        self._ticks_at_maximum = 0

    def warning(self, probability: float) -> str | None:
        """Return a warning if it is due, once each time the maximum is reached.

        Args:
          probability: augmentation probability at the end of a tick.
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
            f"the augmentation probability stays at {probability:.2f}, and "
            "the discriminator still overfits. Add images, raise "
            "`training.r1_gamma`, use a narrower discriminator, or start from a "
            "trained network (`training.transfer`)."
        )


class OverfittingLog:
    """Logs `HeldOutScores` at every tick, and warns when they cross a threshold."""

    def __init__(
        self, setup: Setup, training: Source, held_out: Source, logger: RunLogger
    ):
        """Prepare to measure; `logger` receives the scalars and the warnings."""
        self._scores = HeldOutScores(setup, training, held_out)
        self._logger = logger
        self._told: set[str] = set()

    def measure(self, state: TrainState, progress: Progress) -> EvalResult:
        """Measure the images and log the scalars; all processes must call this.

        A warning is printed when a sign appears, and again if it disappears and comes
        back.

        Returns:
          `alarm` about overfitting and copies, and `collapse` about images that are
          alike.
        """
        found = self._scores(state, progress)
        self._logger.scalars(progress.images_seen, found)
        signs = find_signs(found)
        for name, (_, warning) in signs.items():
            if name not in self._told and warning is not None:
                self._logger.warning(progress.images_seen, warning)
        self._told = set(signs)
        collapse, _ = signs.pop("alike", ("", None))
        alarms = ", ".join(alarm for alarm, _ in signs.values())
        return EvalResult(None, alarms or None, collapse)


def find_signs(found: dict[str, float]) -> dict[str, tuple[str, str | None]]:
    """Return the alarm and the warning of each sign in the scalars of `HeldOutScores`.

    Images that are alike get no warning here, because `guard.CollapseGuard` gives it.
    """
    r_v, error, nearest, variety = (
        found[f"overfitting/{name}"]
        for name in ("r_v", "r_v_error", "nearest", "variety")
    )
    signs = {}
    if r_v >= OVERFITS and r_v > SIGNIFICANT * error:
        signs["overfits"] = (
            f"OVERFITS? r_v {r_v:.2f}",
            f"the discriminator overfits: r_v is {r_v:.2f} (0: held-out images score "
            "like training images, 1: like generated ones). Add images, turn on "
            "`training.augment`, or raise `training.r1_gamma`.",
        )
    if nearest < COPIES:
        signs["copies"] = (
            f"COPIES? nearest {nearest:.2f}",
            "generated images copy training images: their distance to the nearest one "
            f"is {nearest:.2f} times that of held-out images. Stop earlier, add "
            "images, or turn on `training.augment`.",
        )
    if variety < ALIKE:
        signs["alike"] = f"COLLAPSE? variety {variety:.2f}", None
    return signs


class Reference(NamedTuple):
    """The real images of one resolution, with which generated images are compared.

    Attributes:
      training: images uint8 [N,H,W,C] and labels [N,L] of training images.
      held_out: images and labels of held-out images.
      neighbors: [M,D], pixels of training images, and of their mirror images if the
        training mirrors.
      held_out_distance: median distance of held-out images to the nearest neighbor.
      training_variety: mean distance between training images.
    """

    training: tuple[np.ndarray, np.ndarray]
    held_out: tuple[np.ndarray, np.ndarray]
    neighbors: np.ndarray
    held_out_distance: float
    training_variety: float


class HeldOutScores:
    """Compares held-out, training and generated images.

    - `r_v`, with its standard error `r_v_error`: 0 if the discriminator scores held-out
      images like training images, and 1 if it scores them like generated ones; see
      `overfitting_ratio`.
    - `nearest`: the median distance of generated images to the nearest training image,
      relative to that of held-out images; 0 for copies. The distance is the root mean
      square difference of the pixels, at no more than 32 pixels a side.
    - `variety`: the mean distance between generated images, relative to that between
      training images; 0 if all are equal.

    Reference: for r_v, Karras et al. 2020, "Training Generative Adversarial Networks
    with Limited Data", section 3.
    """

    def __init__(self, setup: Setup, training: Source, held_out: Source):
        """Prepare to measure; images are read at the first call.

        Args:
          setup: the training's setup.
          training: the training images.
          held_out: the held-out images.
        """
        self._setup = setup
        self._sources = {"training": training, "held_out": held_out}
        self._resolution: int | None = None
        self._reference: Reference | None = None
        parallel = setup.parallel
        self._score = parallel.jit_replicated(self._scores)
        self._generate = parallel.jit_replicated(self._generated)

    def __call__(self, state: TrainState, progress: Progress) -> dict[str, float]:
        """Return the scalars "overfitting/..."; all processes must call this.

        Images are not augmented. Every device scores all of them.
        """
        if progress.resolution != self._resolution:
            self._reference = self._read(progress.resolution)
            self._resolution = progress.resolution
        reference, lod = self._reference, progress.lod
        if self._setup.experiment.model.growing:
            lod = lod.with_traced_fade()
        replicate = self._setup.parallel.replicate_global
        judge = replicate(state.discriminator_variables(state.params[DISCRIMINATOR]))
        training = self._scores_of(judge, *reference.training, lod)
        held_out = self._scores_of(judge, *reference.held_out, lod)
        variables = replicate(state.generator_variables(state.params[GENERATOR]))
        labels, generated, pixels = reference.training[1], [], []
        for rows in _batches(len(labels)):
            fakes = self._generate(variables, rows[0], labels[rows], lod)
            generated.append(self._score(judge, fakes, labels[rows], lod))
            pixels.append(_pixels(np.clip(np.asarray(fakes), -1, 1)))
        generated = np.concatenate([np.asarray(x) for x in generated])
        pixels = np.concatenate(pixels)

        r_v, r_v_error = overfitting_ratio(training, held_out, generated)
        nearest = np.median(np.min(distances(pixels, reference.neighbors), axis=1))
        found = {
            "score_training": np.mean(training),
            "score_held_out": np.mean(held_out),
            "score_generated": np.mean(generated),
            "r_v": r_v,
            "r_v_error": r_v_error,
            "nearest": _ratio(nearest, reference.held_out_distance),
            "variety": _ratio(mean_distance(pixels), reference.training_variety),
        }
        return {f"overfitting/{name}": float(value) for name, value in found.items()}

    def _read(self, resolution: int) -> Reference:
        """Read the real images at a resolution, and measure their distances."""
        e = self._setup.experiment

        def first(source: Source) -> tuple[np.ndarray, np.ndarray]:
            images, labels = pipeline.first_images(
                source,
                resolution=resolution,
                count=min(IMAGES, source.num_images),
                seed=e.run.seed,
            )
            # Networks without labels ignore the labels of the images.
            return images, labels[:, : self._setup.label_size]

        training, held_out = map(first, self._sources.values())
        source, neighbors = self._sources["training"], []
        count = min(NEIGHBORS, source.num_images)
        batches = pipeline.batches(
            source,
            resolution=resolution,
            batch_size=BATCH,
            start_images=0,
            seed=e.run.seed,
            process_index=0,
            process_count=1,
            prefetch_batches=1,
        )
        for start in range(0, count, BATCH):
            images = next(batches)[0][: count - start] / np.float32(127.5) - 1
            neighbors.append(_pixels(images))
            if e.data.mirror:
                neighbors.append(_pixels(images[:, :, ::-1]))
        neighbors = np.concatenate(neighbors)
        real, unseen = (
            _pixels(images / np.float32(127.5) - 1)
            for images, _ in (training, held_out)
        )
        return Reference(
            training,
            held_out,
            neighbors,
            float(np.median(np.min(distances(unseen, neighbors), axis=1))),
            mean_distance(real),
        )

    def _scores_of(
        self,
        variables: dict,
        images: np.ndarray,
        labels: np.ndarray,
        lod: LevelOfDetail,
    ) -> np.ndarray:
        """Return the scores [N] of images [N,H,W,C], uint8."""
        scores = [
            np.asarray(self._score(variables, images[rows], labels[rows], lod))
            for rows in _batches(len(images))
        ]
        return np.concatenate(scores)[: len(images)]

    def _scores(
        self, variables: dict, images: jax.Array, labels: jax.Array, lod: LevelOfDetail
    ) -> jax.Array:
        if images.dtype == jnp.uint8:
            images = process_reals(images, fade=lod.fade)
        return self._setup.discriminator.apply(
            variables, images, labels if labels.shape[1] else None, lod=lod
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


def overfitting_ratio(
    training: np.ndarray, held_out: np.ndarray, generated: np.ndarray
) -> tuple[float, float]:
    """Return r_v and its standard error, from the scores [N] of three sets of images.

        r_v = (T - H) / (T - G)

    where T, H and G are the mean scores of training, held-out and generated images.
    Where the discriminator hardly distinguishes generated from training images, r_v
    means little, and its error is large. Both are 0 if T equals G. The error is the
    first-order propagation of the errors of the means.
    """
    sets = training, held_out, generated
    t, h, g = (np.mean(scores) for scores in sets)
    if t == g:
        return 0.0, 0.0
    ratio = (t - h) / (t - g)
    # The variance of each mean, times the square of (T - G) dr_v/dmean.
    variance = sum(
        factor**2 * np.var(scores) / len(scores)
        for factor, scores in zip((1 - ratio, 1, ratio), sets, strict=True)
    )
    return float(ratio), float(np.sqrt(variance) / abs(t - g))


def _batches(count: int) -> list[np.ndarray]:
    """Return the indices of the rows of each batch; the first rows fill up the last."""
    starts = range(0, count, BATCH)
    return [np.arange(start, start + BATCH) % count for start in starts]


def _pixels(images: np.ndarray) -> np.ndarray:
    """Downsample images [N,H,W,C] and return their pixels [N,D]."""
    return small(images).reshape(len(images), -1)


def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the root mean square differences [N,M] of rows of a [N,D] and b [M,D]."""
    squares = np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2 * a @ b.T
    return np.sqrt(np.maximum(squares / a.shape[1], 0))


def mean_distance(images: np.ndarray) -> float:
    """Return the mean distance between different rows of [N,D]."""
    count = len(images)
    return float(distances(images, images).sum() / max(count * (count - 1), 1))


def _ratio(value: float, normal: float) -> float:
    """Return value / normal; 1 if `normal` is 0, as for images of one color."""
    return value / normal if normal else 1.0
