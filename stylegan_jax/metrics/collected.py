"""What metrics need to know of a set of images, gathered while it passes by once."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from stylegan_jax.metrics.diversity import pair_distances
from stylegan_jax.metrics.frechet import Gaussian, Moments
from stylegan_jax.metrics.ms_ssim import ms_ssim
from stylegan_jax.metrics.networks.detector import Detector, rgb
from stylegan_jax.metrics.path_length import PerceptualDistance
from stylegan_jax.metrics.sliced_wasserstein import Descriptors
from stylegan_jax.runtime.image_io import composite_on_white
from stylegan_jax.runtime.parallel import Parallel

OF_FEATURES = frozenset({"moments", "pool", "logits"})
QUANTITIES = OF_FEATURES | {"classes", "patches", "similarity", "distances"}


@dataclasses.dataclass
class Collected:
    """Of `count` images; only what was asked for is there.

    Attributes:
      gaussian: of the features, its covariance divided by `count` - 1.
      pool: features [N, F] float32.
      logits: [N, C] float32.
      classes: [N] int, of the labels.
      patches: of a Laplacian pyramid's levels.
      similarity: MS-SSIM [N/2] of images 0 and 1, 2 and 3, ...
      distances: perceptual distances [N/2] of the same pairs.
      class_names: number -> name of all classes of the data, also of those that none of
        these images is of; empty of generated images.
      failures: quantity -> why it could not be had.
    """

    count: int = 0
    gaussian: Gaussian | None = None
    pool: np.ndarray | None = None
    logits: np.ndarray | None = None
    classes: np.ndarray | None = None
    patches: Descriptors | None = None
    similarity: np.ndarray | None = None
    distances: np.ndarray | None = None
    class_names: dict[int, str] = dataclasses.field(default_factory=dict)
    failures: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Networks:
    """The networks that look at images; None where no metric needs one."""

    detector: Detector | None = None
    distance: PerceptualDistance | None = None


class Order:
    """The first so many images of a set, and what is to be known of them."""

    def __init__(self, limit: int, quantities: Iterable[str], seed: int):
        """Nothing has been seen yet.

        Args:
          limit: of images.
          quantities: some of `QUANTITIES`.
          seed: of where patches are taken.
        """
        self.limit, self.quantities = limit, frozenset(quantities)
        unknown = self.quantities - QUANTITIES
        if unknown:
            raise ValueError(f"{sorted(unknown)} must be some of {sorted(QUANTITIES)}")
        self.count = 0
        self._moments: Moments | None = None
        self._patches = None
        if "patches" in self.quantities:
            self._patches = Descriptors(np.random.RandomState(seed))
        self._parts: dict[str, list[np.ndarray]] = {}
        self._failures: dict[str, str] = {}

    @property
    def wanted(self) -> frozenset[str]:
        """What has still to be gathered."""
        if self.count >= self.limit:
            return frozenset()
        return self.quantities - self._failures.keys()

    def add(self, rows: dict[str, np.ndarray]) -> None:
        """Takes a batch: quantity -> rows, one per image or per pair."""
        for name in self.wanted & rows.keys():
            left = self.limit - self.count
            pairs = name in ("similarity", "distances")
            part = rows[name][: left // 2 if pairs else left]
            if name == "moments":
                self._moments = self._moments or Moments(part.shape[1])
                try:
                    self._moments.add(part)
                except ValueError as error:  # others may still be had
                    self._failures[name], self._moments = str(error), None
            elif name == "patches":
                self._patches.add(part)
            else:
                self._parts.setdefault(name, []).append(part)
        self.count = min(self.limit, self.count + len(rows["classes"]))

    def collected(self) -> Collected:
        """All of it, in the end."""
        found = Collected(
            self.count, patches=self._patches, failures=dict(self._failures)
        )
        if self._moments is not None:
            found.gaussian = self._moments.gaussian()
        for name in list(self._parts):  # each freed before the next is joined
            setattr(found, name, np.concatenate(self._parts.pop(name)))
        return found


def rows_of(
    images: np.ndarray,
    labels: np.ndarray,
    wanted: frozenset[str],
    networks: Networks,
    devices: Parallel,
) -> dict[str, np.ndarray]:
    """What is wanted of a batch; every process computes of its share.

    Args:
      images: this process's [b,H,W,C] uint8, b even.
      labels: this process's [b, L], one-hot.
      wanted: quantities.
      networks: what they need.
      devices: of all processes, who all have to call it.

    Returns:
      Quantity -> the rows of all processes, in their order; always "classes".
    """
    pictures = on_white(images)
    rows = {
        "classes": labels.argmax(axis=1) if labels.shape[1] else np.zeros(len(labels))
    }
    if wanted & OF_FEATURES:
        features = networks.detector(pictures)
        rows["pool"] = np.asarray(features.pool)
        if "logits" in wanted:
            if features.logits is None:
                raise ValueError(
                    f"the detector {networks.detector.name} has no classes, which the "
                    "Inception Score is of; give the InceptionV3 of 2015-12-05"
                )
            rows["logits"] = np.asarray(features.logits)
    if "patches" in wanted:
        rows["patches"] = pictures
    if "similarity" in wanted:
        rows["similarity"] = ms_ssim(pictures[::2], pictures[1::2])
    if "distances" in wanted:
        rows["distances"] = pair_distances(pictures, networks.distance)
    rows = {name: devices.all_rows(value) for name, value in rows.items()}
    if "moments" in wanted:
        rows["moments"] = rows["pool"]
    return rows


def on_white(images: np.ndarray) -> np.ndarray:
    """Images [N,H,W,C] uint8, C 1, 3 or 4 -> [N,H,W,3], what is clear over white."""
    return rgb(composite_on_white(images))
