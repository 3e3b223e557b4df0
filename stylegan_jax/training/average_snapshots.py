"""Snapshots of power-function averages, and averages reconstructed from snapshots."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from etils import epath
from flax import traverse_util

from stylegan_jax.models import LevelOfDetail
from stylegan_jax.runtime.logger import RunLogger
from stylegan_jax.runtime.messages import listed
from stylegan_jax.training import power_ema
from stylegan_jax.training.progress import Progress
from stylegan_jax.training.setup import Setup
from stylegan_jax.training.state import TrainState
from stylegan_jax.weights import safetensors

FOLDER = "power_ema"  # folder in the directory of a run
KEY = "power_ema"  # key of the description in the metadata of a file
W_AVG, STATS = "w_avg", "stats/"  # an array, and a prefix of arrays, in a file


class Snapshot(NamedTuple):
    """A file with a snapshot of a run's averages.

    Attributes:
      images_seen: the run's clock when it was written.
      path: the file.
    """

    images_seen: int
    path: epath.Path


class Average(NamedTuple):
    """An average of the generator.

    Attributes:
      params: its parameters.
      stats: the variables of "stats" at the time of the average, such as `w_avg`.
      lod: the level of detail at that time.
    """

    params: dict[str, Any]
    stats: dict[str, Any]
    lod: LevelOfDetail


class SnapshotWriter:
    """Writes the averages of a state as float16, at an interval and at the end."""

    def __init__(
        self, setup: Setup, directory: epath.Path, logger: RunLogger, images_seen: int
    ):
        """Start at the run's clock, `images_seen`; `directory` is the run's."""
        self._parallel, self._directory = setup.parallel, directory / FOLDER
        self._logger = logger
        self._interval = setup.experiment.training.power_ema_snapshot_kimg * 1000
        self._last_images = images_seen

    def write_if_due(self, state: TrainState, progress: Progress) -> None:
        """Write a snapshot if the interval has passed; all processes must call this."""
        before, now = self._last_images, progress.images_seen
        if before // self._interval != now // self._interval:
            self.write(state, progress)

    def write(self, state: TrainState, progress: Progress) -> None:
        """Write a snapshot unless there is one of this time; all processes must call.

        A file that cannot be written is reported, and does not end the run.
        """
        now = progress.images_seen
        if not state.power_ema or now == self._last_images:
            return
        self._last_images = now
        whole = self._parallel.replicate_global((state.power_ema, state.stats))
        averages, stats = whole
        if not self._parallel.is_main:
            return
        arrays = {W_AVG: np.asarray(stats.pop(W_AVG))}
        for name, value in traverse_util.flatten_dict(stats, sep="/").items():
            arrays[STATS + name] = np.asarray(value)
        for name, value in traverse_util.flatten_dict(averages, sep="/").items():
            arrays[name] = np.asarray(value).astype(np.float16)
        description = {"resolution": progress.resolution, "fade": progress.fade}
        path = self._directory / f"{now:012d}.safetensors"
        with self._logger.warn_on_os_error(path):
            self._directory.mkdir(parents=True, exist_ok=True)
            safetensors.write(path, arrays, {KEY: json.dumps(description)})


def find(directory: epath.Path) -> list[Snapshot]:
    """Return the snapshots of a run, the oldest first.

    Raises:
      ValueError: the run has no snapshots.
    """
    folder = directory / FOLDER
    paths = sorted(folder.glob("*.safetensors")) if folder.exists() else []
    found = [Snapshot(int(p.stem), p) for p in paths if p.stem.isdecimal()]
    if not found:
        raise ValueError(
            f"{directory} has no snapshots of power-function averages; only runs that "
            'are started with --config.training.power_ema="(0.05, 0.1)" write them'
        )
    return found


def reconstruct(
    snapshots: list[Snapshot], stds: Sequence[float], images_seen: int
) -> list[Average]:
    """Reconstruct averages of the generator that were not kept during training.

    Each file is read once, and sums are in float64.

    Args:
      snapshots: the snapshots of a run.
      stds: relative standard deviations of the averages, in (0, 0.25].
      images_seen: the time of the averages, which must be that of a snapshot.

    Raises:
      ValueError: there is no snapshot of that time, or an element of `stds` is out of
        range.
    """
    if not all(0 < std <= 0.25 for std in stds):
        raise ValueError(f"stds (={list(stds)}) must be above 0 and at most 0.25")
    used = [s for s in snapshots if s.images_seen <= images_seen]
    if not used or used[-1].images_seen != images_seen:
        known = listed(f"{s.images_seen / 1000:g}" for s in snapshots)
        raise ValueError(
            f"kimg (={images_seen / 1000:g}) must be the time of a snapshot: {known}"
        )
    totals: list[dict[str, np.ndarray]] = [{} for _ in stds]
    weights: np.ndarray | None = None
    for i, snapshot in enumerate(used):
        arrays, metadata = safetensors.read(snapshot.path)
        stats = {W_AVG: arrays.pop(W_AVG)}
        for name in [name for name in arrays if name.startswith(STATS)]:
            stats[name.removeprefix(STATS)] = arrays.pop(name)
        names = sorted({name.partition("/")[0] for name in arrays})
        if weights is None:
            weights = _weights(used, names, stds)
        for key, value in arrays.items():
            name, _, rest = key.partition("/")
            for total, weight in zip(totals, weights[:, i], strict=True):
                part = weight[names.index(name)] * value.astype(np.float64)
                total[rest] = total.get(rest, 0.0) + part
    lod = LevelOfDetail(**json.loads(metadata[KEY]))
    return [
        Average(
            traverse_util.unflatten_dict(_float32(total), sep="/"),
            traverse_util.unflatten_dict(stats, sep="/"),
            lod,
        )
        for total in totals
    ]


def _weights(
    snapshots: list[Snapshot], names: list[str], stds: Sequence[float]
) -> np.ndarray:
    """Return the weights [stds, snapshots, averages in a snapshot]."""
    times = np.repeat([float(s.images_seen) for s in snapshots], len(names))
    of_names = np.tile([float(name) for name in names], len(snapshots))
    rows = [power_ema.coefficients(times, of_names, times[-1], std) for std in stds]
    return np.reshape(rows, (len(stds), len(snapshots), len(names)))


def _float32(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {key: value.astype(np.float32) for key, value in arrays.items()}
