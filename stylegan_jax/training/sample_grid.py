"""Image grids drawn during training, and the share of each resolution in images."""

from collections.abc import Callable

import jax
import numpy as np

from stylegan_jax import rngs
from stylegan_jax.data import pipeline
from stylegan_jax.data.interface import Source
from stylegan_jax.runtime.image_io import to_uint8
from stylegan_jax.runtime.logger import RunLogger
from stylegan_jax.sampling.contributions import adds_up, contributions
from stylegan_jax.sampling.synthesis import synthesize_batches
from stylegan_jax.sampling.truncation import truncated_styles
from stylegan_jax.training.progress import Progress
from stylegan_jax.training.setup import Setup
from stylegan_jax.training.state import TrainState

GRID_PIXELS = 64  # smaller images are enlarged to this size
CONTRIBUTION_IMAGES = 16  # images on which the shares of resolutions are measured


class SampleGrid:
    """Grid of images of fixed latents, drawn with the averaged generator."""

    def __init__(self, setup: Setup, source: Source, logger: RunLogger):
        """Draw the latents, and take the labels from the data."""
        self._setup, self._source, self._logger = setup, source, logger
        e = self._experiment = setup.experiment
        count = e.run.grid_rows * e.run.grid_columns
        key = rngs.key(e.run.seed, rngs.Stream.GRID)
        self._z = np.asarray(jax.random.normal(key, (count, e.model.z_dim)))
        self._labels = self._first_reals()[1] if setup.label_size else None
        self._last_images: int | None = None  # images seen at the last grid

    def draw_reals(self) -> None:
        """Write a grid of real images."""
        self._write("reals", 0, self._first_reals()[0])

    def draw_if_due(self, state: TrainState, progress: Progress) -> None:
        """Write a grid every `run.grid_every_ticks` ticks."""
        if progress.tick % self._experiment.run.grid_every_ticks == 0:
            self.draw(state, progress)

    def log_contributions(self, state: TrainState, progress: Progress) -> None:
        """Log the share of each resolution in the first images of a skip generator.

        All processes must call it.
        """
        generator, count = self._setup.generator, CONTRIBUTION_IMAGES
        if not adds_up(generator):
            return
        ema = self._setup.parallel.replicate_global(state.ema)
        labels = None if self._labels is None else self._labels[:count]
        ws = truncated_styles(generator, ema, self._z[:count], labels)
        shares = contributions(generator, ema, ws)
        self._logger.scalars(
            progress.images_seen,
            {f"g_ema/contribution_{r}": share for r, share in shares.items()},
        )

    def draw_last(self, state: TrainState, progress: Progress) -> None:
        """Write a grid unless the last one shows this state."""
        if self._last_images != progress.images_seen:
            self.draw(state, progress)

    def draw(self, state: TrainState, progress: Progress) -> None:
        """Write a grid of generated images; all processes must call it.

        The device continues its work while a thread converts and encodes them.
        """
        self._last_images = progress.images_seen
        e, generator = self._experiment, self._setup.generator
        ema = self._setup.parallel.replicate_global(state.ema)
        ws = truncated_styles(
            generator,
            ema,
            self._z,
            self._labels,
            truncation_psi=e.run.grid_truncation_psi,
        )
        # A growing network draws all fades of a resolution with one program.
        lod = progress.lod
        lod = lod.with_traced_fade() if e.model.growing else lod
        batches = list(synthesize_batches(generator, ema, ws, lod=lod))
        self._write(
            "fakes",
            progress.images_seen,
            lambda: np.concatenate([to_uint8(images) for images in batches]),
        )

    def _first_reals(self) -> tuple[np.ndarray, np.ndarray]:
        run = self._experiment.run
        return pipeline.first_images(
            self._source,
            resolution=self._source.resolution,
            count=run.grid_rows * run.grid_columns,
            seed=run.seed,
        )

    def _write(
        self,
        name: str,
        images_seen: int,
        images_uint8: np.ndarray | Callable[[], np.ndarray],
    ) -> None:
        columns = self._experiment.run.grid_columns
        self._logger.images(name, images_seen, images_uint8, columns, GRID_PIXELS)
