"""Pivotal tuning: fine-tune a generator so that given latents give given images.

    found = Tuner(network, TuningSettings()).tune(targets, ws)
    found.network, found.images, found.distances

Reference: Roich et al. 2021, "Pivotal Tuning for Latent-based Editing of Real Images",
sections 3.2 and 3.3, and the official code's settings.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from stylegan_jax.config import image_size
from stylegan_jax.inversion import bounds, distances, schedule, steps, tuning_steps
from stylegan_jax.inversion.distances import Distance
from stylegan_jax.inversion.schedule import Settings
from stylegan_jax.inversion.steps import padded
from stylegan_jax.inversion.targets import check_targets
from stylegan_jax.inversion.tuning_steps import Batch, Locality, Measures
from stylegan_jax.models import Variables
from stylegan_jax.networks.network import Label, Network
from stylegan_jax.runtime import parallel
from stylegan_jax.runtime.image_io import as_floats, to_uint8
from stylegan_jax.sampling import transform

# The distance at which tuning stops. The published value of LPIPS is for AlexNet; the
# distances of VGG16 are larger, which makes the same value stricter here.
STOP_DISTANCES = {"lpips": 0.06, "efficientnet": 0.02, "multiscale": 0.02}
MAPPING = "mapping"  # the parameters that are not tuned


@dataclasses.dataclass(frozen=True)
class TuningSettings:
    """The settings of pivotal tuning.

    Attributes:
      steps: maximum number of steps for each batch of pivots.
      learning_rate: learning rate of Adam.
      stop_distance: stop once every image is at most this far from its target; None
        takes the value from STOP_DISTANCES, 0 never stops early.
      stop_rms: stop once the root mean square difference of the pixels is at most this
        for every target; None ignores it. Either criterion stops the tuning.
      locality: in each step, also keep the image of a latent near a pivot unchanged;
        see `tuning_steps.locality_loss`.
      locality_radius: distance of this latent from the pivot, over all style layers.
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
        bounds.check_at_least_one(self, "steps")
        bounds.check_not_negative(
            self, "learning_rate", "stop_distance", "stop_rms", "locality_radius"
        )
        bounds.check_noise(self)


