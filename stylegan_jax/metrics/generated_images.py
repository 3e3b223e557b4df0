"""The images and latents of a generator under evaluation."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.config import image_size
from stylegan_jax.data.interface import Source
from stylegan_jax.layers.matmul import PLAIN_FORMS, fastest_forms
from stylegan_jax.metrics.image_sets import Batch
from stylegan_jax.models import Generator, LevelOfDetail, Variables
from stylegan_jax.runtime.parallel import Parallel
from stylegan_jax.runtime.tensorflow import tensorflow
from stylegan_jax.sampling.truncation import check_truncation, untruncated_styles


@dataclasses.dataclass(frozen=True)
class GeneratedImages:
    """The images of a generator; an `ImageSet`.

    All activations are float32: lower precision has rounding errors that exceed the
    changes caused by the small steps of path lengths. Convolutions round like the
    official ones, except where images are drawn. The z of image i is row i of
    numpy.random.RandomState(seed).randn(N, z_dim), for any N.

    Attributes:
      name: name for messages and results.
      generator: the network; converted to float32.
      variables: its variables, replicated on every device.
      lod: the resolution that it has reached, and its fade; images are enlarged to the
        full resolution by repeating pixels, as in the official code.
      devices: the devices of all processes.
      seed: seed of latents, classes and noise.
      class_weights: [L] probability of each class; None for equal probabilities.
      truncation_psi: truncation psi.
      noise: noise mode, "const", "random" (per image) or "none".
    """

    name: str
    generator: Generator
    variables: Variables
    lod: LevelOfDetail
    devices: Parallel
    seed: int
    class_weights: np.ndarray | None = None
    truncation_psi: float = 1.0
    noise: str = "random"

    fingerprint = None
    count = None
    class_names = None
    label_vectors = False

    def __post_init__(self):
        """Convert the network to float32; raise ValueError if psi is not finite."""
        check_truncation(self.truncation_psi)
        full = self.generator.clone(
            dtype=jnp.dtype(jnp.float32),
            float32_precision="highest",
            **PLAIN_FORMS,
        )
        object.__setattr__(self, "generator", full)

    @property
    def size(self) -> tuple[int, int]:
        """The height and width of images at full resolution."""
        return image_size(self.generator.base_size, self.generator.resolution)

    @property
    def classes(self) -> int:
        """The number of classes, 0 for unconditional networks."""
        return self.generator.label_size

    def conditions(self) -> dict[str, Any]:
        """See `ImageSet`."""
        label_source = "uniform" if self.class_weights is None else "data"
        return {
            "generated": self.name,
            "truncation_psi": self.truncation_psi,
            "noise": self.noise,
            "dtype": self.generator.dtype.name,
            "label_source": label_source if self.classes else None,
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
        z_rng = np.random.RandomState(self.seed)
        label_rng = np.random.RandomState(self.seed + 1)
        share = batch_size // self.devices.process_count
        start = self.devices.process_index * share
        local = slice(start, start + share)
        while True:
            z = z_rng.randn(batch_size, each, self.generator.z_dim)[local]
            labels = None
            if self.classes:
                chosen = label_rng.choice(
                    self.classes, batch_size, p=self.class_weights
                )[local]
                labels = np.eye(self.classes, dtype=np.float32)[chosen]
            z = tuple(z.astype(np.float32).swapaxes(0, 1))
            yield self.devices.put_batch((z, labels))

    def styles(self, z: jax.Array, labels: jax.Array | None) -> jax.Array:
        """Return the styles [B,L,W] of latents, without truncation."""
        return untruncated_styles(self.generator, self.variables, z, labels)

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """See `ImageSet`."""
        lod_and_psi = self.devices.replicate(
            (self.lod, np.float32(self.truncation_psi))
        )
        for index, ((z,), labels) in enumerate(self.latents(batch_size)):
            images = _images(
                self.generator,
                self.devices,
                self.variables,
                z,
                labels,
                *lod_and_psi,
                jax.random.fold_in(jax.random.key(self.seed), index),
                self.noise,
            )
            local = self.devices.local_rows(images)
            no_labels = np.zeros((len(local), 0), np.float32)
            has_labels = labels is not None
            yield local, self.devices.local_rows(labels) if has_labels else no_labels


@functools.partial(jax.jit, static_argnums=(0, 1, 8))
def _images(generator, devices, variables, z, labels, lod, psi, key, noise):
    """Generate images [B,H,W,C] uint8 of full size from z [B, Z]."""
    ws = generator.apply(variables, z, labels, method="map")
    ws = generator.apply(variables, ws, psi, method="truncate")
    images = generator.clone(**fastest_forms(devices.platform)).apply(
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
            f"the labels of {source.name} are vectors, but metrics of generated images "
            "draw classes; compare folders of images instead, with --images_b"
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
