"""Images of a generator that is measured."""

import dataclasses
import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.data.interface import Source
from stylegan_jax.metrics.image_sets import Batch
from stylegan_jax.models import Generator, LevelOfDetail, Variables
from stylegan_jax.runtime.parallel import Parallel
from stylegan_jax.runtime.tensorflow import tensorflow


@dataclasses.dataclass(frozen=True)
class Subject:
    """A generator that is measured, with activations of float32 in all its layers.

    Those of a network that is trained in lower precision have rounding errors that are
    larger than what the small steps of path lengths change. Its convolutions have the
    official rounding, except where images are drawn.

    Attributes:
      name: what results call it.
      generator: the network; becomes one of float32.
      variables: its variables, whole on every device.
      lod: the resolution that it has reached, and its fade; images are enlarged to the
        full resolution by repeating pixels, as officially.
    """

    name: str
    generator: Generator
    variables: Variables
    lod: LevelOfDetail

    def __post_init__(self):
        """Replaces the network."""
        full = self.generator.clone(dtype=jnp.dtype(jnp.float32), winograd=False)
        object.__setattr__(self, "generator", full)

    @property
    def dtype(self) -> str:
        """Of the activations."""
        return self.generator.dtype.name


@dataclasses.dataclass(frozen=True)
class GeneratedImages:
    """Images of a generator.

    The z of image i is row i of numpy.random.RandomState(seed).randn(N, z_dim),
    whatever N is. Classes are drawn with the shares that they have in the data, or all
    alike if `class_weights` is None; noise per image.
    """

    subject: Subject
    devices: Parallel
    seed: int
    class_weights: np.ndarray | None  # [L], share of each class
    truncation_psi: float
    noise: str = "random"

    fingerprint = None
    count = None
    class_names = None
    label_vectors = False
    fit = None

    @property
    def name(self) -> str:
        """The generator's."""
        return self.subject.name

    @property
    def size(self) -> tuple[int, int]:
        """That of the full network."""
        height, width = self.subject.generator.base_size
        full = self.subject.generator.resolution
        return height * full // 4, width * full // 4

    @property
    def classes(self) -> int:
        """The network's."""
        return self.subject.generator.label_size

    @property
    def label_source(self) -> str | None:
        """Where classes come from; None of unconditional networks."""
        if not self.classes:
            return None
        return "uniform" if self.class_weights is None else "data"

    def latents(
        self, batch_size: int, each: int = 1
    ) -> Iterator[tuple[tuple[jax.Array, ...], jax.Array | None]]:
        """Endless batches of latents, split over the devices.

        Args:
          batch_size: over all devices.
          each: z of every row.

        Returns:
          Iterator over `each` arrays z [B, Z] and the labels [B, L] of the rows, None
          for unconditional networks.
        """
        generator, devices = self.subject.generator, self.devices
        rng = np.random.RandomState(self.seed)
        of_labels = np.random.RandomState(self.seed + 1)
        share = batch_size // devices.process_count
        mine = slice(devices.process_index * share, (devices.process_index + 1) * share)
        while True:
            z = rng.randn(batch_size, each, generator.z_dim).astype(np.float32)[mine]
            labels = None
            if generator.label_size:
                chosen = of_labels.choice(
                    generator.label_size, batch_size, p=self.class_weights
                )[mine]
                labels = np.eye(generator.label_size, dtype=np.float32)[chosen]
            yield devices.put_batch((tuple(z.swapaxes(0, 1)), labels))

    def styles(self, z: jax.Array, labels: jax.Array | None) -> jax.Array:
        """Ws [B,L,W] of latents, not truncated."""
        return _styles(self.subject.generator, self.subject.variables, z, labels)

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """See `ImageSet`."""
        subject, devices = self.subject, self.devices
        shown = devices.replicate((subject.lod, np.float32(self.truncation_psi)))
        for index, ((z,), labels) in enumerate(self.latents(batch_size)):
            key = jax.random.fold_in(jax.random.key(self.seed), index)
            images = _images(
                subject.generator,
                devices,
                subject.variables,
                z,
                labels,
                *shown,
                key,
                self.noise,
            )
            here = devices.local_rows(images)
            none = np.zeros((len(here), 0), np.float32)
            yield here, none if labels is None else devices.local_rows(labels)


@functools.partial(jax.jit, static_argnums=0)
def _styles(generator, variables, z, labels):
    return generator.apply(variables, z, labels, method="map")


@functools.partial(jax.jit, static_argnums=(0, 1, 8))
def _images(generator, devices, variables, z, labels, lod, psi, key, noise):
    """Images [B,H,W,C] uint8 of z [B, Z], of the full network's size."""
    ws = generator.apply(variables, z, labels, method="map")
    ws = generator.apply(variables, ws, psi, method="truncate")
    images = generator.clone(winograd=True).apply(
        variables,
        devices.constrain_batch(ws),
        lod=lod,
        noise=noise,
        method="synthesize",
        rngs={"noise": key},
    )
    # As `reporting.to_uint8` does on the host.
    images = jnp.nan_to_num(jnp.clip(images, -2, 2), nan=-1.0)
    images = jnp.clip(images * 127.5 + 128, 0, 255).astype(jnp.uint8)
    factor = generator.resolution // lod.resolution
    images = jnp.repeat(jnp.repeat(images, factor, axis=1), factor, axis=2)
    return devices.constrain_batch(images)


def class_weights(source: Source) -> np.ndarray:
    """The share [L] of each class in a data set.

    Raises:
      ValueError: its labels are vectors, not classes.
    """
    if source.label_vectors:
        raise ValueError(
            f"the labels of {source.name} are vectors, and metrics of generated images "
            "draw classes; give images instead, with --images_b"
        )
    tf = tensorflow()

    @tf.autograph.experimental.do_not_convert
    def label_of(index):
        return source.load(index)[1]  # TensorFlow leaves out what decodes the image

    labels = (
        tf.data.Dataset.range(source.num_images)
        .map(label_of, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(1024)
    )
    counts = np.zeros(source.label_size)
    for part in labels.as_numpy_iterator():
        counts += part.sum(axis=0)
    return counts / counts.sum()
