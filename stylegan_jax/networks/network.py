"""A trained generator as an object to call: seeds to latents, styles and images."""

import dataclasses
import functools
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax import workdir
from stylegan_jax.models import Generator, LevelOfDetail
from stylegan_jax.runtime.image_io import to_uint8
from stylegan_jax.runtime.messages import listed
from stylegan_jax.sampling import noise as noises
from stylegan_jax.sampling import seeds as seeding
from stylegan_jax.sampling.directions import direction as directions
from stylegan_jax.sampling.directions import file as direction_file
from stylegan_jax.sampling.directions.direction import Direction
from stylegan_jax.sampling.synthesis import automatic_batch_size, synthesize_batches
from stylegan_jax.sampling.truncation import cluster_centers, truncate, truncated_styles

DTYPES = ("uint8", "float32")
Seeds = int | str | Iterable[int]
Label = int | str | Sequence[Any] | np.ndarray | None


@dataclasses.dataclass(frozen=True, eq=False)
class Network(workdir.TrainedGenerator):
    """A trained or converted generator; `stylegan_jax.load` opens one.

        g = stylegan_jax.load("smileys64")
        images = g(seeds=range(16), truncation_psi=0.7)  # [16,64,64,3] uint8

    N is the number of images, Z the length of a latent z, W of a style w, L the number
    of style layers, and K the length of a label vector.

    Attributes:
      reference: the name, path or file that it was opened from.
    """

    reference: str = ""

    @property
    def name(self) -> str:
        """The last part of the reference, for files and pages that others see."""
        path = re.sub(r"[/\\]checkpoints([/\\]\d+)?$", "", self.reference.rstrip("/\\"))
        last = re.split(r"[/\\]", path)[-1]
        return last.removesuffix(".safetensors").removesuffix(".pkl")

    @property
    def exact_reference(self) -> str:
        """The reference, with the number of the checkpoint if it names a run.

        The reference alone opens the newest checkpoint of a run.
        """
        if self.data is None or self.reference.endswith(".safetensors"):
            return self.reference
        directory, _ = workdir.split(self.reference)
        return f"{directory}/checkpoints/{self.checkpoint}"

    @property
    def module(self) -> Generator:
        """The Flax module, for `module.apply(variables, z, ...)`."""
        return self.generator

    @property
    def resolution(self) -> int:
        """The resolution that the network has been trained up to."""
        return self.lod.resolution

    def z(self, seeds: Seeds) -> np.ndarray:
        """Return the latents of seeds, [N,Z] float32, as the official code draws them.

        Args:
          seeds: an integer, several integers, or a text such as "0-3,7".
        """
        if isinstance(seeds, str):
            seeds = seeding.parse_seeds(seeds)
        elif isinstance(seeds, (int, np.integer)):
            seeds = [seeds]
        return seeding.latents([int(seed) for seed in seeds], self.generator.z_dim)

    def label(self, label: Label, count: int) -> np.ndarray | None:
        """Return label vectors, [count,K] float32; None without classes.

        Args:
          label: a class by its name or index, one for each image, or label vectors [K]
            or [count,K]. None for an unconditional network.
          count: N.

        Raises:
          ValueError: the network has no such class, or needs one.
        """
        names = self.classes
        if label is None or isinstance(label, (int, np.integer, str)):
            name = None if label is None else str(label)
            return seeding.one_hot(name, names, count)
        values = list(label)
        if all(isinstance(v, str) for v in values) and len(values) == count:
            return np.concatenate([seeding.one_hot(v, names, 1) for v in values])
        try:
            vectors = np.asarray(label, np.float32)
        except ValueError:
            vectors = np.zeros(0)
        wanted = [(len(names),), (count, len(names))]
        if not names or vectors.shape not in wanted or not np.isfinite(vectors).all():
            raise ValueError(
                f"label (={label!r}) must be a class, {count} of them, or finite "
                f"vectors [{len(names)}] or [{count}, {len(names)}]; the classes are "
                f"{listed(names) or 'none'}"
            )
        return np.broadcast_to(vectors, wanted[1])

    def map(
        self,
        z: np.ndarray | jax.Array,
        label: Label = None,
        *,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        centers: np.ndarray | None = None,
    ) -> jax.Array:
        """Map latents to styles.

        Args:
          z: [N,Z].
          label: see `label`.
          truncation_psi: 1 keeps the variety, 0 gives the average image.
          truncation_cutoff: number of style layers to truncate; None for all.
          centers: [M,W], see `centers`; each w is then pulled towards the nearest of
            them, not towards the average.

        Returns:
          ws [N,L,W] float32.
        """
        return truncated_styles(
            self.generator,
            self.variables,
            np.asarray(z),
            self.label(label, len(z)),
            truncation_psi=truncation_psi,
            truncation_cutoff=truncation_cutoff,
            centers=centers,
        )

    def truncate(
        self,
        ws: np.ndarray | jax.Array,
        *,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        centers: np.ndarray | None = None,
    ) -> jax.Array:
        """Pull ws [N,L,W] towards the average, or the nearest center; see `map`."""
        return truncate(
            self.generator,
            self.variables,
            jnp.asarray(ws, jnp.float32),
            truncation_psi=truncation_psi,
            truncation_cutoff=truncation_cutoff,
            centers=centers,
        )

    def centers(
        self, count: int = 64, label: Label = None, *, samples: int = 60_000
    ) -> np.ndarray:
        """Return cluster centers of w, [count,W]; see `truncation.cluster_centers`."""
        return cluster_centers(
            self.generator,
            self.variables,
            count,
            functools.partial(self.label, label),
            samples=samples,
        )

    @functools.cached_property
    def fingerprint(self) -> str:
        """Fingerprint of the mapping network; see `direction.fingerprint`."""
        return directions.fingerprint(self.variables)

    def direction(self, path: str | os.PathLike) -> Direction:
        """Return the direction of a file that `directions` wrote for this network.

        Raises:
          ValueError: the file is damaged, or the direction is one of another network.
          OSError: the file cannot be read.
        """
        found = direction_file.load(path)
        found.check(self.generator, self.variables, self.fingerprint)
        return found

    def edit(
        self,
        ws: np.ndarray | jax.Array,
        direction: Direction,
        strength: float | np.ndarray = 1.0,
        layers: Collection[int] | None = None,
    ) -> np.ndarray:
        """Return styles ws [N,L,W] moved along a direction of w.

        Args:
          ws: [N,L,W].
          direction: see `direction`.
          strength: strength in standard deviations of w along the direction; one
            number, or one for each image [N].
          layers: the style layers to change; None for those of the direction.

        Raises:
          ValueError: a value does not fit, or the direction is one of style channels.
        """
        direction.check(self.generator, self.variables, self.fingerprint)
        return direction.edit(self.generator, ws, strength, layers)

    def shift_styles(self, direction: Direction, strength: float = 1.0) -> "Network":
        """Return the network with styles moved along a StyleSpace direction.

        Args:
          direction: see `direction`.
          strength: strength in standard deviations of the channel.

        Raises:
          ValueError: a value does not fit, or the direction is one of w.
        """
        direction.check(self.generator, self.variables, self.fingerprint)
        variables = direction.shift_styles(self.generator, self.variables, strength)
        return dataclasses.replace(self, variables=variables)

    def batches(
        self,
        ws: np.ndarray | jax.Array,
        *,
        noise: str = "const",
        noise_seed: int = 0,
        noise_layers: Iterable[int] | None = None,
        resolution: int | None = None,
        batch_size: int | None = None,
        dtype: str = "uint8",
    ) -> Iterator[np.ndarray]:
        """Generate images from styles, one batch at a time.

        Args:
          ws: [N,L,W].
          noise: "const" uses the noise maps of the network, "random" draws new ones,
            "none" leaves them out.
          noise_seed: seed of random noise.
          noise_layers: style layers that have noise; None for all.
          resolution: resolution of the images, one that the network has been trained
            at if it grows; None for the highest.
          batch_size: number of images per batch; None for up to 16, within 1 GiB.
          dtype: dtype of the images: "uint8", or "float32" in about [-1,1].

        Yields:
          Images [n,H,W,C] of up to `batch_size` styles.
        """
        if dtype not in DTYPES:
            raise ValueError(f"dtype (={dtype!r}) must be one of {listed(DTYPES)}")
        ws = np.asarray(ws)
        self.generator.check_ws(ws, "N")
        variables = noises.only_at(self.generator, self.variables, noise_layers)
        lod = self.level(resolution)
        batches = synthesize_batches(
            self.generator,
            variables,
            ws,
            lod=lod,
            noise=noise,
            noise_seed=noise_seed,
            batch_size=batch_size
            or automatic_batch_size(self.generator, lod.resolution),
        )
        return map(to_uint8, batches) if dtype == "uint8" else batches

    def synthesize(self, ws: np.ndarray | jax.Array, **options: Any) -> np.ndarray:
        """Return the images [N,H,W,C] of ws [N,L,W]; see `batches` for the options."""
        return np.concatenate(list(self.batches(ws, **options)))

    def __call__(
        self,
        z: np.ndarray | jax.Array | None = None,
        label: Label = None,
        *,
        seeds: Seeds | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        centers: np.ndarray | None = None,
        **options: Any,
    ) -> np.ndarray:
        """Generate images from latents or seeds.

        Args:
          z: [N,Z], standard normal.
          label: see `label`.
          seeds: seeds in place of z, see `z`.
          truncation_psi: see `map`.
          truncation_cutoff: see `map`.
          centers: see `map`.
          **options: see `batches`.

        Returns:
          Images [N,H,W,C] uint8, or float32 with `dtype="float32"`.
        """
        if (z is None) == (seeds is None):
            raise ValueError("give either z or seeds")
        z = self.z(seeds) if z is None else z
        ws = self.map(
            z,
            label,
            truncation_psi=truncation_psi,
            truncation_cutoff=truncation_cutoff,
            centers=centers,
        )
        return self.synthesize(ws, **options)

    def level(self, resolution: int | None = None) -> LevelOfDetail:
        """Return the level of detail of a resolution; None for the highest trained.

        Raises:
          ValueError: the network has no such images.
        """
        if resolution in (None, self.lod.resolution):
            return self.lod
        known = [r for r in self.generator.resolutions if r <= self.lod.resolution]
        if not self.generator.grows:
            known = [self.lod.resolution]
        if resolution not in known:
            raise ValueError(
                f"resolution (={resolution}) must be {listed(known)}, which is what "
                "this network has been trained at"
            )
        return LevelOfDetail(resolution)
