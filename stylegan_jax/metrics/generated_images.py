"""The images and latents of a generator that is measured."""

import dataclasses
import functools
from collections.abc import Iterator
from operator import attrgetter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.data.interface import Source
from stylegan_jax.layers import conv2d_cpu
from stylegan_jax.metrics.image_sets import Batch
from stylegan_jax.models import Generator, LevelOfDetail, Variables
from stylegan_jax.runtime.parallel import Parallel
from stylegan_jax.runtime.tensorflow import tensorflow


@dataclasses.dataclass(frozen=True)
class Subject:
    """A generator that is measured, with float32 activations in all layers.

    Activations of lower precision have rounding errors that exceed the changes caused
    by the small steps of path lengths.

    Attributes:
      name: name for messages and results.
      generator: the network; converted to float32.
      variables: its variables, replicated on every device.
      lod: the resolution that it has reached, and its fade; images are enlarged to the
        full resolution by repeating pixels, as officially.
    """

    name: str
    generator: Generator
    variables: Variables
    lod: LevelOfDetail

    def __post_init__(self):
        """Convert the network to float32."""
        full = self.generator.clone(dtype=jnp.dtype(jnp.float32))
        object.__setattr__(self, "generator", full)

    @property
    def dtype(self) -> str:
        """The type of the activations."""
        return self.generator.dtype.name


@dataclasses.dataclass(frozen=True)
class GeneratedImages:
    """The images of a generator; an `ImageSet`.

    The z of image i is row i of numpy.random.RandomState(seed).randn(N, z_dim), for
    any N.

    Attributes:
      subject: the generator.
      devices: the devices of all processes.
      seed: seed of latents, classes and noise.
      class_weights: [L] probability of each class; None for equal probabilities.
      truncation_psi: truncation psi.
      noise: noise mode, "const", "random" (per image) or "none".
    """

    subject: Subject
    devices: Parallel
    seed: int
    class_weights: np.ndarray | None
    truncation_psi: float
    noise: str = "random"

    fingerprint = None
    count = None
    class_names = None
    label_vectors = False

    name = property(attrgetter("subject.name"))
    classes = property(attrgetter("subject.generator.label_size"))

    @property
    def size(self) -> tuple[int, int]:
        """The height and width of images at full resolution."""
        height, width = self.subject.generator.base_size
        full = self.subject.generator.resolution
        return height * full // 4, width * full // 4

    @property
    def label_source(self) -> str | None:
        """The origin of class probabilities; None for unconditional networks."""
        if not self.classes:
            return None
        return "uniform" if self.class_weights is None else "data"

    def conditions(self) -> dict[str, Any]:
        """See `ImageSet`."""
        return {
            "generated": self.name,
            "truncation_psi": self.truncation_psi,
            "noise": self.noise,
            "dtype": self.subject.dtype,
            "label_source": self.label_source,
        }

    def latents(
        self, batch_size: int, each: int = 1
    ) -> Iterator[tuple[tuple[jax.Array, ...], jax.Array | None]]:
        """Yield batches of latents, sharded over the devices, endlessly.

        Args:
          batch_size: global batch size B.
          each: number of z per row.

        Yields:
          `each` arrays z [B, Z], and the labels [B, L] of the rows or None for
          unconditional networks.
        """
        generator, devices = self.subject.generator, self.devices
        rng = np.random.RandomState(self.seed)
        label_rng = np.random.RandomState(self.seed + 1)
        share = batch_size // devices.process_count
        mine = slice(devices.process_index * share, (devices.process_index + 1) * share)
        while True:
            z = rng.randn(batch_size, each, generator.z_dim).astype(np.float32)[mine]
            labels = None
            if generator.label_size:
                chosen = label_rng.choice(
                    generator.label_size, batch_size, p=self.class_weights
                )[mine]
                labels = np.eye(generator.label_size, dtype=np.float32)[chosen]
            yield devices.put_batch((tuple(z.swapaxes(0, 1)), labels))

    def styles(self, z: jax.Array, labels: jax.Array | None) -> jax.Array:
        """Return the styles [B,L,W] of latents, without truncation."""
        return _styles(self.subject.generator, self.subject.variables, z, labels)

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """See `ImageSet`."""
        subject, devices = self.subject, self.devices
        lod_and_psi = devices.replicate((subject.lod, np.float32(self.truncation_psi)))
        for index, ((z,), labels) in enumerate(self.latents(batch_size)):
            key = jax.random.fold_in(jax.random.key(self.seed), index)
            images = _images(
                subject.generator,
                devices,
                subject.variables,
                z,
                labels,
                *lod_and_psi,
                key,
                self.noise,
            )
            local = devices.local_rows(images)
            no_labels = np.zeros((len(local), 0), np.float32)
            yield local, no_labels if labels is None else devices.local_rows(labels)


@functools.partial(jax.jit, static_argnums=0)
def _styles(generator, variables, z, labels):
    return generator.apply(variables, z, labels, method="map")


@functools.partial(jax.jit, static_argnums=(0, 1, 8))
@conv2d_cpu.allowed()
def _images(generator, devices, variables, z, labels, lod, psi, key, noise):
    """Generate images [B,H,W,C] uint8 of full size from z [B, Z]."""
    ws = generator.apply(variables, z, labels, method="map")
    ws = generator.apply(variables, ws, psi, method="truncate")
    images = generator.apply(
        variables,
        devices.constrain_batch(ws),
        lod=lod,
        noise=noise,
        method="synthesize",
        rngs={"noise": key},
    )
    # The same as `image_io.to_uint8` on the host.
    images = jnp.nan_to_num(jnp.clip(images, -2, 2), nan=-1.0)
    images = jnp.clip(images * 127.5 + 128, 0, 255).astype(jnp.uint8)
    factor = generator.resolution // lod.resolution
    images = jnp.repeat(jnp.repeat(images, factor, axis=1), factor, axis=2)
    return devices.constrain_batch(images)


def class_weights(source: Source) -> np.ndarray:
    """Return the frequency [L] of each class in a data set.

    Raises:
      ValueError: its labels are vectors, not classes.
    """
    if source.label_vectors:
        raise ValueError(
            f"The labels of {source.name} are vectors, but metrics of generated images "
            "draw classes; compare folders of images instead, with --images_b."
        )
    tf = tensorflow()

    @tf.autograph.experimental.do_not_convert
    def label_of(index):
        return source.load(index)[1]  # TensorFlow prunes the decoding of the image

    labels = (
        tf.data.Dataset.range(source.num_images)
        .map(label_of, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(1024)
    )
    counts = np.zeros(source.label_size)
    for part in labels.as_numpy_iterator():
        counts += part.sum(axis=0)
    return counts / counts.sum()
