"""The compiled programs of a projection: steps, drawing and distances of samples.

Every row of a batch is an independent run with its own step count, so a finished run
can be replaced by another without recompiling.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.inversion import noise_maps, schedule
from stylegan_jax.inversion.distances import Description, Distance
from stylegan_jax.inversion.schedule import Settings
from stylegan_jax.layers.matmul import fastest_forms
from stylegan_jax.models import Generator, LevelOfDetail, Variables
from stylegan_jax.runtime.parallel import Parallel
from stylegan_jax.sampling import synthesis, transform

CHUNK = 10  # steps per call of `advance`
MAX_AUTOMATIC_BATCH = 8  # rows for each device
# Units of "view", chosen so that the learning rate of w suits it: fractions of the
# width and of the height, and degrees.
VIEW_UNITS = np.array([0.05, 0.05, 5.0], np.float32)

# "w" [B,l,W], where l is 1 or L; "noise", the maps by path; and, if the transform of
# the images is fitted, "view" [B,3] in VIEW_UNITS, see `transform.inverse_matrices`.
Point = dict[str, Any]


class Runs(NamedTuple):
    """The state of a batch of runs.

    Attributes:
      point: the optimized values.
      mu: Adam's first moments of the gradient.
      nu: Adam's second moments.
      step: [B] int32, steps done.
      active: [B] bool, False for finished runs.
      distance: [B] float32, the distance in the last step, with noise added to w.
      number: [B] int32, index of the run among those of its target.
    """

    point: Point
    mu: Point
    nu: Point
    step: jax.Array
    active: jax.Array
    distance: jax.Array
    number: jax.Array


class Fixed(NamedTuple):
    """The traced values that all runs share.

    Attributes:
      variables: the generator's variables.
      weights: the distance's weights.
      w_std: [], standard deviation of w.
      steps: [], number of steps.
      learning_rate: [], maximum learning rate.
      noise_weight: [], weight of the regularization of the maps.
      stop_distance: [], see `Settings`.
      seed: [] uint32.
    """

    variables: Variables
    weights: Any
    w_std: Any
    steps: Any
    learning_rate: Any
    noise_weight: Any
    stop_distance: Any
    seed: Any


class Static(NamedTuple):
    """The static arguments of the compiled programs, besides shapes; hashable.

    Attributes:
      generator: the network.
      noise: "const" or "none".
      describe: see `Distance`.
      compare: see `Distance`.
      devices: the devices that share a batch.
    """

    generator: Generator
    noise: str
    describe: Callable[..., Any]
    compare: Callable[..., Any]
    devices: Parallel


def static(
    generator: Generator,
    settings: Settings,
    distance: Distance,
    devices: Parallel,
) -> Static:
    """Return the static arguments of a projection's programs."""
    return Static(
        generator.clone(**fastest_forms(jax.default_backend())),
        "none" if settings.noise == "none" else "const",
        distance.describe,
        distance.compare,
        devices,
    )


def checked_batch_size(
    size: int | None, generator: Generator, lod: LevelOfDetail, devices: Parallel
) -> int:
    """Return a batch size that divides over the devices, or raise ValueError.

    None gives up to 8 rows for each device.
    """
    if size is not None:
        devices.check_batch("batch_size", size)
        return size
    rows = synthesis.automatic_batch_size(generator, lod.resolution) // 2
    return max(min(rows, MAX_AUTOMATIC_BATCH), 1) * devices.batch_shards


def synthesize(
    static: Static, variables: Variables, lod: LevelOfDetail, point: Point
) -> jax.Array:
    """Return the images [B,H,W,C] of points; for use in traced code."""
    generator = static.generator
    w = static.devices.constrain_batch(point["w"])
    if "view" in point:
        matrices = transform.inverse_matrices(point["view"] * VIEW_UNITS)
        variables = transform.moved(generator, variables, matrices)
    return generator.apply(
        noise_maps.replace(variables, point["noise"]),
        jnp.broadcast_to(w, (len(w), generator.num_ws, w.shape[-1])),
        lod=lod,
        noise=static.noise,
        method="synthesize",
    )


@functools.partial(jax.jit, static_argnums=0)
def advance(
    static: Static, fixed: Fixed, lod: LevelOfDetail, target: Description, runs: Runs
) -> Runs:
    """Advance every active run by CHUNK steps.

    Args:
      static: see `Static`.
      fixed: see `Fixed`.
      lod: the resolution and its fade.
      target: description of the targets.
      runs: the runs.
    """

    def step(runs: Runs, _: None) -> tuple[Runs, None]:
        return _step(static, fixed, lod, target, runs), None

    runs, _ = jax.lax.scan(step, runs, length=CHUNK)
    return jax.tree.map(static.devices.constrain_batch, runs)


