"""Grids of images, drawn while training."""

import jax
import numpy as np

from stylegan_jax import rngs
from stylegan_jax.config import Experiment
from stylegan_jax.data import pipeline
from stylegan_jax.data.interface import Source
from stylegan_jax.models import Generator
from stylegan_jax.runtime.image_io import to_uint8
from stylegan_jax.runtime.logger import RunLogger
from stylegan_jax.runtime.parallel import Parallel
from stylegan_jax.sampling import images as sampling
from stylegan_jax.training.progress import Progress
from stylegan_jax.training.state import TrainState

GRID_PIXELS = 64  # small images are enlarged to this


class Grid:
    """Draws the same latents with the averaged generator, again and again."""

    def __init__(
        self,
        e: Experiment,
        generator: Generator,
        source: Source,
        label_size: int,
        devices: Parallel,
        logger: RunLogger,
    ):
        """Chooses latents, and labels from the data."""
        self._e, self._generator, self._source = e, generator, source
        self._devices, self._logger = devices, logger
        count = e.run.grid_rows * e.run.grid_columns
        key = rngs.key(e.run.seed, rngs.Stream.GRID)
        self._z = np.asarray(jax.random.normal(key, (count, e.model.z_dim)))
        self._labels = self._first_reals()[1] if label_size else None

    def draw_reals(self) -> None:
        """Writes a grid of real images."""
        self._write("reals", 0, self._first_reals()[0])

    def draw(self, state: TrainState, progress: Progress) -> None:
        """Writes a grid of generated images; all processes have to call it."""
        ema = self._devices.replicate_global(state.ema)
        ws = sampling.styles(
            self._generator,
            ema,
            self._z,
            self._labels,
            truncation_psi=self._e.run.grid_truncation_psi,
        )
        # A growing network draws all fades of a resolution with one program.
        lod = progress.lod
        images = sampling.synthesize(
            self._generator,
            ema,
            ws,
            lod=lod.with_traced_fade() if self._e.model.growing else lod,
        )
        self._write("fakes", progress.images_seen, to_uint8(images))

    def _first_reals(self) -> tuple[np.ndarray, np.ndarray]:
        return pipeline.first_images(
            self._source,
            resolution=self._source.resolution,
            count=self._e.run.grid_rows * self._e.run.grid_columns,
            seed=self._e.run.seed,
        )

    def _write(self, name: str, images_seen: int, images_uint8: np.ndarray) -> None:
        columns = self._e.run.grid_columns
        self._logger.images(name, images_seen, images_uint8, columns, GRID_PIXELS)
