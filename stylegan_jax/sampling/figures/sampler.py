"""A figure, and the generator that draws its images."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np

from stylegan_jax.models import Generator, LevelOfDetail, Variables
from stylegan_jax.runtime.image_io import to_uint8
from stylegan_jax.sampling import noise as noises
from stylegan_jax.sampling import seeds as seeding
from stylegan_jax.sampling.synthesis import automatic_batch_size, synthesize_batches
from stylegan_jax.sampling.truncation import truncated_styles


class Figure(NamedTuple):
    """A figure.

    Attributes:
      pixels: [H,W,3] uint8.
      lines: its numbers, as lines of text.
    """

    pixels: np.ndarray
    lines: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Sampler:
    """A generator with a label and a truncation.

    Attributes:
      generator: the network.
      variables: its variables.
      lod: the level of detail that training had reached.
      label: the label vector [K]; None for unconditional networks.
      psi: the truncation psi.
    """

    generator: Generator
    variables: Variables
    lod: LevelOfDetail
    label: np.ndarray | None = None
    psi: float = 1.0

    def map(self, z: np.ndarray | jax.Array, psi: float | None = None) -> jax.Array:
        """Map latents z [N,Z] to styles ws [N,L,W], truncated by psi or `self.psi`."""
        labels = None if self.label is None else np.tile(self.label, (len(z), 1))
        psi = self.psi if psi is None else psi
        return truncated_styles(
            self.generator, self.variables, np.asarray(z), labels, truncation_psi=psi
        )

    def styles(self, seeds: Sequence[int], psi: float | None = None) -> jax.Array:
        """Return the truncated styles of seeds, [N,L,W]."""
        return self.map(seeding.latents(list(seeds), self.generator.z_dim), psi)

    def batches(
        self,
        ws: jax.Array | np.ndarray,
        *,
        lod: LevelOfDetail | None = None,
        noise: str = "const",
        noise_layers: Iterable[int] | None = None,
    ) -> Iterator[np.ndarray]:
        """Generate images of styles ws [N,L,W], one batch at a time.

        Args:
          ws: [N,L,W].
          lod: the level of detail; None for `self.lod`.
          noise: "const", "random" or "none".
          noise_layers: style layers that have noise; None for all.

        Yields:
          Images [B,H,W,C] float32, about [-1,1].
        """
        lod = lod or self.lod
        variables = noises.only_at(self.generator, self.variables, noise_layers)
        batch_size = automatic_batch_size(self.generator, lod.resolution)
        yield from synthesize_batches(
            self.generator,
            variables,
            ws,
            lod=lod,
            noise=noise,
            batch_size=min(batch_size, len(ws)),
        )

    def draw(self, ws: jax.Array | np.ndarray, **options) -> np.ndarray:
        """Return images [N,H,W,C] uint8; see `batches` for the options."""
        return np.concatenate([to_uint8(x) for x in self.batches(ws, **options)])


def seed_names(seeds: Sequence[int]) -> list[str]:
    """Return the names of rows of seeds."""
    return [f"seed {seed}" for seed in seeds]