@dataclasses.dataclass(frozen=True, eq=False)
class Tuned:
    """The result of pivotal tuning.

    Attributes:
      network: the tuned network.
      images: [N,H,W,C] uint8, the images of the pivots.
      distances: [N], distances to the targets.
      rms: [N], root mean square differences of the pixels to the targets.
      distances_before: [N], distances without tuning.
      rms_before: [N], root mean square differences without tuning.
      steps: number of steps, summed over all batches.
      chosen_step: the step whose network this is: the last one if tuning stopped early;
        else the one with the least mean loss among the first, the last, and the best by
        the losses that were measured during tuning.
    """

    network: Network
    images: np.ndarray
    distances: np.ndarray
    rms: np.ndarray
    distances_before: np.ndarray
    rms_before: np.ndarray
    steps: int
    chosen_step: int


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
          label: label of the latents of the locality regularization.
          resolution: resolution of the images, for networks that grew; None is the
            highest.
          batch_size: pivots in a step, a multiple of the number of devices; successive
            steps cycle through the batches. None is up to 8 for each device, as memory
            allows.

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
        self._batch_size = steps.checked_batch_size(
            batch_size, network.generator, self.lod, self._devices
        )
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
        views: np.ndarray | None = None,
    ) -> Tuned:
        """Tune around pivots.

        Args:
          targets: [N,H,W,C] uint8, of the network's size and channels.
          ws: [N,L,W], the pivots.
          progress: called with an activity, the steps done and their total.
          views: [N,3], the views of the projections, see `Projection.view`; None for
            images without a transform.

        Raises:
          ValueError: the targets, pivots or views do not fit the network.
        """
        batches = self._batches(np.asarray(targets), np.asarray(ws, np.float32), views)
        s, count = self.settings, len(targets)
        start = dict(self._variables["params"])
        rest = {**self._variables, "params": {MAPPING: start.pop(MAPPING, {})}}
        params, optimizer = start, schedule.adam().init(start)
        before = self._measure(rest, start, batches, count)
        latest = Measures(None, *(x.copy() for x in before[1:]))
        rows, total = len(batches[0].ws), s.steps * len(batches)
        step, kept_step, kept, least = 0, 0, start, np.mean(before.loss)
        close = False
        while step < total and not close:
            i = step % len(batches)
            shown = slice(i * rows, min((i + 1) * rows, count))
            updated, moments, found = tuning_steps.update(
                self._static,
                self._weights,
                self.lod,
                rest,
                params,
                optimizer,
                batches[i],
                self._locality(step, step // len(batches) % (shown.stop - shown.start)),
                np.float32(s.learning_rate),
            )
            for values, new in zip(latest[1:], found[1:], strict=True):
                values[shown] = np.asarray(new)[: shown.stop - shown.start]
            if np.mean(latest.loss) < least:
                kept_step, kept, least = step, params, np.mean(latest.loss)
            close = self._close_enough(latest)
            if close and len(batches) > 1:  # measured in different steps: again
                latest = self._measure(rest, params, batches, count)
                close = self._close_enough(latest)
            if not close:  # an update of close images might make them worse
                params, optimizer, step = updated, moments, step + 1
                if progress is not None:
                    mean = f"mean distance {np.mean(latest.distance):.4f}"
                    progress(f"steps of tuning, {mean}", step, total)
        # Adam can move away again from images that are nearly right.
        ends = {step: params} if close else {0: start, kept_step: kept, step: params}
        measured = {n: self._measure(rest, p, batches, count) for n, p in ends.items()}
        chosen = min(measured, key=lambda n: np.mean(measured[n].loss))
        after = measured[chosen]
        variables = tuning_steps.with_params(rest, ends[chosen])
        if not rest["params"][MAPPING]:
            del variables["params"][MAPPING]
        variables = jax.device_put(jax.device_get(variables))
        return Tuned(
            network=dataclasses.replace(self.network, variables=variables),
            images=to_uint8(after.images),
            distances=after.distance,
            rms=after.rms,
            distances_before=before.distance,
            rms_before=before.rms,
            steps=step,
            chosen_step=chosen,
        )

    def _close_enough(self, found: Measures) -> bool:
        if self.stop_distance > 0 and np.max(found.distance) <= self.stop_distance:
            return True
        stop = self.settings.stop_rms
        return stop is not None and bool(np.max(found.rms) <= stop)

    def _batches(
        self, targets: np.ndarray, ws: np.ndarray, views: np.ndarray | None
    ) -> list[Batch]:
        generator, count = self.network.generator, len(targets)
        size = image_size(generator.base_size, self.lod.resolution)
        check_targets(targets, size, generator.image_channels)
        generator.check_ws(ws, "N")
        if len(ws) != count:
            raise ValueError(
                f"there are {len(ws)} ws for {count} targets; give one for each"
            )
        if views is not None:
            transform.check(generator)
            views = np.asarray(views, np.float32)
            if views.shape != (count, 3):
                raise ValueError(
                    f"views have shape {list(views.shape)}; {count} targets take "
                    f"[{count}, 3]"
                )
            views = views / steps.VIEW_UNITS
        rows = self._devices.padded_rows(min(self._batch_size, count))
        batches = []
        for i in range(0, count, rows):
            images = as_floats(padded(targets[i : i + rows], rows))
            weight = (np.arange(i, i + rows) < count).astype(np.float32)
            pivots = padded(ws[i : i + rows], rows)
            view = None if views is None else padded(views[i : i + rows], rows)
            put = self._devices.put_batch((pivots, view, images, weight))
            described = steps.describe(self._static, self._weights, put[2])
            batches.append(Batch(*put[:3], described, put[3]))
        return batches

    def _measure(
        self, rest: Variables, params: Any, batches: list[Batch], count: int
    ) -> Measures:
        """Return the measures of all pivots as NumPy arrays."""
        found = [
            tuning_steps.measures(
                self._static, self._weights, self.lod, rest, params, batch
            )
            for batch in batches
        ]
        return jax.tree.map(lambda *x: np.concatenate(x)[:count], *found)

    def _locality(self, step: int, pivot: int) -> Locality | None:
        if not self.settings.locality:
            return None
        key = jax.random.fold_in(jax.random.key(self.settings.seed), step)
        z = jax.random.normal(key, (1, self.network.generator.z_dim))
        radius = np.float32(self.settings.locality_radius)
        return Locality(np.int32(pivot), z, self._label, radius, self._variables)
