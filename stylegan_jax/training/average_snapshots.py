"""Snapshots of a run's power-function averages, and what is reconstructed from them."""

import json
from typing import Any, NamedTuple

import numpy as np
from etils import epath
from flax import traverse_util

from stylegan_jax.runtime.messages import listed
from stylegan_jax.training import power_ema
from stylegan_jax.training.progress import Progress
from stylegan_jax.training.setup import Setup
from stylegan_jax.training.state import TrainState
from stylegan_jax.weights import safetensors

FOLDER = "power_ema"  # in the directory of a run
KEY = "power_ema"  # of the description in a file's metadata
W_AVG = "w_avg"


class Snapshot(NamedTuple):
    """A file of a run.

    Attributes:
      images_seen: the run's clock when it was taken.
      path: the file.
    """

    images_seen: int
    path: epath.Path


class SnapshotWriter:
    """Writes the averages of a state, as float16, at an interval."""

    def __init__(self, setup: Setup, directory: epath.Path, images_seen: int):
        """Start at the run's clock; `directory` is that of the run."""
        self._parallel, self._directory = setup.parallel, directory / FOLDER
        self._interval = setup.experiment.training.power_ema_snapshot_kimg * 1000
        self._last_images = images_seen

    def write_if_due(self, state: TrainState, progress: Progress) -> None:
        """Write a snapshot if the interval has passed; all processes must call it."""
        before, now = self._last_images, progress.images_seen
        if not state.power_ema or before // self._interval == now // self._interval:
            return
        self._last_images = now
        averages, w_avg = self._parallel.replicate_global(
            (state.power_ema, state.w_avg)
        )
        if not self._parallel.is_main:
            return
        arrays = {W_AVG: np.asarray(w_avg)}
        for name, value in traverse_util.flatten_dict(averages, sep="/").items():
            arrays[name] = np.asarray(value).astype(np.float16)
        self._directory.mkdir(parents=True, exist_ok=True)
        description = {"images_seen": now, "resolution": progress.resolution}
        path = self._directory / f"{now:012d}.safetensors"
        safetensors.write(path, arrays, {KEY: json.dumps(description)})


def find(directory: epath.Path) -> list[Snapshot]:
    """Return the snapshots of a run, the oldest first.

    Raises:
      ValueError: there are none.
    """
    folder = directory / FOLDER
    paths = sorted(folder.glob("*.safetensors")) if folder.exists() else []
    found = [Snapshot(int(p.stem), p) for p in paths if p.stem.isdecimal()]
    if not found:
        raise ValueError(
            f"{directory} has no snapshots of power-function averages; train with "
            '--config.training.power_ema="(0.05, 0.1)", and resume to the first '
            "`training.power_ema_snapshot_kimg`"
        )
    return found


def reconstruct(
    snapshots: list[Snapshot], std: float, images_seen: int
) -> tuple[dict[str, Any], np.ndarray]:
    """Return an average of the generator that was not kept during training.

    Args:
      snapshots: the snapshots of a run.
      std: relative standard deviation of the average, in (0, 0.25].
      images_seen: the time at which it is wanted: that of one of the snapshots.

    Returns:
      The parameters, and the average of w at that time.

    Raises:
      ValueError: there is no snapshot of that time, or `std` is out of range.
    """
    if not 0 < std <= 0.25:
        raise ValueError(f"std (={std}) must be above 0 and at most 0.25")
    used = [s for s in snapshots if s.images_seen <= images_seen]
    if not used or used[-1].images_seen != images_seen:
        known = listed(f"{s.images_seen / 1000:g}" for s in snapshots)
        raise ValueError(
            f"kimg (={images_seen / 1000:g}) must be the time of a snapshot: {known}"
        )
    files = [safetensors.read(snapshot.path)[0] for snapshot in used]
    w_avg = files[-1].pop(W_AVG)
    names = sorted({name.partition("/")[0] for name in files[-1]})
    times = np.repeat([float(s.images_seen) for s in used], len(names))
    stds = np.tile([float(name) for name in names], len(used))
    weights = power_ema.coefficients(times, stds, float(images_seen), std)
    total: dict[str, np.ndarray] = {}
    for i, weight in enumerate(weights):
        arrays, name = files[i // len(names)], names[i % len(names)]
        for key, value in arrays.items():
            head, _, rest = key.partition("/")
            if head == name:
                part = weight * value.astype(np.float64)
                total[rest] = total.get(rest, 0.0) + part
    parameters = {key: value.astype(np.float32) for key, value in total.items()}
    return traverse_util.unflatten_dict(parameters, sep="/"), w_avg