def _step(
    static: Static, fixed: Fixed, lod: LevelOfDetail, target: Description, runs: Runs
) -> Runs:
    t = runs.step / fixed.steps
    per_row = lambda x: x[:, None, None]  # noqa: E731
    noise = per_row(schedule.w_noise(t, fixed.w_std)) * _noise_of(fixed.seed, runs)

    def objective(point: Point) -> tuple[jax.Array, jax.Array]:
        noisy = {**point, "w": point["w"] + noise}
        images = synthesize(static, fixed.variables, lod, noisy)
        found = static.describe(fixed.weights, images)
        distance = static.compare(fixed.weights, target, found)
        penalty = noise_maps.regularization(point["noise"])
        return jnp.sum(distance + fixed.noise_weight * penalty), distance

    gradient, distance = jax.grad(objective, has_aux=True)(runs.point)
    rate = schedule.learning_rate(t, fixed.learning_rate)
    point, mu, nu = adam(gradient, runs, rate)
    point = {**point, "noise": noise_maps.normalize(point["noise"])}
    count = runs.step + 1
    stopped = (distance <= fixed.stop_distance) & (fixed.stop_distance > 0)
    new = Runs(
        point,
        mu,
        nu,
        count,
        runs.active & (count < fixed.steps) & ~stopped,
        distance,
        runs.number,
    )
    return select(runs.active, new, runs)


def _noise_of(seed: Any, runs: Runs) -> jax.Array:
    """Return the standard normal noise for each run's next step, shaped like w."""

    def draw(number: jax.Array, step: jax.Array) -> jax.Array:
        key = jax.random.fold_in(jax.random.key(seed), number)
        key = jax.random.fold_in(jax.random.fold_in(key, 1), step)
        return jax.random.normal(key, runs.point["w"].shape[1:])

    return jax.vmap(draw)(runs.number, runs.step)


def adam(gradient: Point, runs: Runs, rate: jax.Array) -> tuple[Point, Point, Point]:
    """Return the point and the moments after an update; each row has its own step."""
    beta1, beta2 = schedule.BETA1, schedule.BETA2
    count = (runs.step + 1).astype(jnp.float32)
    mu = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, runs.mu, gradient)
    nu = jax.tree.map(lambda n, g: beta2 * n + (1 - beta2) * g * g, runs.nu, gradient)

    def update(x: jax.Array, m: jax.Array, n: jax.Array) -> jax.Array:
        rows = lambda a: a.reshape(-1, *[1] * (x.ndim - 1))  # noqa: E731
        first = m / rows(1 - beta1**count)
        second = n / rows(1 - beta2**count)
        return x - rows(rate) * first / (jnp.sqrt(second) + schedule.EPSILON)

    return jax.tree.map(update, runs.point, mu, nu), mu, nu


def padded(rows: np.ndarray, count: int) -> np.ndarray:
    """Pad rows [n,...] to [count,...] with copies of the last one."""
    return np.concatenate([rows, np.repeat(rows[-1:], count - len(rows), axis=0)])


def select(chosen: jax.Array, new: Any, old: Any) -> Any:
    """Return the rows of `new` where `chosen` [B] is True, else those of `old`."""

    def one(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.where(chosen.reshape(-1, *[1] * (a.ndim - 1)), a, b)

    return jax.tree.map(one, new, old)


@functools.partial(jax.jit, static_argnums=0)
def describe(static: Static, weights: Any, images: jax.Array) -> Description:
    """Return the description of images [B,H,W,C] in [-1,1]."""
    images = static.devices.constrain_batch(images)
    return jax.tree.map(
        static.devices.constrain_batch, static.describe(weights, images)
    )


@functools.partial(jax.jit, static_argnums=0)
def draw(
    static: Static, fixed: Fixed, lod: LevelOfDetail, target: Description, point: Point
) -> tuple[jax.Array, jax.Array]:
    """Return the images [B,H,W,C] of points, and their distances [B]."""
    images = synthesize(static, fixed.variables, lod, point)
    found = static.describe(fixed.weights, images)
    distance = static.compare(fixed.weights, target, found)
    constrain = static.devices.constrain_batch
    return constrain(images), constrain(distance)


@functools.partial(jax.jit, static_argnums=0)
def distances_of_samples(
    static: Static, fixed: Fixed, lod: LevelOfDetail, target: Description, point: Point
) -> jax.Array:
    """Return the distance of every target to the image of every point, [B,B]."""
    images = synthesize(static, fixed.variables, lod, point)
    found = static.describe(fixed.weights, images)

    def of(i: jax.Array) -> jax.Array:
        one = jax.tree.map(lambda x: jnp.broadcast_to(x[i], x.shape), found)
        return static.compare(fixed.weights, target, one)

    distances = jax.lax.map(of, jnp.arange(len(images))).T
    return static.devices.constrain_batch(distances)
