"""The programs of a projection for a network, a distance and settings."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from stylegan_jax.config import image_size
from stylegan_jax.inversion import distances, noise_maps, steps
from stylegan_jax.inversion.distances import Distance
from stylegan_jax.inversion.encoder import Encoder
from stylegan_jax.inversion.schedule import Settings
from stylegan_jax.inversion.steps import padded
from stylegan_jax.inversion.w_statistics import WStatistics, random_w, w_statistics
from stylegan_jax.models import LevelOfDetail
from stylegan_jax.networks.network import Label, Network
from stylegan_jax.runtime import parallel
from stylegan_jax.runtime.image_io import as_floats
from stylegan_jax.sampling import transform

FIT = "fit"  # label: choose the class whose average image is nearest to each target


class Projector:
    """A network, a distance and settings, ready to project images.

    Programs are compiled at the first use, once for each batch size, and are reused for
    other targets and by other projectors of the same kind.

    Attributes:
      network: the network.
      settings: see `Settings`.
      distance: see `Distance`.
      size: height and width of the targets.
      channels: C of the targets.
      lod: level of detail of the images.
      label: label of all targets, see `Network.label`; or FIT.
      batch_size: runs that are computed at a time.
      encoder: encoder for the start "encoder", else None.
      statistics: statistics of w.
    """

    def __init__(
        self,
        network: Network,
        settings: Settings | None = None,
        distance: Distance | str = distances.AUTO,
        *,
        label: Label = None,
        resolution: int | None = None,
        batch_size: int | None = None,
        encoder: Encoder | None = None,
    ):
        """Put the variables on the devices, and compute the statistics of w.

        Args:
          network: the network.
          settings: see `Settings`; None for its defaults.
          distance: a distance, or its name; see `distances.load`.
          label: label of all targets, for conditional networks; see `Network.label`.
            FIT chooses, for each target, the class whose average image is nearest, and
            starts from the average w of this class.
          resolution: resolution of the images, for networks that grew; None is the
            highest.
          batch_size: runs that are computed at a time, a multiple of the number of
            devices; None is up to 8 for each device, as memory allows.
          encoder: encoder for this network, for the start "encoder".

        Raises:
          ValueError: the network has no such resolution or label, or its images have no
            transform to fit; the batch does not divide evenly over the devices; or the
            start and the encoder do not belong together.
        """
        settings = settings or Settings()
        if settings.transform == "fit":
            transform.check(network.generator)
        if (settings.start == "encoder") != (encoder is not None):
            given = "was given" if encoder else "is missing"
            raise ValueError(
                f"start (={settings.start!r}) and an encoder belong together, and an "
                f"encoder {given}"
            )
        if encoder is not None:
            encoder.check(network, resolution)
        self.encoder = encoder
        self.network, self.settings = network, settings
        self.distance = (
            distances.load(distance) if isinstance(distance, str) else distance
        )
        self.lod: LevelOfDetail = network.level(resolution)
        self.size = image_size(network.generator.base_size, self.lod.resolution)
        self.channels = network.generator.image_channels
        self.label = label
        self._devices = parallel.local()
        self.batch_size = steps.checked_batch_size(
            batch_size, network.generator, self.lod, self._devices
        )
        self._static = steps.static(
            network.generator, settings, self.distance, self._devices
        )
        fits = isinstance(label, str) and label == FIT
        count = 0 if network.label_vectors else len(network.classes)
        if fits and (not count or settings.start != "average"):
            raise ValueError(
                "a fitted label needs a network with classes and start='average'; this "
                f"network has {count} classes, and start is {settings.start!r}"
            )
        # The mean w of each class [K,W]; None unless the label is fitted.
        self._class_means = None
        if fits:
            every = [w_statistics(network, i) for i in range(len(network.classes))]
            self._class_means = np.stack([one.mean for one in every])
            std = float(np.sqrt(np.mean([one.std**2 for one in every])))
            self.statistics = WStatistics(self._class_means.mean(0), std)
        else:
            self.statistics = w_statistics(network, label)
        self._fixed = steps.Fixed(
            *self._devices.replicate((network.variables, self.distance.variables)),
            np.float32(self.statistics.std),
            np.int32(settings.steps),
            np.float32(settings.learning_rate),
            np.float32(settings.noise_weight),
            np.float32(settings.stop_distance),
            np.uint32(settings.seed % 2**32),
        )

    def rows(self, runs: int) -> int:
        """Return the number of rows in a batch, for a total number of runs."""
        return self._devices.padded_rows(min(self.batch_size, runs))

    def describe(self, targets: np.ndarray) -> distances.Description:
        """Return the description of targets [B,H,W,C] uint8, on the devices."""
        images = self._devices.put_batch(as_floats(targets))
        return steps.describe(self._static, self._fixed.weights, images)

    def advance(
        self, description: distances.Description, runs: steps.Runs
    ) -> steps.Runs:
        """Advance every run by `steps.CHUNK` steps; see `steps.advance`."""
        return steps.advance(self._static, self._fixed, self.lod, description, runs)

    def draw(
        self, description: distances.Description, point: steps.Point
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the images [B,H,W,C] float32 of points, and their distances [B]."""
        drawn = steps.draw(self._static, self._fixed, self.lod, description, point)
        return np.asarray(drawn[0]), np.asarray(drawn[1])

    def put(self, rows: Any) -> Any:
        """Put a tree of NumPy arrays [B,...] on the devices."""
        return self._devices.put_batch(rows)

    def starts(self, targets: np.ndarray, rows: int) -> Iterator[np.ndarray]:
        """Yield, for each target, the w from which its runs start.

        They are [restarts,W], or [restarts,L,W] with an encoder.
        """
        s = self.settings
        if s.start == "samples":
            w = random_w(self.network, self.label, s.samples, s.seed)
            for nearest in self._nearest(targets, rows, w):
                yield w[nearest[: s.restarts]]
            return
        fixed = [self.statistics.mean] if s.start == "average" else []
        random = s.restarts - len(fixed) - (s.start == "encoder")
        if self._class_means is not None:
            for fitted in self.fitted_classes(targets, rows):
                more = random_w(self.network, fitted, random, s.seed) if random else []
                yield np.stack([self._class_means[fitted], *more])
            return
        if random:
            fixed += list(random_w(self.network, self.label, random, s.seed))
        if self.encoder is None:
            for _ in targets:
                yield np.stack(fixed)
            return
        for ws in self.encoder(targets, offsets=s.space == "w+"):
            yield np.stack([ws, *(np.broadcast_to(w, ws.shape) for w in fixed)])

    def fitted_classes(self, targets: np.ndarray, rows: int) -> list[int]:
        """Return the class of each target, for the label FIT."""
        found = self._nearest(targets, rows, self._class_means)
        return [int(nearest[0]) for nearest in found]

    def _nearest(
        self, targets: np.ndarray, rows: int, w: np.ndarray
    ) -> Iterator[np.ndarray]:
        """Yield, for each target, the indices of w [N,W] from the nearest image on."""
        for begin in range(0, len(targets), rows):
            chosen = padded(targets[begin : begin + rows], rows)
            description = self.describe(chosen)
            found = []
            for i in range(0, len(w), rows):
                point = self._devices.put_batch(
                    {"w": padded(w[i : i + rows], rows)[:, None], "noise": {}}
                )
                found.append(
                    np.asarray(
                        steps.distances_of_samples(
                            self._static, self._fixed, self.lod, description, point
                        )
                    )
                )
            order = np.argsort(np.concatenate(found, 1)[:, : len(w)], 1, kind="stable")
            yield from order[: len(targets) - begin]

    def maps(self, number: int) -> noise_maps.Maps:
        """Return the initial noise maps [H,W,1] of a run; {} if they are fixed."""
        if self.settings.noise != "optimize":
            return {}
        sizes = noise_maps.shapes(self.network.variables, self.size[0])
        return noise_maps.draw(sizes, self.settings.seed, number)

    def view(self) -> dict[str, np.ndarray]:
        """Return the entry "view" of a run's initial point; {} if it is fixed."""
        fits = self.settings.transform == "fit"
        return {"view": np.zeros(3, np.float32)} if fits else {}

    @property
    def layers(self) -> int:
        """Number of w in a run: 1 in W, L in W+."""
        return 1 if self.settings.space == "w" else self.network.generator.num_ws
