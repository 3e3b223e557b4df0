"""Pivotal tuning: a generator that is fine-tuned around the latents of images.

    found = Tuner(network, TuningSettings()).tune(targets, ws)
    found.network, found.images, found.distances

Reference: Roich et al. 2021, "Pivotal Tuning for Latent-based Editing of Real Images",
sections 3.2 and 3.3, and the official code's settings.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from stylegan_jax.inversion import distances, steps
from stylegan_jax.inversion.distances import Distance
from stylegan_jax.inversion.schedule import Settings
from stylegan_jax.inversion.steps import padded
from stylegan_jax.models import LevelOfDetail, Variables
from stylegan_jax.networks.network import Label, Network
from stylegan_jax.runtime import parallel
from stylegan_jax.runtime.image_io import as_floats, to_uint8
from stylegan_jax.sampling.synthesis import automatic_batch_size

# Distance -> the distance at which tuning stops. The published one of LPIPS is for
# AlexNet's features; VGG16's distances are larger, so that it is stricter here.
STOP_DISTANCES = {"lpips": 0.06, "efficientnet": 0.02, "multiscale": 0.01}
LOCALITY_WEIGHT = 0.1  # of both terms of the locality regularization
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # of Adam
MAPPING = "mapping"  # the parameters that are not tuned


@dataclasses.dataclass(frozen=True)
class TuningSettings:
    """The settings of pivotal tuning.

    Attributes:
      steps: limit of steps for each pivot; the pivots of a batch share theirs.
      learning_rate: of Adam.
      stop_distance: stop once every target is at most this far from its image; None
        takes the distance from STOP_DISTANCES, 0 never stops early.
      stop_rms: stop once the root mean square difference of the pixels is at most this
        for every target; None ignores it. If both are given, either one stops.
      locality: regularize the images of other latents.
      locality_radius: distance of these latents from a pivot, over all style layers.
      noise: "const" or "none".
      seed: seed of these latents.

    Raises:
      ValueError: a setting is out of its range.
    """

    steps: int = 350
    learning_rate: float = 3e-4
    stop_distance: float | None = None
    stop_rms: float | None = None
    locality: bool = False
    locality_radius: float = 30.0
    noise: str = "const"
    seed: int = 0

    def __post_init__(self):
        """Raise ValueError for a setting that is out of its range."""
        if self.steps < 1:
            raise ValueError(f"steps (={self.steps}) must be at least 1")
        for name in ("learning_rate", "stop_distance", "stop_rms", "locality_radius"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ValueError(f"{name} (={value}) must not be negative")
        if self.noise not in ("const", "none"):
            raise ValueError(f"noise (={self.noise!r}) must be const or none")


@dataclasses.dataclass(frozen=True, eq=False)
class Tuned:
    """The result of pivotal tuning.

    Attributes:
      network: the tuned network.
      images: [N,H,W,C] uint8, of the pivots.
      distances: [N], to the targets.
      rms: [N], root mean squares over pixels of the differences to the targets.
      distances_before: [N], of the network before.
      rms_before: [N].
      steps: number of steps, of all batches together.
    """

    network: Network
    images: np.ndarray
    distances: np.ndarray
    rms: np.ndarray
    distances_before: np.ndarray
    rms_before: np.ndarray
    steps: int


class _Batch(NamedTuple):
    """Some pivots on the devices; `weight` [B] is 0 for padding."""

    ws: jax.Array
    target: jax.Array
    description: Any
    weight: jax.Array


class _Measures(NamedTuple):
    """Images [B,H,W,C], and their distances and rms [B]."""

    images: jax.Array
    distance: jax.Array
    rms: jax.Array


class _Locality(NamedTuple):
    """The latent z [1,Z] of a step, its label, the radius, and the untuned network."""

    z: jax.Array
    label: Any
    radius: np.float32
    variables: Variables


class Tuner:
    """A network, a distance and settings, ready to tune."""

    def __init__(
        self,
        network: Network,
        settings: TuningSettings | None = None,
        distance: Distance | str = distances.AUTO,
        *,
        label: Label = None,
        resolution: int | None = None,
        batch_size: int | None = None,
    ):
        """Put the variables on the devices.

        Args:
          network: the network.
          settings: see `TuningSettings`; None for its defaults.
          distance: a distance, or its name; see `distances.load`.
          label: of the latents of the locality regularization.
          resolution: of the images, if the network grew; None for the highest.
          batch_size: pivots in a step, a multiple of the number of devices; of more
            pivots, successive steps take this many in turn. None is up to 8 for each
            device, as memory allows.

        Raises:
          ValueError: the network has no such resolution or label, or the batch does not
            divide evenly over the devices.
        """
        settings = settings or TuningSettings()
        if isinstance(distance, str):
            distance = distances.load(distance)
        self.network, self.settings, self.distance = network, settings, distance
        self.lod = network.level(resolution)
        self._devices = parallel.local()
        if batch_size is None:
            one = automatic_batch_size(network.generator, self.lod.resolution) // 2
            batch_size = max(min(one, 8), 1) * self._devices.batch_shards
        self._devices.check_batch("batch_size", batch_size)
        self._batch_size = batch_size
        noise = Settings(noise=settings.noise)
        self._static = steps.static(network.generator, noise, distance, self._devices)
        self._variables, self._weights = self._devices.replicate(
            (network.variables, distance.variables)
        )
        label = network.label(label, 1) if settings.locality else None
        self._label = None if label is None else np.asarray(label)
        stop = settings.stop_distance
        self.stop_distance = STOP_DISTANCES[distance.name] if stop is None else stop

    def tune(
        self,
        targets: np.ndarray,
        ws: np.ndarray,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> Tuned:
        """Tune around pivots.

        Args:
          targets: [N,H,W,C] uint8, of the network's size and channels.
          ws: [N,L,W], the pivots.
          progress: called with an activity, the steps done and their total.

        Raises:
          ValueError: the targets and pivots do not fit the network.
        """
        s, count = self.settings, len(targets)
        batches = self._batches(np.asarray(targets), np.asarray(ws, np.float32))
        params = dict(self._variables["params"])
        rest = {**self._variables, "params": {MAPPING: params.pop(MAPPING, {})}}
        optimizer = optax.scale_by_adam(BETA1, BETA2, EPSILON).init(params)
        first = [self._measure(rest, params, batch) for batch in batches]
        before = _joined(first, count)
        latest = [x.copy() for x in before[1:]]
        step, rows = 0, len(batches[0].ws)
        total = s.steps * len(batches)
        while step < total:
            i = step % len(batches)
            updated, moments, found = _update(
                self._static,
                self._weights,
                self.lod,
                rest,
                params,
                optimizer,
                batches[i],
                self._locality(step),
                np.float32(s.learning_rate),
            )
            shown = slice(i * rows, min((i + 1) * rows, count))
            for values, new in zip(latest, found[1:], strict=True):
                values[shown] = np.asarray(new)[: shown.stop - shown.start]
            if self._close_enough(*latest):
                break  # without the update, which might make it worse
            params, optimizer, step = updated, moments, step + 1
            if progress is not None:
                mean = f"mean distance {np.mean(latest[0]):.4f}"
                progress(f"steps of tuning, {mean}", step, total)
        last = [self._measure(rest, params, batch) for batch in batches]
        after = _joined(last, count)
        mapping = rest["params"][MAPPING]
        tuned = {**params, **({MAPPING: mapping} if mapping else {})}
        variables = jax.device_put(jax.device_get({**rest, "params": tuned}))
        return Tuned(
            network=dataclasses.replace(self.network, variables=variables),
            images=to_uint8(after[0]),
            distances=after[1],
            rms=after[2],
            distances_before=before[1],
            rms_before=before[2],
            steps=step,
        )

    def _close_enough(self, distance: np.ndarray, rms: np.ndarray) -> bool:
        if self.stop_distance > 0 and np.max(distance) <= self.stop_distance:
            return True
        stop = self.settings.stop_rms
        return stop is not None and bool(np.max(rms) <= stop)

    def _batches(self, targets: np.ndarray, ws: np.ndarray) -> list[_Batch]:
        generator, count = self.network.generator, len(targets)
        if ws.shape != (count, generator.num_ws, generator.w_dim) or not count:
            raise ValueError(
                f"ws have shape {list(ws.shape)}; {count} targets and this network "
                f"take [{count}, {generator.num_ws}, {generator.w_dim}]"
            )
        rows = self._devices.padded_rows(min(self._batch_size, count))
        batches = []
        for i in range(0, count, rows):
            images = as_floats(padded(targets[i : i + rows], rows))
            weight = (np.arange(i, i + rows) < count).astype(np.float32)
            pivots = padded(ws[i : i + rows], rows)
            put = self._devices.put_batch((pivots, images, weight))
            described = steps.describe(self._static, self._weights, put[1])
            batches.append(_Batch(put[0], put[1], described, put[2]))
        return batches

    def _measure(self, rest: Variables, params: Any, batch: _Batch) -> _Measures:
        found = _measures(self._static, self._weights, self.lod, rest, params, batch)
        return jax.tree.map(np.asarray, found)

    def _locality(self, step: int) -> _Locality | None:
        if not self.settings.locality:
            return None
        key = jax.random.fold_in(jax.random.key(self.settings.seed), step)
        z = jax.random.normal(key, (1, self.network.generator.z_dim))
        radius = np.float32(self.settings.locality_radius)
        return _Locality(z, self._label, radius, self._variables)


def _joined(parts: list[_Measures], count: int) -> list[np.ndarray]:
    return [np.concatenate(arrays)[:count] for arrays in zip(*parts, strict=True)]


def _objective(
    static: steps.Static,
    weights: Any,
    lod: LevelOfDetail,
    variables: Variables,
    batch: _Batch,
) -> tuple[jax.Array, _Measures]:
    """Return the mean loss over the pivots, and the measures of each."""
    point = {"w": batch.ws, "noise": {}}
    images = steps.synthesize(static, variables, lod, point)
    described = static.describe(weights, images)
    distance = static.compare(weights, batch.description, described)
    squares = jnp.mean(jnp.square(images - batch.target), (1, 2, 3))
    loss = jnp.sum(batch.weight * (squares + distance)) / jnp.sum(batch.weight)
    clipped = jnp.clip(images, -1, 1) - batch.target
    rms = jnp.sqrt(jnp.mean(jnp.square(clipped), (1, 2, 3)))
    return loss, _Measures(images, distance, rms)


def _locality_loss(
    static: steps.Static,
    weights: Any,
    lod: LevelOfDetail,
    variables: Variables,
    pivot: jax.Array,
    locality: _Locality,
) -> jax.Array:
    """Return the change of the image of a latent near a pivot [1,L,W].

    w_r = w_p + radius * (w_z - w_p) / |w_z - w_p|
    """
    generator = static.generator
    w = generator.apply(locality.variables, locality.z, locality.label, method="map")
    direction = w - pivot
    length = jnp.sqrt(jnp.sum(jnp.square(direction)))
    near = pivot + locality.radius * direction / length

    def image(variables: Variables) -> jax.Array:
        return generator.apply(
            variables, near, lod=lod, noise=static.noise, method="synthesize"
        )

    before, after = image(locality.variables), image(variables)
    distance = static.compare(
        weights, static.describe(weights, before), static.describe(weights, after)
    )
    squares = jnp.mean(jnp.square(after - before))
    return LOCALITY_WEIGHT * (squares + jnp.sum(distance))


def _with_params(rest: Variables, params: Any) -> Variables:
    return {**rest, "params": {**rest["params"], **params}}


@functools.partial(jax.jit, static_argnums=0)
def _measures(static, weights, lod, rest, params, batch):
    return _objective(static, weights, lod, _with_params(rest, params), batch)[1]


@functools.partial(jax.jit, static_argnums=0)
def _update(static, weights, lod, rest, params, optimizer, batch, locality, rate):
    def loss(tuned):
        variables = _with_params(rest, tuned)
        value, found = _objective(static, weights, lod, variables, batch)
        if locality is not None:
            value = value + _locality_loss(
                static, weights, lod, variables, batch.ws[:1], locality
            )
        return value, found

    gradient, found = jax.grad(loss, has_aux=True)(params)
    updates, optimizer = optax.scale_by_adam(BETA1, BETA2, EPSILON).update(
        gradient, optimizer
    )
    params = jax.tree.map(lambda x, u: x - rate * u, params, updates)
    keep = static.devices.constrain_replicated
    return keep(params), keep(optimizer), found
